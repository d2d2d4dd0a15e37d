import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

// What run-books tell people to type.

const root = join(import.meta.dirname, '../..');
export const read = (path: string): string => readFileSync(join(root, path), 'utf8');
export const pages = readdirSync(join(root, 'docs/runbooks')).map((name) => `docs/runbooks/${name}`);

/** Programs that run-books start on the device, by the package that brings them. */
export const programs: Readonly<Record<string, readonly string[]>> = {
  aide: ['aide'],
  apt: ['apt'],
  coreutils: ['cat', 'df', 'du', 'ls', 'rm', 'sort', 'tail', 'uname'],
  curl: ['curl'],
  dpkg: ['dpkg'],
  fail2ban: ['fail2ban-client'],
  iproute2: ['ss'],
  less: ['less'],
  'libc-bin': ['getent'],
  'libpam-modules-bin': ['faillock'],
  'network-manager': ['nmcli'],
  nginx: ['nginx'],
  openssl: ['openssl'],
  passwd: ['usermod'],
  procps: ['sysctl'],
  'python3-minimal': ['python3'],
  systemd: ['journalctl', 'loginctl', 'systemctl', 'systemd-cgtop', 'timedatectl'],
  ufw: ['ufw'],
  'unattended-upgrades': ['unattended-upgrade'],
};

/** Those that are not on the device, and where they are meant. */
export const elsewhere: Readonly<Record<string, string>> = {
  age: 'on the machine that has the keys',
  git: 'named as what nobody should do',
  install: 'on the server of copies',
  nc: 'named as not installed',
  nmap: 'on another computer in the network',
  scp: 'on the operator’s machine',
  sha256sum: 'on the operator’s machine',
  ssh: 'on the operator’s machine',
  'ssh-keygen': 'on the server of copies',
  'ssh-keyscan': 'on the operator’s machine',
  'ssh-audit': 'on another computer in the network',
  sslscan: 'on another computer in the network',
  'systemd-journal-remote': 'on the machine that collects logs',
  tar: 'on the machine that has the application',
  useradd: 'on the server of copies',
  testssl: 'on another computer in the network',
  'testssl.sh': 'on another computer in the network',
};

/** Words of the shell. */
export const shell = new Set(['printf', 'read']);
/** Words in backquotes that are no commands: options, values, names. */
export const plain = new Set(
  'admin app build cameras monitoring on passphrase restrict sources starttls temperature tls'.split(' '),
);

/** Indented lines of a page that are commands, and what is in backquotes. */
export function codeOf(text: string): string[] {
  const blocks = text
    .replaceAll(/\\\n +/g, ' ')
    .split('\n')
    // Other indented lines are parts of a site file.
    .filter((line) => /^ {4}/.test(line) && !/^ +(# *)?([a-z-]+:( |$)|- )/.test(line));
  return [...blocks, ...[...text.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code.replaceAll('\\|', '|'))];
}

/** The programs that a piece of code starts: on this computer, by sudo, and behind ssh. */
export function programsIn(code: string): string[] {
  const tokens = code.trim().match(/#.*|\d?[<>]+ *\S+|[|;&()]+|(?:[^\s|;&()<>'"]|'[^']*'|"[^"]*")+/g) ?? [];
  const found: string[] = [];
  let words: string[] = [];
  for (const token of [...tokens, ';']) {
    if (/^(#|\d?[<>])/.test(token)) continue;
    if (!/^[|;&()]/.test(token)) words.push(token);
    else {
      found.push(...started(words));
      words = [];
    }
  }
  return found;
}

function started(words: readonly string[]): string[] {
  const [first, ...rest] = words;
  if (first === undefined) return [];
  if (first === 'sudo') return started(withoutOptions(rest, ['-p']));
  if (first === 'ssh')
    return [
      first,
      ...programsIn(
        withoutOptions(rest, [])
          .slice(1)
          .join(' ')
          .replace(/^'(.*)'$/, '$1'),
      ),
    ];
  return /^[a-z/][a-z0-9./+-]*$/.test(first) ? [first.replace(/^\/usr\/s?bin\//, '')] : [];
}

function withoutOptions(words: readonly string[], withValue: readonly string[]): string[] {
  const [first = '', second, ...rest] = words;
  if (!first.startsWith('-')) return [...words];
  return withoutOptions(withValue.includes(first) || second === undefined ? rest : [second, ...rest], withValue);
}
