import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Log, LogEntry } from '../../../src/core/log.ts';
import { githubLog, plainLog, terminalLog } from '../../../src/ui/log.ts';
import { progressText } from '../../../src/ui/progress.ts';
import { rememberTimes } from '../../../src/ui/step-times.ts';
import { bytesText, oneLine, paintWith, secondsText, wantsColor, wrap } from '../../../src/ui/text.ts';

const paint = paintWith(false);

/** What a renderer writes for these entries, one second apart. */
function written(make: typeof plainLog, entries: readonly LogEntry[], verbose = false, seconds = 1): string {
  let text = '';
  let clock = 0;
  const log = make(
    { write: (part) => (text += part), width: 80 },
    {
      paint,
      verbose,
      now: () => {
        clock += seconds * 1000;
        return clock;
      },
    },
  );
  for (const entry of entries) log(entry);
  return text;
}

const step: readonly LogEntry[] = [
  { kind: 'step-start', step: 'packages', last: 38 },
  { kind: 'command', argv: ['apt-get', 'install'] },
  { kind: 'output', text: 'Unpacking one\nUnpacking two\n' },
  { kind: 'step-end', step: 'packages', seconds: 40.2, ok: true },
];

describe('the plain log', () => {
  it('writes whole lines', () => {
    expect(written(plainLog, step)).toBe('> packages (last time 38 s)\nok: packages, 40 s\n');
  });

  it('shows commands and output when it is verbose', () => {
    expect(written(plainLog, step, true)).toContain('  $ apt-get install\nUnpacking one\nUnpacking two\n');
  });

  it('says when a step failed', () => {
    expect(written(plainLog, [{ kind: 'step-end', step: 'image', seconds: 1, ok: false }])).toBe(
      'FAILED: image, 1.0 s\n',
    );
  });

  it('shows progress every ten seconds, with the time left', () => {
    const parts = Array.from({ length: 30 }, (_, index): LogEntry => {
      return { kind: 'progress', step: 'download', done: (index + 1) * 1e6, total: 30e6, unit: 'bytes' };
    });
    const lines = written(plainLog, parts).trimEnd().split('\n');
    expect(lines.length).toBeLessThan(10);
    expect(lines[0]).toMatch(
      /^ {2}download: \d+(\.\d)? MB of 30\.0 MB \(\d+ %\), \d+(\.\d)? [kM]B\/s, \d+(\.\d)? s left$/,
    );
  });

  it('wraps warnings', () => {
    const text = written(plainLog, [{ kind: 'warning', text: 'word '.repeat(40).trim() }]);
    expect(text.split('\n').every((line) => line.length <= 80)).toBe(true);
    expect(text).toMatch(/^warning: word/);
  });
});

describe('the log on a terminal', () => {
  it('rewrites one line, and leaves one for each finished step', () => {
    const text = written(terminalLog, step);
    expect(text).toContain('  packages (last time 38 s): Unpacking two');
    expect(text.endsWith('\r\x1b[2K✓ packages 40 s\n')).toBe(true);
  });

  it('never reaches the last column with a line that it rewrites', () => {
    const long: LogEntry[] = [
      { kind: 'step-start', step: 'x'.repeat(60), last: 100 },
      { kind: 'output', text: `${'y'.repeat(300)}\n` },
      { kind: 'progress', step: 'z'.repeat(90), done: 1, total: 2, unit: 'bytes' },
    ];
    const lines = written(terminalLog, long).split('\r\x1b[2K');
    expect(Math.max(...lines.map((line) => line.length))).toBe(79);
  });

  it('lets no output move the cursor', () => {
    const text = written(terminalLog, [
      { kind: 'step-start', step: 'a' },
      { kind: 'output', text: '\x1b[2J\x07\rba\x07d\b\n' },
    ]);
    expect(text.replaceAll('\r\x1b[2K', '')).toBe('  a  a: ba d');
  });

  it('marks a failed step', () => {
    expect(written(terminalLog, [{ kind: 'step-end', step: 'a', seconds: 1, ok: false }])).toBe('✗ a 1.0 s\n');
  });
});

