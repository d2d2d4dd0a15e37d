import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { placesOf } from '../boot/canaries.ts';

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
