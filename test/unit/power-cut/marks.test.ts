import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { AFTER, addMarks, BEFORE, type Mark, phaseOf, stepsOf, stepsSaid } from '../../power-cut/marks.ts';
import { watchClosely } from '../../power-cut/watch.ts';
import type { Logged } from '../../power-cut/write-log.ts';

const CONSOLE = '[    9.1] amslpr-device[314]: amslpr: working at entropy\r\namslpr: drive: working at host-key\r\n';

test('a console names its steps once their lines are whole', () => {
  expect(stepsSaid(CONSOLE)).toEqual(['entropy', 'host-key']);
  expect(stepsSaid(`${CONSOLE}amslpr: drive: working at sudo-pass`)).toEqual(['entropy', 'host-key']);
  const whole = `${CONSOLE}amslpr: drive: working at ready\r\namslpr: drive: ready\r\n`;
  expect(stepsSaid(whole)).toEqual(['entropy', 'host-key', 'ready']);
});

test('a boot is before its first step, in one, or ready', () => {
  expect(phaseOf('Linux version 6.12')).toBe(BEFORE);
  expect(phaseOf(CONSOLE)).toBe('host-key');
  expect(phaseOf(`${CONSOLE}amslpr: drive: working at ready\r\n`)).toBe('ready');
  expect(phaseOf(`${CONSOLE}amslpr: drive: working at ready\r\namslpr: drive: ready\r\n`)).toBe(AFTER);
});

const flushes = (...ends: number[]): Logged[] => ends.map((end) => ({ entry: { kind: 'flush' }, end }));
const at = (...marks: [string, number][]): Mark[] => marks.map(([step, logBytes]) => ({ step, logBytes, seconds: 0 }));

test('a flush belongs to the step that began last', () => {
  const stepAt = stepsOf(at(['a', 100], ['b', 200]), flushes(50, 100, 250));
  expect([0, 50, 100, 150, 250].map(stepAt)).toEqual(['start', 'start', 'a', 'a', 'b']);
});

test('steps that no flush parts have one name together, and none is lost', () => {
  // `a` and `b` were seen at once; `c` wrote, but flushed nothing; `d` has flushes of its own.
  const marks = at(['a', 100], ['b', 100], ['c', 140], ['d', 300]);
  const stepAt = stepsOf(marks, flushes(90, 200, 300));
  expect([90, 200, 300].map(stepAt)).toEqual(['start', 'a, b, c', 'd']);
});

test('steps that follow one another in some milliseconds have marks of their own', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'amslpr-marks-'));
  const [serial, log] = [join(folder, 'console.log'), join(folder, 'writes.log')];
  await writeFile(serial, 'Linux\r\n');
  await writeFile(log, '');
  const marks: Mark[] = [];
  const end = watchClosely(serial, log, (seen) => addMarks(marks, { ...seen, seconds: 0 }));
  try {
    for (const step of ['a', 'b', 'c', 'd']) {
      await appendFile(serial, `amslpr: drive: working at ${step}`);
      await sleep(20);
      await appendFile(serial, '\r\n');
      await sleep(20);
      await appendFile(log, Buffer.alloc(512));
    }
    await vi.waitFor(() => expect(marks).toEqual(at(['a', 0], ['b', 512], ['c', 1024], ['d', 1536])));
  } finally {
    end();
    await rm(folder, { recursive: true });
  }
});
