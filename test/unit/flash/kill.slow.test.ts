import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { parseMbr } from '../../../src/audit/mbr.ts';
import { silent } from '../../../src/core/log.ts';
import { flash } from '../../../src/flash/flash.ts';
import { hostRunner } from '../../../src/host/runner.ts';
import { findBootPartition } from '../../../src/site/boot-partition.ts';

const MIB = 1024 * 1024;
const project = fileURLToPath(new URL('../../..', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'flash-kill-'));
const [file, card] = [join(root, 'a.img'), join(root, 'card.img')];
afterAll(() => rmSync(root, { recursive: true, force: true }));

const image = randomBytes(96 * MIB);
image.fill(0, 0, 512);
image.writeUInt8(0x0c, 450);
image.writeUInt32LE(8192, 454);
image.writeUInt32LE(100_000, 458);
image.writeUInt16BE(0x55aa, 510);
writeFileSync(file, image);

/** A card that boots something else. */
function oldCard(): Buffer {
  const bytes = Buffer.alloc(104 * MIB, 0x5a);
  image.copy(bytes, 0, 0, 512);
  return bytes;
}

function firstSector(): Uint8Array {
  const sector = new Uint8Array(512);
  const fd = openSync(card, 'r');
  readSync(fd, sector, 0, 512, 0);
  closeSync(fd);
  return sector;
}

interface Ended {
  readonly code: number | null;
  readonly stderr: string;
}

/** Runs the command line and signals it `delay` milliseconds after it has begun to write. */
async function killed(signal: NodeJS.Signals, delay: number): Promise<Ended> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'build.ts', 'flash', file, card, '--yes'], {
    cwd: project,
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const ended = new Promise<Ended>((resolve) => child.on('close', (code) => resolve({ code, stderr })));
  while (child.exitCode === null && firstSector()[510] === 0x55) await pause(1);
  await pause(delay);
  child.kill(signal);
  return ended;
}

describe('a flash that is ended in the middle', () => {
  it.each([
    ['SIGKILL', 0],
    ['SIGKILL', 30],
    ['SIGKILL', 120],
    ['SIGINT', 0],
    ['SIGTERM', 0],
  ] as const)(
    'by %s after %i ms leaves no card that boots, and the next one works',
    async (signal, delay) => {
      writeFileSync(card, oldCard());
      const { code, stderr } = await killed(signal, delay);
      const after = readFileSync(card);
      const whole = after.subarray(0, image.length).equals(image);
      // A late signal may find it all done; nothing between that and a card without a table is right.
      if (delay === 0) expect(whole).toBe(false);
      if (!whole) {
        expect(parseMbr(firstSector(), after.length)).toMatchObject({ ok: false });
        await expect(findBootPartition(card)).rejects.toThrow('is no image of a card');
        if (signal !== 'SIGKILL')
          expect({ code, stderr }).toMatchObject({ code: 130, stderr: expect.stringContaining('Interrupted') });
      }
      await flash({ image: file, device: card, yes: true }, { runner: hostRunner, log: silent });
      expect(readFileSync(card).subarray(0, image.length).equals(image)).toBe(true);
    },
    120_000,
  );
});
