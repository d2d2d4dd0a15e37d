import { readFile, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Guest } from '../../src/qemu/guest.ts';

/** What was first seen on a console, and how many seconds after power on. */
export type Times = ReadonlyMap<string, number>;

const MARKS = [
  { name: 'sshd', pattern: /Started [^\n]*(?:ssh\.service|Secure Shell server)/ },
  { name: 'ready', pattern: /amslpr: (?:\S+: )?ready\s/ },
];
const STEP = /amslpr: (?:\S+: )?working at (\S+)/g;

/**
 * Looks at the console of a guest that was just started until it is ready: when each step began, when sshd was started.
 * The device may be without a network.
 * @throws Error with what was seen when it is not ready in time, or fails
 */
export async function consoleTimes(guest: Pick<Guest, 'console'>, seconds: number): Promise<Times> {
  const { birthtimeMs: power } = await stat(guest.console);
  const found = new Map<string, number>();
  while (!found.has('ready')) {
    const now = (Date.now() - power) / 1000;
    const text = await readFile(guest.console, 'latin1');
    const steps = [...text.matchAll(STEP)].map(([, step = '']) => step);
    const marks = MARKS.filter(({ pattern }) => pattern.test(text)).map(({ name }) => name);
    for (const name of [...steps, ...marks]) if (!found.has(name)) found.set(name, now);
    if (now > seconds || /amslpr: (?:\S+: )?(failed|waiting)/.test(text)) {
      throw new Error(`not ready after ${Math.round(now)} s\n${timesTable({ seen: found })}\n${text.slice(-2000)}`);
    }
    await sleep(200);
  }
  return found;
}

/** A table in Markdown: a row for each mark, a column for each run. */
export function timesTable(runs: Readonly<Record<string, Times>>): string {
  const names = [...new Set(Object.values(runs).flatMap((times) => [...times.keys()]))];
  const cell = (times: Times, name: string): string => times.get(name)?.toFixed(0) ?? '';
  const rows = [
    ['', ...Object.keys(runs)],
    ['---', ...Object.keys(runs).map(() => '--:')],
    ...names.map((name) => [name, ...Object.values(runs).map((times) => cell(times, name))]),
  ];
  return rows.map((row) => `| ${row.join(' | ')} |`).join('\n');
}
