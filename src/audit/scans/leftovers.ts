import { md5sums } from '../dpkg.ts';
import { anyPattern, patternToRegExp } from '../paths.ts';
import type { Tree, TreeEntry } from '../tree.ts';
import { count, readParameters, type Scan } from './scan.ts';

/** Files that belong to one device or to the build, by pattern, with what they are. */
const UNWANTED: readonly (readonly [pattern: string, what: string])[] = [
  ['/etc/ssh/ssh_host_*', 'an SSH host key, the same on every card'],
  ['/etc/machine-id.*', 'a copy of the machine id'],
  ['/var/lib/dbus/machine-id', 'a second machine id'],
  ['/var/lib/systemd/random-seed', 'a random seed, the same on every card'],
  ['/boot/firmware/loader/random-seed', 'a random seed, the same on every card'],
  ['/var/lib/systemd/credential.secret', 'a key, the same on every card'],
  ['/etc/ssl/private/ssl-cert-snakeoil.key', 'a TLS key, the same on every card'],
  ['/var/lib/NetworkManager/secret_key', 'a key for private addresses, the same on every card'],
  ['/var/lib/NetworkManager/seen-bssids', 'what somebody connected to'],
  ['/var/lib/NetworkManager/timestamps', 'what somebody connected to'],
  ['/var/lib/NetworkManager/*.lease', 'an address of another machine'],
  ['/var/lib/dhcp/*.lease*', 'an address of another machine'],
  ['/var/lib/dhcpcd/**/*.lease*', 'an address of another machine'],
  ['/var/lib/dhcpcd/duid', 'an identifier, the same on every card'],
  ['/etc/NetworkManager/system-connections/*', 'a network of one site'],
  ['/etc/hostid', 'an identifier, the same on every card'],
  ['/etc/nvme/host*', 'an identifier, the same on every card'],
  ['/etc/iscsi/initiatorname.iscsi', 'an identifier, the same on every card'],
  ['/var/lib/cloud/**', 'the state of another machine'],
  ['/etc/apt/auth.conf', 'a password for package sources'],
  ['/etc/apt/auth.conf.d/*', 'a password for package sources'],
  ['/**/authorized_keys', 'keys that may log in'],
  ['/**/authorized_keys2', 'keys that may log in'],
  ['/etc/ssh/authorized_keys.d/*', 'keys that may log in'],
  ['/**/.*_history', 'what somebody typed'],
  ['/**/.lesshst', 'what somebody read'],
  ['/**/.viminfo', 'what somebody edited'],
  ['/**/.wget-hsts', 'what somebody fetched'],
  ['/**/id_rsa', 'a private SSH key'],
  ['/**/id_ed25519', 'a private SSH key'],
  ['/**/id_ecdsa', 'a private SSH key'],
  ['/var/lib/apt/lists/*_Packages*', 'a package index of the build'],
  ['/var/lib/apt/lists/*_InRelease', 'a package index of the build'],
  ['/var/cache/apt/*.bin', "apt's cache of the build"],
  ['/var/cache/apt/archives/*.deb', 'a downloaded package'],
  ['/var/cache/debconf/*-old', 'a backup copy of the build'],
  ['/var/lib/dpkg/*-old', 'a backup copy of the build'],
  ['/var/cache/ldconfig/aux-cache', 'a cache that holds times of the build'],
  ['/var/log/**/*.log', 'a log of the build'],
  ['/var/log/*.gz', 'a log of the build'],
  ['/var/log/apt/*', 'a log of the build'],
  ['/var/log/journal/**/*.journal', 'a journal of another machine'],
  ['/usr/sbin/policy-rc.d', 'a switch that keeps services from starting'],
  ['/etc/resolv.conf', "the build's name servers"],
  ['/etc/apt/apt.conf.d/*mmdebstrap*', 'a setting of the build'],
  ['/usr/bin/qemu-*-static', 'an emulator of the build'],
  ['/tmp/*', 'a temporary file'],
  ['/var/tmp/*', 'a temporary file'],
  ['/run/*', 'a file of a running system'],
  ['/dev/shm/*', 'a file of a running system'],
  ['/root/.cache', 'a cache of the build'],
  ['/boot/firmware/ssh', 'a file that switches SSH on'],
  ['/boot/firmware/ssh.txt', 'a file that switches SSH on'],
  ['/boot/firmware/wpa_supplicant.conf', 'a Wi-Fi password'],
  ['/boot/firmware/site.yaml', 'the settings of one site'],
];
const PRIVATE_KEY_FILE = /\/(?:key\.pem|privkey\.pem|[^/]+\.key)$/;
const PRIVATE_KEY_TEXT = /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----/;
/** The first bytes of a header of LUKS, and of the copy behind it. */
const LUKS = /^(?:LUKS|SKUL)\xba\xbe/;
const UTF8 = new TextDecoder();
const BYTES = new TextDecoder('latin1');

