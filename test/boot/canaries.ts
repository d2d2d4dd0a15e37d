import { createPrivateKey } from 'node:crypto';
import { open } from 'node:fs/promises';
import { type Partition, parseMbr, SECTOR } from '../../src/audit/mbr.ts';
import { hostRunner } from '../../src/host/runner.ts';
import { openBundle } from '../../src/qemu/bundle.ts';
import type { Device } from '../../src/qemu/device.ts';
import { type Drive, volumeKey } from './drive.ts';
import { filesAt } from './files-at.ts';

// The raw search that docs/secrets.md speaks of: what a provisioned device has as secrets, and where they lie on its card.

/** Lines of a private key, without the first, which is the same for all keys, and the last, which is short. */
const pemLine = (text: string): string[] => text.split('\n').slice(2, 3);
const hashes = (text: string): string[] => [...text.matchAll(/"?(\$6\$[^":]+)/g)].map(([, hash = '']) => hash);
const field = (name: string) => (text: string) =>
  [...text.matchAll(new RegExp(`^[ -]*${name}[:=] ?"?([^"\\n]+)"?$`, 'gm'))].map(([, value = '']) => value);

/** What of each file of docs/secrets.md is the secret. A path that is not here fails the test. */
const openSecrets: Readonly<Record<string, (text: string) => string[]>> = {
  '/etc/ssh/ssh_host_ed25519_key': pemLine,
  '/var/lib/amslpr-device/site.yaml': (text) =>
    ['psk', 'enrolment-token', 'sudo-password-hash'].flatMap((name) => field(name)(text)),
  '/etc/NetworkManager/system-connections/amslpr-wifi.nmconnection': field('psk'),
  '/etc/shadow': hashes,
  '/etc/shadow-': hashes,
  '/var/lib/NetworkManager/secret_key': (text) => [text],
  // Too long for one line of a pattern; any part of it will do.
  '/var/lib/systemd/random-seed': (text) => [text.slice(0, 32)],
  '/var/lib/amslpr-device/data.json': (text) => [
    ...hashes(text),
    ...[...text.matchAll(/"(?:password_hash|salt|proof_digest)": "([^"]+)"/g)].map(([, value = '']) => value),
  ],
  '/var/lib/amslpr-device/keys/data.key': (text) => [text],
};

/** Files inside the encrypted partition, in the same way. */
const closedSecrets: Readonly<Record<string, (text: string) => string[]>> = {
  '/etc/amslpr/ssl/key.pem': (text) => text.split('\n').slice(1, 2),
  '/etc/amslpr/secrets/app.env': field('FLASK_SECRET_KEY'),
  '/var/lib/amslpr/config/crypto.key': (text) => [text.trim()],
};

/** Whom backups are encrypted to: public keys, which the site file has too. */
const PUBLIC = '/etc/amslpr/secrets/backup-recipients';

/** The number that a TLS key is, as its 32 bytes in DER: in no other spelling is anything of it the same. */
function scalar(pem: string): string {
  const { d } = createPrivateKey(pem).export({ format: 'jwk' });
  if (d === undefined) throw new Error('the TLS key is none of an elliptic curve');
  return Buffer.from(d, 'base64url').toString('latin1');
}

export interface Canary {
  /** The path that it lies at, or what it is. */
  readonly name: string;
  /** One character a byte. */
  readonly secret: string;
}

export interface Place extends Canary {
  /** Slots of the partitions that it was found in; 0 is outside all of them. */
  readonly slots: readonly number[];
  /** Files of root that hold it. */
  readonly files: readonly string[];
}

/** Where each secret was found. One pass over the card for all of them: a card is some GB. */
export async function found(card: string, canaries: readonly Canary[], root: number): Promise<Place[]> {
  const secrets = canaries.map(({ secret }) => secret);
  const { partitions, offsets } = await offsetsOf(card, secrets);
  const partition = partitions.find(({ slot }) => slot === root);
  if (partition === undefined) throw new Error(`the card has no partition ${root}`);
  const files = await filesAt(card, partition, offsets.flat());
  return canaries.map((canary, index) => {
    const at = offsets[index] ?? [];
    return { ...canary, slots: slotsOf(partitions, at), files: [...new Set(at.flatMap((one) => files(one)))].sort() };
  });
}

export interface Canaries {
  readonly open: readonly Canary[];
  readonly closed: readonly Canary[];
}

