import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { execa } from 'execa';
import type { Device } from '../../src/qemu/device.ts';
import { get } from '../../src/qemu/probes.ts';
import { spellings } from './canaries.ts';
import type { Drive } from './drive.ts';

// The three commands of docs/runbooks/incident.md, as an administrator gives them. Every connection of a test drive
// comes from one address, so that SSH is what stays and the web pages are what goes.

const PROGRAM = '/usr/sbin/amslpr-device';

/** The status of the log-in page, or why there is none. */
const web = (drive: Drive): Promise<number | string> =>
  Promise.race([
    get(drive.guest, 'https', '/login').then(
      ({ status }) => status,
      (error: Error) => error.message,
    ),
    new Promise<string>((resolve) => setTimeout(resolve, 15_000, 'no answer')),
  ]);

/** What an isolation lets through, before, meanwhile and after it. */
export async function isolation(drive: Drive, device: Device): Promise<Record<string, unknown>> {
  const before = await web(drive);
  const said = await device.sudo([PROGRAM, 'isolate', '--minutes', '9']);
  const meanwhile = await web(drive);
  // A connection of its own: the one that is there would show less.
  await drive.login().then((again) => again.ssh.close());
  const ended = await device.sudo([PROGRAM, 'isolate', 'end']);
  return { before, said, meanwhile, ended, after: await web(drive) };
}

/** Bytes that a program gives as root, by way of text. */
async function bytesOf(device: Device, command: string): Promise<Buffer> {
  return Buffer.from(await device.sudo(['sh', '-c', `${command} | base64 -w0`], { timeout: 900 }), 'base64');
}

/** Secrets that a support bundle of the device holds, by their names; it is made as the run-book says. */
export async function leaksOfBundle(
  device: Device,
  secrets: readonly { readonly name: string; readonly secret: string }[],
): Promise<string[]> {
  const tar = gunzipSync(await bytesOf(device, `${PROGRAM} support-bundle --checks`));
  const parts = ['about.json', 'linux-image', 'checks.json', '"sshd/no-root": "pass"'];
  const missing = parts.filter((part) => !tar.includes(part));
  if (missing.length > 0) throw new Error(`that is no support bundle: it has no ${missing.join(', no ')}`);
  return secrets.filter(({ secret }) => spellings(secret).some((one) => tar.includes(one))).map(({ name }) => name);
}

/** Names of the members of the evidence, opened with the administrator's key; every digest in it is compared. */
export async function evidence(drive: Drive, device: Device): Promise<string[]> {
  const sealed = await bytesOf(device, `${PROGRAM} collect-evidence --case rehearsal`);
  const { stdout } = await execa({
    input: sealed,
    encoding: 'buffer',
  })`age -d -i ${drive.site.identity}`;
  const names: string[] = [];
  const digests = new Map<string, string>();
  const tar = Buffer.from(stdout);
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const name = tar.toString('latin1', at, at + 100).replace(/\0.*$/s, '');
    const size = Number.parseInt(tar.toString('latin1', at + 124, at + 136), 8);
    const content = tar.subarray(at + 512, at + 512 + size);
    names.push(name);
    if (name === 'SHA256SUMS') {
      for (const [, digest = '', of = ''] of content.toString().matchAll(/^(\S{64}) {2}(.+)$/gm))
        if (of.length < 100 && digests.get(of) !== digest) throw new Error(`${of} is not as SHA256SUMS says`);
    }
    digests.set(name, createHash('sha256').update(content).digest('hex'));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return names;
}