function machineIdProblem(tree: Tree): string[] {
  const text = tree.text('/etc/machine-id');
  if (text === undefined) return ['/etc/machine-id is not there, so the first boot is not taken for one'];
  if (text.trim() === 'uninitialized') return [];
  return [`/etc/machine-id holds ${text.trim() === '' ? 'nothing' : 'an id'}, not "uninitialized"`];
}

function resolvConfIsRuntime(entry: TreeEntry): boolean {
  return entry.path === '/etc/resolv.conf' && entry.type === 'symlink' && /^(\.\.)?\/run\//.test(entry.target ?? '');
}

/** Test keys that a package brings are public, and no secret. */
function packagedFiles(tree: Tree): (path: string) => boolean {
  let sums: Map<string, string> | undefined;
  return (path) => {
    sums ??= new Map(md5sums(tree).map((file) => [file.path, file.md5]));
    return sums.has(path) && sums.get(path) === tree.md5(path);
  };
}

/** Nothing in the image belongs to one device or to the machine that built it. */
export const leftovers: Scan = (tree, parameters) => {
  const given = readParameters(parameters, ['allow', 'strings']);
  const allowed = anyPattern(given.strings('allow'));
  const strings = given.strings('strings');
  const unwanted = UNWANTED.map(([pattern, what]) => [patternToRegExp(pattern), what] as const);
  const isPackaged = packagedFiles(tree);
  const problems = machineIdProblem(tree);
  let looked = 0;
  let searched = 0;
  for (const entry of tree.entries()) {
    looked++;
    if (entry.type === 'directory' && !entry.path.startsWith('/root/')) continue;
    if (allowed(entry.path) || resolvConfIsRuntime(entry)) continue;
    const what = unwanted.find(([expression]) => expression.test(entry.path))?.[1];
    if (what !== undefined) problems.push(`${entry.path} is ${what}`);
    if (entry.type !== 'file') continue;
    // A public key in a file named .key (keyrings, documentation) is none of these: the text tells.
    const head = UTF8.decode(entry.head ?? new Uint8Array());
    if (LUKS.test(BYTES.decode(entry.head?.subarray(0, 6) ?? new Uint8Array())))
      problems.push(`${entry.path} is a LUKS header, whose key every card would share`);
    const named = PRIVATE_KEY_FILE.test(entry.path) && !/PUBLIC KEY/.test(head) && entry.size > 0;
    const code = /^\/usr\/(?:lib|share)\//.test(entry.path);
    const isKey = (named && !code) || PRIVATE_KEY_TEXT.test(head);
    if (isKey && !isPackaged(entry.path)) problems.push(`${entry.path} is a private key`);
    const text = strings.length === 0 ? undefined : tree.text(entry.path);
    if (text === undefined) continue;
    searched++;
    const found = strings.find((string) => text.includes(string));
    if (found !== undefined) problems.push(`${entry.path} names ${found}`);
  }
  const texts = strings.length === 0 ? '' : `, ${count(searched, 'text')} searched for ${strings.join(', ')}`;
  return { looked: `${count(looked, 'path')} against ${unwanted.length + 4} rules${texts}`, problems };
};
