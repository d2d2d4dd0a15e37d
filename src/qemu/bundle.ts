import { StepError } from '../core/errors.ts';
import { decryptBundle, newestBundle, parseBundle, type RecoveryBundle, SLOTS } from '../site/bundle.ts';
import type { Guest } from './guest.ts';

/** The newest bundle as it lies on the card, encrypted. */
export async function storedBundle(guest: Pick<Guest, 'bootFile'>): Promise<Buffer | undefined> {
  const raws: (Buffer | undefined)[] = [];
  for (const name of SLOTS) raws.push(await guest.bootFile(name));
  return newestBundle(raws);
}

/** @throws StepError when there is none, or when the key in `identity` does not open it */
export async function openBundle(guest: Pick<Guest, 'bootFile'>, identity: string): Promise<RecoveryBundle> {
  const body = await storedBundle(guest);
  if (body === undefined) throw new StepError('The boot partition holds no recovery bundle');
  return parseBundle(await decryptBundle(body, identity));
}
