import { createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hostRunner } from '../../src/host/runner.ts';
import { findBootPartition, readBootFiles } from '../../src/site/boot-partition.ts';
import { readSlot } from '../../src/site/bundle.ts';
import { checkExt4, containersOn, copyPartition, decryptContainer, hasFile, partitionsOf, readFiles } from './parts.ts';
import { accountFault, certificateFault } from './valid.ts';
import { SECTOR } from './write-log.ts';

/** What identifies a device, as found on its card; empty where there is nothing good. */
export interface Identity {
  readonly hostKey: string;
  readonly machineId: string;
  readonly container: string;
  /** Digest of the newest bundle. */
  readonly bundle: string;
  readonly tlsKey: string;
  readonly flaskKey: string;
  readonly fernetKey: string;
}

export interface Inspected {
  readonly identity: Identity;
  /** What is wrong, in words. */
  readonly wrong: readonly string[];
}

interface Report {
  readonly ssh_host_key: string;
  readonly tls_key_sha256: string;
  readonly container: string;
  readonly bundle: { readonly sha256: string } | null;
}

/** What is looked at of a bundle. */
interface Secret {
  readonly luks_recovery_key: string;
  readonly sudo_passwords: Record<string, string>;
  readonly application_admin_password: string;
}

const HOST_KEY = '/etc/ssh/ssh_host_ed25519_key';
/** How long the device's own certificates are good for. */
const TLS = '/usr/share/amslpr/tls.json';
const [FLASK, FERNET, USERS] = ['/secrets/app.env', '/amslpr/config/crypto.key', '/amslpr/config/users.json'] as const;
const sha256 = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Report and newest bundle of a boot partition, as far as they are whole. */
export async function published(card: string): Promise<{ readonly report?: Report; readonly bundle?: Buffer }> {
  const { contents } = await readBootFiles(await findBootPartition(card), (name) => /^\/(bundle|report)\./.test(name));
  const slots = ['/bundle.0', '/bundle.1'].flatMap((name) => readSlot(contents.get(name) ?? Buffer.alloc(0)) ?? []);
  const newest = slots.sort((a, b) => b.generation - a.generation)[0];
  let report: Report | undefined;
  try {
    report = (JSON.parse(contents.get('/report.json')?.toString() ?? '') as { report?: Report }).report;
  } catch {
    // Torn, or not written yet.
  }
  return { ...(report ? { report } : {}), ...(newest ? { bundle: newest.body } : {}) };
}

