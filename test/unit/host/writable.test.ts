import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { checkWritable, writeNew } from '../../../src/host/writable.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'amslpr-writable-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

it('a folder that is there, or can be made, is good, and stays as it is', async () => {
  await checkWritable(folder);
  await checkWritable(join(folder, 'a', 'b'));
  expect(readdirSync(folder)).toEqual([]);
});

it('a file is no folder', async () => {
  writeFileSync(join(folder, 'a'), '');
  await expect(checkWritable(join(folder, 'a'))).rejects.toThrow('is no folder');
  await expect(checkWritable(join(folder, 'a', 'b'))).rejects.toThrow('is no folder');
});

// Not even root makes a folder there, and Node's own recursive mkdir never comes back from it.
it('where nothing can be made is told at once', async () => {
  await expect(checkWritable('/proc/amslpr/out')).rejects.toThrow('/proc/amslpr/out cannot be written');
});

it('a new file replaces none', async () => {
  await writeNew(join(folder, 'a'), 'one');
  await expect(writeNew(join(folder, 'a'), 'two')).rejects.toThrow('EEXIST');
  expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('one');
});
