import { expect } from 'vitest';
import { readImage } from '../../src/audit/image.ts';
import type { Guest } from '../../src/qemu/guest.ts';
import { readSlot } from '../../src/site/bundle.ts';

const MADE =
  /^\/etc\/ssh\/ssh_host_|^\/etc\/amslpr\/(ssl|secrets)\/.|^\/var\/lib\/amslpr-device\/(keys\/.|site\.yaml$)/;

/** A device that took no site has no bundle, key, password, account or data. Its power goes; gives the card. */
export async function nothingMade(guest: Guest): Promise<string> {
  for (const name of ['/bundle.0', '/bundle.1']) {
    expect(readSlot((await guest.bootFile(name)) ?? Buffer.alloc(0))).toBeUndefined();
  }
  const card = await guest.pullCard();
  const tree = await readImage(card);
  expect(tree.disk?.partitions.map(({ slot }) => slot)).toEqual([1, 2]);
  expect([...tree.entries()].map(({ path }) => path).filter((path) => MADE.test(path))).toEqual([]);
  expect(tree.text('/etc/shadow')).not.toMatch(/:\$/);
  // Accounts of people have numbers from 1000 on, up to the one of `nobody`.
  expect(tree.text('/etc/passwd')).not.toMatch(/^[^:]+:[^:]*:[1-9]\d{3}:/m);
  return card;
}