/** Reads all secrets of a device whose data is open. `listed` are the paths of docs/secrets.md. @throws Error for an unknown one */
export async function collectCanaries(drive: Drive, device: Device, listed: readonly string[]): Promise<Canaries> {
  const read = async (path: string): Promise<string> => {
    const script = `test ! -e ${path} || base64 -w0 ${path}`;
    return Buffer.from(await device.sudo(['sh', '-c', script]), 'base64').toString('latin1');
  };
  const open: Canary[] = [];
  for (const path of listed) {
    const take = openSecrets[path];
    if (take === undefined) throw new Error(`${path} is listed as a secret, and the raw search does not know it`);
    const text = await read(path);
    if (text !== '') open.push(...take(text).map((secret) => ({ name: path, secret })));
  }
  const closed: Canary[] = [];
  for (const [path, take] of Object.entries(closedSecrets)) {
    const found = take(await read(path));
    if (found.length === 0) throw new Error(`${path} holds no secret`);
    closed.push(...found.map((secret) => ({ name: path, secret })));
  }
  // Each file there must be known: a new one is a secret until somebody says otherwise.
  const files = (await device.sudo(['find', '/etc/amslpr/secrets', '-type', 'f'])).split('\n');
  const unknown = files.filter((path) => path !== PUBLIC && !(path in closedSecrets));
  if (unknown.length > 0) throw new Error(`the raw search does not know ${unknown.join(', ')}`);
  closed.push({ name: 'number of the TLS key', secret: scalar(await read('/etc/amslpr/ssl/key.pem')) });
  const volume = Buffer.from(await volumeKey(drive, device), 'hex').toString('latin1');
  closed.push({ name: 'volume key', secret: volume });
  const bundle = await openBundle(drive.guest, drive.site.identity);
  closed.push({ name: 'recovery key', secret: bundle.luksRecoveryKey });
  closed.push({ name: 'web password', secret: bundle.applicationAdminPassword });
  for (const secret of Object.values(bundle.sudoPasswords)) closed.push({ name: 'sudo password', secret });
  return { open, closed };
}

/** Every spelling to look for: itself, in hexadecimal, and what base64 makes of it wherever it starts. */
export function spellings(secret: string): Buffer[] {
  const bytes = Buffer.from(secret, 'latin1');
  const hex = bytes.toString('hex');
  const base64 = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    // The first and last characters hold bits of what is beside it.
    return text.slice(shift === 0 ? 0 : shift + 1, (shift + bytes.length) % 3 === 0 ? undefined : -1);
  });
  const urlSafe = base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'));
  // grep looks within lines: of bytes with a line end among them, the longest piece.
  const piece = bytes
    .toString('latin1')
    .split('\n')
    .reduce((best, one) => (one.length > best.length ? one : best), '');
  const texts = [...new Set([hex, hex.toUpperCase(), ...base64, ...urlSafe])];
  return [Buffer.from(piece, 'latin1'), ...texts.map((text) => Buffer.from(text))];
}

/** Slots of the partitions that each secret was found in, in the order of `secrets`; 0 is outside all of them. */
export async function placesOf(card: string, secrets: readonly string[]): Promise<number[][]> {
  const { partitions, offsets } = await offsetsOf(card, secrets);
  return offsets.map((at) => slotsOf(partitions, at));
}

function slotsOf(partitions: readonly Partition[], offsets: readonly number[]): number[] {
  const slotOf = (at: number): number =>
    partitions.find(({ start, sectors }) => at >= start * SECTOR && at < (start + sectors) * SECTOR)?.slot ?? 0;
  return [...new Set(offsets.map(slotOf))].sort();
}

interface Offsets {
  readonly partitions: readonly Partition[];
  /** Bytes of the card at which each secret begins, in any spelling. */
  readonly offsets: readonly (readonly number[])[];
}

async function offsetsOf(card: string, secrets: readonly string[]): Promise<Offsets> {
  const wanted = secrets.map(spellings);
  const patterns = Buffer.concat(wanted.flat().flatMap((one) => [one, Buffer.from('\n')]));
  const { stdout } = await hostRunner.run(['grep', '-aboF', '-f', '-', card], {
    input: patterns,
    okCodes: [0, 1],
    env: { LC_ALL: 'C' },
    timeout: 900,
  });
  const longest = Math.max(0, ...wanted.flat().map(({ length }) => length));
  const offsets: number[][] = secrets.map(() => []);
  const file = await open(card, 'r');
  try {
    const sector = Buffer.alloc(SECTOR);
    await file.read(sector, 0, SECTOR, 0);
    const mbr = parseMbr(sector, (await file.stat()).size);
    if (!mbr.ok) throw new Error(mbr.error);
    for (const [, offset] of stdout.matchAll(/^(\d+):/gm)) {
      const at = Number(offset);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(longest), 0, longest, at);
      const seen = buffer.subarray(0, bytesRead);
      // Two secrets may begin alike, and one may be at two paths: each that is there counts.
      wanted.forEach((spelt, index) => {
        if (spelt.some((one) => seen.subarray(0, one.length).equals(one))) offsets[index]?.push(at);
      });
    }
    return { partitions: mbr.disk.partitions, offsets };
  } finally {
    await file.close();
  }
}
