import { expect, it } from 'vitest';
import { judgedBy } from '../../../src/score/figure.ts';
import type { ScanTools } from '../../../src/score/tools.ts';

it('a scanner is named with its version, and its rules with the day of the packages', () => {
  const versions = new Map([['nmap', '1:7.95']]);
  const tools = { disk: '', versions, made: '2026-11-27T23:27:04.260Z' } as Partial<ScanTools> as ScanTools;
  expect(judgedBy({ tools }, 'nmap')).toEqual({ tool: 'nmap 7.95', data: 'packages of 2026-11-27' });
});
