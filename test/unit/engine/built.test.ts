import { expect, it } from 'vitest';
import { codeFolder } from '../../../src/engine/built.ts';

it('the program is digested by its own folder, never by the project around it, where outputs lie', () => {
  expect(codeFolder('/project/src/engine/built.ts')).toBe('/project/src');
  expect(codeFolder('/project/dist/build-ABCD.js')).toBe('/project/dist');
});