describe('the log on GitHub', () => {
  it('groups the output of a step and makes warnings annotations', () => {
    const entries: LogEntry[] = [...step, { kind: 'warning', text: '50% old\nreally' }];
    expect(written(githubLog, entries)).toBe(
      '::group::packages (last time 38 s)\n  $ apt-get install\nUnpacking one\nUnpacking two\n::endgroup::\n' +
        'ok: packages, 40 s\n::warning::50%25 old%0Areally\n',
    );
  });

  it('opens no group in a group', () => {
    const inner: LogEntry[] = [
      { kind: 'step-start', step: 'a' },
      { kind: 'step-start', step: 'b' },
      { kind: 'step-end', step: 'b', seconds: 1, ok: true },
      { kind: 'step-end', step: 'a', seconds: 1, ok: true },
    ];
    let open = 0;
    for (const line of written(githubLog, inner).split('\n')) {
      if (line.startsWith('::group::')) open += 1;
      if (line === '::endgroup::') open -= 1;
      expect([0, 1]).toContain(open);
    }
    expect(open).toBe(0);
  });
});

describe('step times', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'amslpr-times-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const through = (file: string, entries: readonly LogEntry[]): LogEntry[] => {
    const seen: LogEntry[] = [];
    const log: Log = rememberTimes((entry) => seen.push(entry), file);
    for (const entry of entries) log(entry);
    return seen;
  };

  it('are told at the next start', () => {
    const file = join(folder, 'cache', 'times.json');
    through(file, [{ kind: 'step-end', step: 'a', seconds: 12.34, ok: true }]);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ a: 12.3 });
    const start: LogEntry = { kind: 'step-start', step: 'a' };
    expect(through(file, [start])).toEqual([{ ...start, last: 12.3 }]);
    expect(through(file, [{ kind: 'step-start', step: 'b' }])).toEqual([{ kind: 'step-start', step: 'b' }]);
  });

  it('of failed steps are not kept, and a damaged file is no error', () => {
    const file = join(folder, 'times.json');
    writeFileSync(file, '{"a": "x", "b": 2');
    expect(through(file, [{ kind: 'step-start', step: 'b' }])).toEqual([{ kind: 'step-start', step: 'b' }]);
    through(file, [{ kind: 'step-end', step: 'a', seconds: 1, ok: false }]);
    expect(readFileSync(file, 'utf8')).toBe('{"a": "x", "b": 2');
  });
});

describe('words', () => {
  it.each([
    [{ done: 5, unit: 'files' as const }, 0, '5 files'],
    [{ done: 5, total: 10, unit: 'checks' as const }, 10, '5 of 10 checks (50 %), 10 s left'],
    [{ done: 1e6, total: 4e6, unit: 'bytes' as const }, 0.1, '1.0 MB of 4.0 MB (25 %)'],
    [{ done: 1e8, total: 4e8, unit: 'bytes' as const }, 2, '100 MB of 400 MB (25 %), 50.0 MB/s, 6.0 s left'],
    [{ done: 10, total: 10, unit: 'files' as const }, 10, '10 of 10 files (100 %)'],
    [{ done: 12, total: 10, unit: 'files' as const }, 10, '12 of 10 files (100 %)'],
    [{ done: 0, total: 0, unit: 'files' as const }, 10, '0 files'],
  ])('of progress %j', (entry, elapsed, text) => {
    expect(progressText({ kind: 'progress', step: 'x', ...entry }, elapsed)).toBe(text);
  });

  it('of sizes and times', () => {
    expect([0, 999, 1500, 123_456_789, 4e12].map(bytesText)).toEqual(['0 B', '999 B', '1.5 kB', '123 MB', '4.0 TB']);
    expect([0.04, 9.96, 75, 600, 10_000].map(secondsText)).toEqual(['0.0 s', '10.0 s', '75 s', '10 min', '2.8 h']);
  });

  it('wrapped stay whole', () => {
    expect(wrap('a b c', 3, '', '  ')).toEqual(['a b', '  c']);
    expect(wrap('/a/long/path/that/is/whole b', 10)).toEqual(['/a/long/path/that/is/whole', 'b']);
    expect(wrap('one\ntwo', 80, '- ', '  ')).toEqual(['- one', '  two']);
    expect(oneLine('abcdef', 4)).toBe('abc…');
  });

  it('have colours where they are wanted', () => {
    expect(wantsColor(true, {})).toBe(true);
    expect(wantsColor(false, {})).toBe(false);
    expect(wantsColor(true, { NO_COLOR: '1' })).toBe(false);
    expect(wantsColor(true, { NO_COLOR: '' })).toBe(true);
    expect(wantsColor(true, { TERM: 'dumb' })).toBe(false);
    expect(wantsColor(false, { FORCE_COLOR: '1' })).toBe(true);
    expect(wantsColor(true, { FORCE_COLOR: '0' })).toBe(false);
    expect(paintWith(true)('red', 'x')).toBe('\x1b[31mx\x1b[39m');
  });
});
