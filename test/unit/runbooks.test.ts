import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseLock } from '../../src/engine/lock.ts';

// What run-books tell people to type exists: verbs of `amslpr-device` and their flags in the code of the device, verbs of
// the tool, programs in the packages of the image, and units.

const root = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const pages = readdirSync(join(root, 'docs/runbooks')).map((name) => `docs/runbooks/${name}`);
const device = readdirSync(join(root, 'device/amslpr_device'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.py'))
  .map((name) => read(`device/amslpr_device/${name}`))
  .join('\n');
const lockFile = 'config/amslpr.lock.yaml';
const packages = new Set(parseLock(read(lockFile), lockFile).image?.packages.map(({ name }) => name));

/** Programs that run-books start on the device with sudo, and the packages that bring them. */
const programs: Readonly<Record<string, string>> = {
  apt: 'apt',
  aide: 'aide',
  dpkg: 'dpkg',
  du: 'coreutils',
  'fail2ban-client': 'fail2ban',
  faillock: 'libpam-modules-bin',
  install: 'coreutils',
  journalctl: 'systemd',
  less: 'less',
  loginctl: 'systemd',
  nginx: 'nginx',
  nmcli: 'network-manager',
  openssl: 'openssl',
  rm: 'coreutils',
  ss: 'iproute2',
  systemctl: 'systemd',
  ufw: 'ufw',
  'unattended-upgrade': 'unattended-upgrades',
  usermod: 'passwd',
};
/** Those that run-books start with sudo on another computer. */
const elsewhere = new Set(['nmap']);

/** Code of a page: indented lines, and what is in backquotes. */
const codeOf = (text: string): string[] => [
  ...text.split('\n').filter((line) => /^ {4}/.test(line)),
  ...[...text.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code),
];

const verbs = (): Set<string> => {
  const cli = read('device/amslpr_device/cli.py');
  const named = [...cli.matchAll(/\bverb (?:==|in) (\([^)]*\)|'[a-z-]+')/g)].flatMap(([, list = '']) =>
    [...list.matchAll(/'([a-z-]+)'/g)].map(([, verb = '']) => verb),
  );
  return new Set(named);
};

/** What of a page's commands is nowhere. */
function unknown(text: string): string[] {
  const known = verbs();
  const tool = readdirSync(join(root, 'src/cli')).map((name) => name.replace(/\.ts$/, ''));
  return codeOf(text).flatMap((code) => {
    const found: string[] = [];
    for (const [, verb = '', rest = ''] of code.matchAll(/amslpr-device ([a-z-]+)([^'|;&#>]*)/g)) {
      if (!known.has(verb)) found.push(`amslpr-device ${verb}`);
      const [word = ''] = /^ [a-z]{3,}\b(?![.-])/.exec(rest) ?? [];
      if (word !== '' && !new RegExp(`(['" |]|^)${word.trim()}\\b`, 'm').test(device))
        found.push(`amslpr-device ${verb}${word}`);
      for (const [flag] of rest.matchAll(/--[a-z-]+/g))
        if (!device.includes(`'${flag}'`)) found.push(`amslpr-device ${verb} ${flag}`);
    }
    for (const [, verb = ''] of code.matchAll(/npm run image -- ([a-z-]+)/g))
      if (!tool.includes(verb)) found.push(`npm run image -- ${verb}`);
    for (const [, program = ''] of code.matchAll(/(?<!getent group )\bsudo (?:-S |-k |-p "" )*([a-z][a-z0-9-]*)/g)) {
      if (program === 'amslpr-device' || elsewhere.has(program)) continue;
      if (!packages.has(programs[program] ?? '')) found.push(`sudo ${program}`);
    }
    return found;
  });
}

describe('commands of run-books', () => {
  it.each(pages)('%s names commands that exist', (page) => {
    expect(unknown(read(page))).toEqual([]);
  });

  it('README names commands that exist', () => {
    // Its other commands are for the host.
    expect(unknown(read('README.md')).filter((one) => !one.startsWith('sudo '))).toEqual([]);
  });

  it('are found where they are', () => {
    const all = pages.flatMap((page) => codeOf(read(page))).join('\n');
    expect(all.match(/amslpr-device [a-z]/g)?.length).toBeGreaterThan(15);
    expect(read('docs/runbooks/incident.md')).toMatch(/isolate.*collect-evidence.*support-bundle/s);
  });

  it.each([
    ['a verb that is not there', '    sudo amslpr-device vanish', 'amslpr-device vanish'],
    ['a word that is not there', 'run `sudo amslpr-device isolate sideways`', 'amslpr-device isolate sideways'],
    ['a flag that is not there', '    sudo amslpr-device isolate --for-ever', 'amslpr-device isolate --for-ever'],
    ['a verb of the tool', '`npm run image -- vanish`', 'npm run image -- vanish'],
    ['a program that no package brings', '    sudo tcpdump -i eth0', 'sudo tcpdump'],
  ])('are missed: %s', (_what, text, missing) => {
    expect(unknown(text)).toEqual([missing]);
  });
});
