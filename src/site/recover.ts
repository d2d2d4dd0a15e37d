import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StepError, UserError } from '../core/errors.ts';
import { bundleOnCard, decryptBundle, parseBundle } from './bundle.ts';
import { onDevice, parseAddress } from './device-ssh.ts';

export interface RecoverOptions {
  /** The key that opens the bundle. */
  readonly key: string;
  /** For a device on the network: the administrator's SSH key. Default: `key`. */
  readonly identity?: string;
  readonly port?: number;
  /** The known_hosts that `enroll` wrote. */
  readonly knownHosts?: string;
}

/**
 * The recovery bundle of a card, an image file or a device on the network, decrypted on this machine, as JSON.
 * @throws UserError when there is no such thing, StepError when it holds no bundle or the key does not open it
 */
export async function recover(where: string, options: RecoverOptions): Promise<string> {
  const found = await stat(where).catch(() => undefined);
  if (found === undefined && !where.includes('@')) {
    throw new UserError({
      message: `${where} is no card, no image and no USER@HOST`,
      hint: 'For example: /dev/sdb, north.img, or alex@192.0.2.10',
    });
  }
  if (/\.(zst|xz)$/.test(where)) throw new UserError({ message: `${where} is packed`, hint: 'Unpack it first.' });
  const body = found === undefined ? await fromDevice(where, options) : await bundleOnCard(where);
  if (body === undefined) {
    throw new StepError({
      message: `${where} holds no recovery bundle`,
      hint: 'A device makes it at its first start, just before its encrypted partition.',
    });
  }
  const text = await decryptBundle(body, options.key);
  parseBundle(text);
  return text;
}

async function fromDevice(where: string, options: RecoverOptions): Promise<string> {
  const address = parseAddress(where);
  const { key, identity = key, port = 22, knownHosts } = options;
  const work = await mkdtemp(join(tmpdir(), 'amslpr-recover-'));
  try {
    const at = { ...address, port, identity };
    const words = ['/usr/sbin/amslpr-device', 'bundle'];
    if (knownHosts === undefined) {
      // The bundle is encrypted and its slot carries a digest: from a stranger it would only fail to open.
      return await onDevice({ ...at, knownHosts: join(work, 'known_hosts'), alias: 'device' }, words, { first: true });
    }
    const alias = (await readFile(knownHosts, 'utf8')).split(' ')[0] ?? '';
    return await onDevice({ ...at, knownHosts, alias }, words);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
