import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { hostRunner } from '../../src/host/runner.ts';
import { found, placesOf } from '../boot/canaries.ts';

// The raw search of the boot tests, on a card of 4 KiB: it has to find what is there, in every spelling.

const folder = mkdtempSync(join(tmpdir(), 'canaries-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A card with one partition, in slot 2, of sectors 2 to 5. */
function cardWith(content: Buffer | string, at: number): string {
  const card = Buffer.alloc(4096);
  card.write('\x55\xaa', 510, 'latin1');
  card.writeUInt8(0x83, 446 + 16 + 4);
  card.writeUInt32LE(2, 446 + 16 + 8);
  card.writeUInt32LE(4, 446 + 16 + 12);
  Buffer.from(content as string).copy(card, at);
  const file = join(folder, 'card');
  writeFileSync(file, card);
  return file;
}

const secret = Buffer.concat([Buffer.from([0, 10, 255]), randomBytes(29)]);
const text = secret.toString('latin1');

describe('the raw search', () => {
  it.each([
    ['plain', secret],
    ['hexadecimal', secret.toString('hex')],
    ['capital hexadecimal', secret.toString('hex').toUpperCase()],
    ['base64', secret.toString('base64')],
    ['base64 behind one byte', Buffer.concat([Buffer.from('x'), secret]).toString('base64')],
    ['base64 behind two bytes and before more', Buffer.concat([Buffer.from('xy'), secret, secret]).toString('base64')],
    ['URL-safe base64', secret.toString('base64url')],
  ])('finds a secret in %s', async (_name, content) => {
    expect(await placesOf(cardWith(content, 1100), [text])).toEqual([[2]]);
  });

  it('tells secrets apart in one pass, and finds both of two that begin alike', async () => {
    const content = Buffer.from('tulip-one and tulip-two');
    const asked = ['tulip-two', 'rose-three', 'tulip-one'];
    expect(await placesOf(cardWith(content, 1100), asked)).toEqual([[2], [], [2]]);
  });

  it('says when it lies outside of all partitions', async () => {
    expect(await placesOf(cardWith(secret, 3500), [text])).toEqual([[0]]);
  });

  it('finds nothing where nothing is', async () => {
    expect(await placesOf(cardWith(randomBytes(32), 1100), [text])).toEqual([[]]);
  });
});

describe('the search by file', () => {
  /** A card with an ext4 file system in slot 2, of 8 MiB from sector 2048. */
  async function cardOf(files: Readonly<Record<string, string>>): Promise<string> {
    const [tree, card] = [mkdtempSync(join(folder, 'tree-')), join(folder, 'ext4')];
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(join(tree, path, '..'), { recursive: true });
      writeFileSync(join(tree, path), content);
    }
    const table = Buffer.alloc(1024 * 1024);
    table.write('\x55\xaa', 510, 'latin1');
    table.writeUInt8(0x83, 446 + 16 + 4);
    table.writeUInt32LE(2048, 446 + 16 + 8);
    table.writeUInt32LE(16384, 446 + 16 + 12);
    writeFileSync(card, Buffer.concat([table, Buffer.alloc(8 * 1024 * 1024)]));
    await hostRunner.run(['mke2fs', '-q', '-t', 'ext4', '-E', 'offset=1048576', '-d', tree, card, '8M']);
    return card;
  }
  const canaries = [
    { name: '/etc/key', secret: 'tulip-4711-canary' },
    { name: '/etc/other', secret: 'rose-0815-canary' },
    { name: '/etc/none', secret: 'nowhere-to-be-found' },
  ];

  it('names every file that has a secret, a copy at another path too', async () => {
    const card = await cardOf({
      '/etc/key': 'x\ntulip-4711-canary\n',
      '/etc/other': 'rose-0815-canary',
      '/var/lib/x/old key.bak': `${'-'.repeat(9000)}${Buffer.from('tulip-4711-canary').toString('hex')}`,
    });
    const at = (await found(card, canaries, 2)).map(({ slots, files }) => ({ slots, files }));
    expect(at).toEqual([
      { slots: [2], files: ['/etc/key', '/var/lib/x/old key.bak'] },
      { slots: [2], files: ['/etc/other'] },
      { slots: [], files: [] },
    ]);
  });

  it('names no file for a block that none has any more', async () => {
    const card = await cardOf({ '/etc/key': 'tulip-4711-canary', '/etc/other': 'rose-0815-canary' });
    await hostRunner.run(['debugfs', '-w', '-R', 'rm /etc/key', `${card}?offset=1048576`]);
    const at = (await found(card, canaries, 2)).map(({ slots, files }) => ({ slots, files }));
    expect(at.slice(0, 2)).toEqual([
      { slots: [2], files: [] },
      { slots: [2], files: ['/etc/other'] },
    ]);
  });

  it('fails where the partition or its file system is not there', async () => {
    const card = await cardOf({ '/etc/key': 'tulip-4711-canary' });
    await expect(found(card, canaries, 3)).rejects.toThrow(/no partition 3/);
    const raw = cardWith('tulip-4711-canary', 1100);
    await expect(found(raw, canaries, 2)).rejects.toThrow(/ext4|debugfs/);
  });
});
