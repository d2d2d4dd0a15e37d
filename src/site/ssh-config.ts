import { access, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import type { Site } from './validate.ts';

/** A path as ssh_config takes it: `%` stands for something else there, a quote would end it. */
export const quotedPath = (path: string): string => `"${path.replaceAll(/["\\]/g, '\\$&').replaceAll('%', '%%')}"`;

/** What the host key is compared with: that of the name, wherever the device is, and nothing of other devices. */
export const hostKeyLines = (hostname: string, knownHosts: string): readonly string[] => [
  `HostKeyAlias ${hostname}`,
  `UserKnownHostsFile ${quotedPath(knownHosts)}`,
  'GlobalKnownHostsFile /dev/null',
  'HostKeyAlgorithms ssh-ed25519',
  'UpdateHostKeys no',
];

/** Files beside `base` by which the administrators of a site reach a device that was not enrolled yet. */
export const accessFiles = (base: string, { admins }: Site): readonly string[] => [
  `${base}.ssh_config`,
  `${base}.known_hosts`,
  ...admins.flatMap(({ name, keys }) => keys.map((_, index) => publicFile(base, name, index))),
];

/**
 * Writes BASE.ssh_config, and each administrator's public keys, of which ssh offers those and no other key that an agent
 * holds. `keyFolder` is where private keys may lie that no agent holds. Returns the path of the configuration.
 */
export async function writeAccess(base: string, site: Site, keyFolder = join(homedir(), '.ssh')): Promise<string> {
  const [config = '', knownHosts = ''] = accessFiles(base, site);
  // The card gets a host key of its own at its first start.
  await rm(knownHosts, { force: true });
  const users: string[] = [];
  for (const { name, keys } of site.admins) {
    users.push(`Match user ${name}`);
    for (const [index, key] of keys.entries()) {
      const file = publicFile(base, name, index);
      await writeFile(file, `${key}\n`);
      const own = await privateFile(keyFolder, key);
      for (const path of [...(own === undefined ? [] : [own]), file]) {
        users.push(`  IdentityFile ${quotedPath(resolve(path))}`);
      }
    }
  }
  const lines = [
    '# How administrators reach the device before it is enrolled, whatever keys their agent holds:',
    `#   ssh -F ${basename(config)} ${site.admins[0]?.name}@ADDRESS`,
    ...addressLines(site),
    'Host *',
    `  User ${site.admins[0]?.name}`,
    '  IdentitiesOnly yes',
    ...hostKeyLines(site.hostname, resolve(knownHosts)).map((line) => `  ${line}`),
    ...users,
  ];
  await writeFile(config, `${lines.join('\n')}\n`);
  return config;
}

/** The site gives a fixed address, or the router does. */
function addressLines({ hostname, network }: Site): string[] {
  const address = network?.wired?.address;
  return address === undefined ? [] : [`Host ${hostname}`, `  HostName ${address.split('/')[0]}`];
}

const publicFile = (base: string, admin: string, index: number): string =>
  `${base}.${admin}${index === 0 ? '' : `.${index + 1}`}.pub`;

/** The private half in `folder`, where its public one lies beside it. */
async function privateFile(folder: string, key: string): Promise<string | undefined> {
  const wanted = material(key);
  for (const name of (await readdir(folder).catch(() => [])).sort()) {
    if (!name.endsWith('.pub')) continue;
    const own = join(folder, name.slice(0, -'.pub'.length));
    const found = await readFile(join(folder, name), 'utf8').catch(() => '');
    if (material(found) !== wanted) continue;
    if (
      await access(own).then(
        () => true,
        () => false,
      )
    )
      return own;
  }
  return undefined;
}

/** Type and key, without the comment. */
const material = (line: string): string => line.trim().split(/\s+/).slice(0, 2).join(' ');