/** Looks at a card of a device that says it is ready, without the help of its own programs. */
export async function inspect(card: string, folder: string, identity: string): Promise<Inspected> {
  const wrong: string[] = [];
  const place = (name: string): string => join(folder, name);
  const made = [place('part.1'), place('part.2'), place('part.4'), place('plain.4'), place('key'), place('host-key')];
  const expect = (good: boolean, text: string): void => {
    if (!good) wrong.push(text);
  };
  try {
    const parts = await partitionsOf(card);
    expect([...parts.keys()].join(' ') === '1 2 4', `partitions ${[...parts.keys()].join(' ')}`);
    for (const slot of [1, 2, 4]) {
      const part = parts.get(slot);
      if (part === undefined) return { identity: nothing, wrong };
      await copyPartition(card, part, place(`part.${slot}`));
    }
    const fat = await hostRunner.run(['fsck.vfat', '-n', place('part.1')], { okCodes: [0, 1] });
    expect(fat.code === 0, `boot file system: ${fat.stdout.trim().slice(-300)}`);
    const root = await checkExt4(place('part.2'));
    expect(root === '', `root file system: ${root}`);

    const files = await readFiles(place('part.2'), [
      HOST_KEY,
      `${HOST_KEY}.pub`,
      '/etc/machine-id',
      '/etc/shadow',
      TLS,
    ]);
    const hostKey = files[`${HOST_KEY}.pub`]?.split(' ').slice(0, 2).join(' ') ?? '';
    // The last line end was taken off, without which ssh-keygen takes it for no key.
    await writeFile(place('host-key'), `${files[HOST_KEY] ?? ''}\n`, { mode: 0o600 });
    const own = await hostRunner.run(['ssh-keygen', '-y', '-P', '', '-f', place('host-key')], { okCodes: [0, 1, 255] });
    expect(own.code === 0 && own.stdout.startsWith(hostKey) && hostKey !== '', 'the host key is not good');
    const machineId = files['/etc/machine-id']?.trim() ?? '';
    expect(/^[0-9a-f]{32}$/.test(machineId), `the machine id is "${machineId}"`);

    const { report, bundle } = await published(card);
    expect(report?.ssh_host_key.startsWith(hostKey) === true, 'the report names another host key');
    expect(bundle !== undefined, 'there is no bundle');
    expect(report?.bundle?.sha256 === sha256(bundle ?? ''), 'the report names another bundle');
    const { stdout } = await hostRunner.run(['age', '-d', '-i', identity], { input: bundle ?? '', timeout: 60 });
    const secret = JSON.parse(stdout) as Secret;
    await writeFile(place('key'), secret.luks_recovery_key, { mode: 0o600 });
    const container = (await hostRunner.run(['cryptsetup', 'luksUUID', place('part.4')])).stdout.trim();
    expect(report?.container === container, 'the report names another container');
    const containers = await containersOn(card);
    expect(
      String(containers) === String((parts.get(4)?.start ?? 0) * SECTOR),
      `there are containers at ${containers.join(', ')}`,
    );
    for (const [name, password] of Object.entries(secret.sudo_passwords)) {
      expect(
        await unlocksShadow(files['/etc/shadow'] ?? '', name, password),
        `the sudo password of ${name} is another`,
      );
    }

    // Fails unless the bundle's key opens the container.
    await decryptContainer(place('part.4'), place('key'), place('plain.4'));
    const data = await checkExt4(place('plain.4'));
    expect(data === '', `data file system: ${data}`);
    const inside = await readFiles(place('plain.4'), ['/tls/key.pem', '/tls/cert.pem', FLASK, FERNET, USERS]);
    const tlsKey = sha256(publicKey(inside['/tls/key.pem'] ?? ''));
    expect(report?.tls_key_sha256 === tlsKey, 'the report names another TLS key');
    const { days } = JSON.parse(files[TLS] ?? '') as { days: number };
    const certificate = certificateFault(inside['/tls/cert.pem'] ?? '', inside['/tls/key.pem'] ?? '', days);
    expect(certificate === '', certificate);
    expect(/^FLASK_SECRET_KEY=\S{43,}$/m.test(inside[FLASK] ?? ''), 'Flask has no key');
    expect(Buffer.from(inside[FERNET] ?? '', 'base64url').length === 32, 'the Fernet key is not good');
    const account = accountFault(inside[USERS] ?? '', secret.application_admin_password);
    expect(account === '', account);
    return {
      identity: {
        ...{ hostKey, machineId, container, tlsKey, bundle: sha256(bundle ?? '') },
        ...{ flaskKey: sha256(inside[FLASK] ?? ''), fernetKey: sha256(inside[FERNET] ?? '') },
      },
      wrong,
    };
  } catch (error) {
    return { identity: nothing, wrong: [...wrong, error instanceof Error ? error.message : String(error)] };
  } finally {
    for (const path of made) await rm(path, { force: true });
  }
}

/** The host key that sshd may have shown already, on a card as a cut left it: sshd starts when its mark is there. */
export async function shownHostKey(card: string, folder: string): Promise<Partial<Pick<Identity, 'hostKey'>>> {
  const root = (await partitionsOf(card)).get(2);
  if (root === undefined) return {};
  const path = join(folder, 'root.cut');
  try {
    await copyPartition(card, root, path);
    await checkExt4(path);
    if (!(await hasFile(path, '/var/lib/amslpr-device/ssh-ready'))) return {};
    const { [`${HOST_KEY}.pub`]: text = '' } = await readFiles(path, [`${HOST_KEY}.pub`]);
    return { hostKey: text.split(' ').slice(0, 2).join(' ') };
  } finally {
    await rm(path, { force: true });
  }
}

/** Of a card that has none. */
export const nothing: Identity = {
  ...{ hostKey: '', machineId: '', container: '', bundle: '', tlsKey: '', flaskKey: '', fernetKey: '' },
};

function publicKey(pem: string): Buffer {
  return createPublicKey(createPrivateKey(pem)).export({ type: 'spki', format: 'der' });
}

async function unlocksShadow(shadow: string, name: string, password: string): Promise<boolean> {
  const hash = new RegExp(`^${name}:([^:]*):`, 'm').exec(shadow)?.[1] ?? '';
  const salt = /^\$6\$((?:rounds=\d+\$)?[^$]+)\$/.exec(hash)?.[1];
  if (salt === undefined) return false;
  const argv = ['openssl', 'passwd', '-6', '-salt', salt, '-stdin'];
  return (await hostRunner.run(argv, { input: `${password}\n` })).stdout.trim() === hash;
}
