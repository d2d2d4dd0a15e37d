import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Outcome, root } from './run.ts';

// The program as a process of its own: what cannot be seen from inside.

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'amslpr-process-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function start(argv: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
  return spawn(process.execPath, ['--import', 'tsx', join(root, 'build.ts'), ...argv], {
    cwd: root,
    env: { PATH: process.env['PATH'], HOME: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

function outcome(child: ChildProcess): Promise<Outcome & { readonly peakKb: number }> {
  return new Promise((resolve) => {
    let [stdout, stderr, peakKb] = ['', '', 0];
    child.stdout?.on('data', (chunk) => (stdout += chunk));
    child.stderr?.on('data', (chunk) => (stderr += chunk));
    const watch = setInterval(() => {
      peakKb = Math.max(peakKb, residentKb(child.pid));
    }, 20);
    child.on('close', (code) => {
      clearInterval(watch);
      resolve({ code: code ?? -1, stdout, stderr, peakKb });
    });
  });
}

/** The most memory that the process has had so far. */
function residentKb(pid: number | undefined): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

const file = (name: string, content: string): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};

describe('the process', { timeout: 120_000 }, () => {
  it('exits with 0, and writes data to stdout only', async () => {
    const { code, stdout, stderr } = await outcome(start(['plan', file('a.yaml', ''), '--json']));
    expect([code, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toMatchObject({ name: 'amslpr' });
  });

  it('gives a slow reader at the other end of a pipe everything', async () => {
    const argv = [process.execPath, '--import', 'tsx', join(root, 'build.ts'), 'plan', file('p.yaml', ''), '--json'];
    // A pipe of the shell: it takes 64 KiB, far less than a plan, and does not grow.
    const { stdout } = await promisify(execFile)('sh', ['-c', '"$@" | { sleep 2; cat; }', 'sh', ...argv], {
      cwd: root,
      maxBuffer: 2 ** 26,
    });
    expect(stdout.length).toBeGreaterThan(100_000);
    expect(JSON.parse(stdout)).toMatchObject({ name: 'amslpr' });
  });

  it('exits with 2 without a stack', async () => {
    const { code, stdout, stderr } = await outcome(start(['validate', file('b.yaml', 'sshd: [\n')]));
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('error: This is not valid YAML');
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(stderr).not.toContain('\x1b[');
  });

  it('has colour when asked, and none with NO_COLOR', async () => {
    const argv = ['validate', file('c.yaml', 'nope: 1\n')];
    const outcomes = await Promise.all([
      outcome(start(argv, { FORCE_COLOR: '1' })),
      outcome(start(argv, { FORCE_COLOR: '1', NO_COLOR: '1' })),
    ]);
    expect(outcomes.map(({ stderr }) => stderr.includes('\x1b['))).toEqual([true, false]);
  });

  it('annotates on GitHub', async () => {
    const { stderr } = await outcome(start(['validate', file('d.yaml', 'nope: 1\n')], { GITHUB_ACTIONS: 'true' }));
    expect(stderr).toMatch(/^::error file=.*d\.yaml,line=1,col=1::nope is not an option here$/m);
  });

  it('fails when what it prints finds no room', async () => {
    const argv = [process.execPath, '--import', 'tsx', join(root, 'build.ts'), 'plan', file('g.yaml', ''), '--json'];
    const result = promisify(execFile)('sh', ['-c', '"$@" > /dev/full', 'sh', ...argv], { cwd: root });
    await expect(result).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining('the disk is full') });
  });

  it('ends quietly when nobody reads on', async () => {
    const child = start(['plan', file('e.yaml', '')]);
    child.stdout?.destroy();
    const { stderr } = await outcome(child);
    expect(stderr).toBe('');
  });

  it.each([
    ['10 MB', () => 'a: 1\n'.repeat(2_000_000)],
    ['a full map', () => Array.from({ length: 22_000 }, (_, i) => `k${i}: 1\n`).join('')],
  ])('refuses %s with little memory', async (_what, make) => {
    const { code, stderr, peakKb } = await outcome(start(['validate', file('f.yaml', make())]));
    expect(code).toBe(2);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(peakKb).toBeGreaterThan(0);
    expect(peakKb).toBeLessThan(500_000);
  });
});
