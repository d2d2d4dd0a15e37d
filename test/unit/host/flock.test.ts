import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lockFile, tryLock } from '../../../src/host/flock.ts';

const source = fileURLToPath(new URL('../../../src/host/flock.ts', import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'amslpr-flock-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a lock', () => {
  it('keeps others out until it is released, and then its file is gone', async () => {
    const path = join(folder, 'a');
    const first = await lockFile(path);
    expect(await tryLock(path, 'shared')).toBeUndefined();
    const order: string[] = [];
    const second = lockFile(path, { onWait: () => order.push('waits') }).then((held) => {
      order.push('has it');
      return held;
    });
    await expect.poll(() => order).toEqual(['waits']);
    order.push('released');
    first.release();
    (await second).release();
    expect(order).toEqual(['waits', 'released', 'has it']);
    expect(existsSync(path)).toBe(false);
  });
  it('of a folder can be shared', async () => {
    const [one, two] = [await tryLock(folder, 'shared'), await tryLock(folder, 'shared')];
    expect([one, two]).not.toContain(undefined);
    expect(await tryLock(folder, 'exclusive')).toBeUndefined();
    one?.release();
    two?.release();
    const all = await tryLock(folder, 'exclusive');
    expect(all).toBeDefined();
    all?.release();
  });
  it('is not had on what is not there', async () => {
    expect(await tryLock(join(folder, 'none'), 'exclusive')).toBeUndefined();
  });
  it('ends a wait with the signal', async () => {
    const path = join(folder, 'b');
    const held = await lockFile(path);
    const abort = new AbortController();
    await expect(lockFile(path, { signal: abort.signal, onWait: () => abort.abort() })).rejects.toThrow();
    held.release();
  });
  it('dies with its owner, also by SIGKILL, and although a child of the owner lives on', async () => {
    const path = join(folder, 'c');
    const script = `
      const { lockFile } = await import(${JSON.stringify(source)});
      const { spawn } = await import('node:child_process');
      await lockFile(${JSON.stringify(path)});
      const child = spawn('sleep', ['20'], { detached: true, stdio: 'ignore' });
      console.log(child.pid);
      setInterval(() => undefined, 1000);`;
    const owner = spawn('node_modules/.bin/tsx', ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    const [pid] = (await once(owner.stdout, 'data')) as [Buffer];
    expect(await tryLock(path, 'exclusive')).toBeUndefined();
    process.kill(-(owner.pid ?? 0), 'SIGKILL');
    await once(owner, 'exit');
    await expect.poll(async () => (await tryLock(path, 'exclusive')) !== undefined).toBe(true);
    process.kill(Number(pid), 'SIGKILL');
  }, 60_000);
});
