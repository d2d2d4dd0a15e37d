import { existsSync, lstatSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { chmod, chown, lstat, mkdir, readlink, symlink, writeFile } from 'node:fs/promises';
import { release, userInfo } from 'node:os';
import { join, relative } from 'node:path';
import { type Arm64, decideArm64, registration } from './arm64.ts';
import type { Cache } from './cache.ts';
import { applyIdMaps, idMaps } from './ids.ts';
import { hostRunner, type RunOptions, type RunResult, shellQuote } from './runner.ts';

/** A folder or file of the host, or directories of the cache stacked by overlayfs, to be seen at `target`. */
export type Mount =
  | { readonly kind: 'bind'; readonly source: string; readonly target: string; readonly write?: boolean }
  | ({ readonly kind: 'stack'; readonly target: string } & Stack);

/** Directories below the cache, lowest first. `upper` holds `fs` (what changed) and `work`; without it nothing can change. */
export interface Stack {
  readonly lower: readonly string[];
  readonly upper?: string;
}

export interface NamespaceOptions extends Omit<RunOptions, 'handshake'> {
  /** The root to run in: the host's own programs and nothing else of it, or a stack. `discard` keeps no change. */
  readonly root: { readonly kind: 'host' } | ({ readonly kind: 'stack'; readonly discard?: boolean } & Stack);
  readonly mounts?: readonly Mount[];
  /** Whether the host's network can be reached. Default false: a network without even a loopback device that is up. */
  readonly network?: boolean;
  /** Path, on the host, of the emulator for arm64 programs; absent: none are run. */
  readonly emulator?: string;
}

export interface Namespace {
  run(argv: readonly string[], options: NamespaceOptions): Promise<RunResult>;
}

const SLOTS = 16;
const HOST_FOLDERS = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32', 'usr', 'etc'];
const DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];

/**
 * Mount points for the outer root. They are real directories, since whoever mounts is not yet mapped and so can create
 * nothing; every namespace mounts onto the same ones in a table of its own.
 */
async function ensureSkeleton(cache: Cache): Promise<void> {
  const make = async (name: string): Promise<void> => {
    await mkdir(join(cache.skeleton, name), { recursive: true, mode: 0o755 });
  };
  if (existsSync(join(cache.skeleton, 'complete'))) return;
  for (const folder of HOST_FOLDERS) {
    const seen = await lstat(`/${folder}`).catch(() => undefined);
    const present = await lstat(join(cache.skeleton, folder)).catch(() => undefined);
    if (seen === undefined || present !== undefined) continue;
    if (seen.isSymbolicLink()) await symlink(await readlink(`/${folder}`), join(cache.skeleton, folder));
    else await make(folder);
  }
  for (const name of ['dev', 'proc', 'sys', 'tmp', 'run', 'var', 'cache', 'root', 'image', 'binfmt']) await make(name);
  for (let slot = 0; slot < SLOTS; slot += 1) {
    await make(`d${slot}`);
    await writeFile(join(cache.skeleton, `f${slot}`), '');
  }
  await writeFile(join(cache.skeleton, 'complete'), '');
}

/** Hands the folders in which a namespace makes directories to the namespace's root. */
async function ownByNamespace(cache: Cache, uid: number, gid: number): Promise<void> {
  if (userInfo().uid !== 0) return;
  for (const folder of [cache.layers, cache.toolboxes]) {
    await chown(folder, uid, gid);
    await chmod(folder, 0o755);
  }
}

function hostHandlers(): string[] {
  const folder = '/proc/sys/fs/binfmt_misc';
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name !== 'register' && name !== 'status')
    .map((name) => readFileSync(join(folder, name), 'utf8'));
}

/** How arm64 programs run here, given the emulator's path inside the namespace. */
export const arm64Here = (interpreter: string): Arm64 =>
  decideArm64({ arch: process.arch, kernel: release(), handlers: hostHandlers() }, interpreter);

export async function openNamespace(cache: Cache): Promise<Namespace> {
  const maps = await idMaps();
  await ensureSkeleton(cache);
  await ownByNamespace(cache, maps.uid[0]?.[1] ?? 0, maps.gid[0]?.[1] ?? 0);
  const call = process.arch === 'arm64' ? MOUNT_CALL.arm64 : MOUNT_CALL.x64;
  return {
    run(argv, options) {
      const { binds, inner } = scripts(cache, argv, options);
      const { root: _root, mounts: _mounts, network, emulator: _emulator, ...rest } = options;
      return hostRunner.run(
        ['unshare', '--user', '--keep-caps', '--mount', '--ipc', '--uts', ...(network === true ? [] : ['--net'])]
          .concat(['--propagation', 'private', '--', 'perl', '-e', OUTER, '--'])
          .concat([String(call), cache.skeleton, String(binds.length), ...binds.flat()])
          .concat(['unshare', '--pid', '--fork', '--kill-child', 'sh', '-c', inner, 'sh'])
          .concat(argv),
        {
          ...rest,
          env: { HOME: '/root', PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...rest.env },
          handshake: async (pid, answer) => {
            await applyIdMaps(pid, maps);
            answer.write('\n');
          },
        },
      );
    },
  };
}

/** A path below the cache as the namespace sees it. */
function inCache(cache: Cache, path: string): string {
  const below = relative(cache.root, path);
  if (below.startsWith('..')) throw new TypeError(`${path} is not in the cache`);
  return `/cache/${below}`;
}

const MOUNT_CALL = { x64: 165, arm64: 40 } as const;

/**
 * mount(8) refuses to work for a caller that the namespace does not know yet, so the first mounts are made by mount(2)
 * itself, through perl, which every Debian has. Arguments: call number, skeleton, how many pairs, pairs, then the command.
 */
const OUTER = `
use strict;
open(my $host, '+<&=', 3) or die "fd 3: $!";
syswrite($host, "r"); sysread($host, my $answer, 1) or exit 1; close($host);
my ($call, $skeleton, $count) = splice(@ARGV, 0, 3);
chdir($skeleton) or die "$skeleton: $!\\n";
while ($count-- > 0) {
  my ($source, $place) = splice(@ARGV, 0, 2);
  my $none = "none"; my $empty = 0;
  syscall($call, $source, $place, $none, 4096 | 16384, $empty) == 0 or die "cannot bind $source: $!\\n";
}
chroot('.') or die "chroot: $!\\n";
exec(qw(setpriv --reuid 0 --regid 0 --clear-groups --inh-caps=-all setpriv --pdeathsig KILL), @ARGV) or die "setpriv: $!\\n";
`;

/**
 * Two scripts. The outer one runs as the caller, unmapped, and binds what only the caller may reach (a checkout below
 * /root, say); the inner one is root of the namespace and process 1, and mounts what needs ids.
 */
function scripts(
  cache: Cache,
  argv: readonly string[],
  options: NamespaceOptions,
): { binds: [source: string, place: string][]; inner: string } {
  const binds: [source: string, place: string][] = HOST_FOLDERS.filter(
    (name) => statSync(`/${name}`, { throwIfNoEntry: false }) !== undefined,
  )
    .filter((name) => !lstatSync(`/${name}`).isSymbolicLink())
    .map((name) => [`/${name}`, name]);
  binds.unshift([cache.root, 'cache'], ['/dev', 'dev']);
  const inner = [
    'set -eu',
    'mount -t proc proc /proc',
    'mount -t tmpfs -o mode=1777 tmpfs /tmp',
    'mount -t tmpfs tmpfs /run',
  ];
  inner.push('mkdir /tmp/.host-tmp', 'mount -t tmpfs tmpfs /var', 'mkdir -p /var/lib/dpkg /var/tmp');

  const root = options.root.kind === 'host' ? '' : '/root';
  if (options.root.kind === 'stack')
    inner.push(...stackLines(cache, options.root, root, options.root.discard === true));
  inner.push(...kernelFileSystems(root));
  let slot = 0;
  for (const mount of [...(options.network === true ? nameResolution() : []), ...(options.mounts ?? [])]) {
    const target = `${root}${mount.target}`;
    if (mount.kind === 'stack') {
      inner.push(shellQuote(['mkdir', '-p', target]), ...stackLines(cache, mount, target, false));
      continue;
    }
    const folder = statSync(mount.source).isDirectory();
    const place = `${folder ? 'd' : 'f'}${slot}`;
    slot += 1;
    binds.push([mount.source, place]);
    inner.push(
      folder
        ? shellQuote(['mkdir', '-p', target])
        : `${shellQuote(['mkdir', '-p', join(target, '..')])}; ${shellQuote(['touch', target])}`,
    );
    inner.push(shellQuote(['mount', folder ? '--rbind' : '--bind', `/${place}`, target]));
    if (mount.write !== true) inner.push(readOnly(target));
  }
  inner.push(...emulation(cache, options.emulator), ...kernelReadOnly(root));
  inner.push(`cd ${root === '' ? '/' : root}`);
  inner.push(root === '' ? 'exec "$@"' : `exec chroot ${root} "$@"`);
  if (options.cwd !== undefined) throw new TypeError('a namespace has no working directory of the host');
  if (argv.length === 0) throw new TypeError('an empty command');
  return { binds, inner: inner.join('\n') };
}

/** The file behind /etc/resolv.conf, where that is a link into /run. */
function nameResolution(): Mount[] {
  if (!existsSync('/etc/resolv.conf')) return [];
  const source = realpathSync('/etc/resolv.conf');
  return source.startsWith('/etc/') || source.startsWith('/usr/') ? [] : [{ kind: 'bind', source, target: source }];
}

/** A bound mount cannot lose the restrictions that it came with, so they are said again. */
const readOnly = (target: string): string =>
  `mount -o "remount,bind,ro$(findmnt -n -o VFS-OPTIONS --mountpoint ${shellQuote([target])} | tail -n 1 | tr , '\\n' | grep -E '^(nosuid|nodev|noexec|noatime|nodiratime|relatime)$' | sed 's/^/,/' | tr -d '\\n')" ${shellQuote([target])}`;

function stackLines(cache: Cache, stack: Stack, target: string, discard: boolean): string[] {
  const lower = stack.lower.map((path) => inCache(cache, path)).reverse();
  const [only] = lower;
  if (stack.upper === undefined && !discard && lower.length === 1 && only !== undefined) {
    return [shellQuote(['mount', '--bind', only, target]), readOnly(target)];
  }
  const common = `userxattr,lowerdir=${lower.join(':')}`;
  if (discard) {
    return [
      'mkdir /tmp/.discard',
      'mount -t tmpfs -o mode=755 tmpfs /tmp/.discard',
      'mkdir /tmp/.discard/fs /tmp/.discard/work',
      shellQuote([
        'mount',
        '-t',
        'overlay',
        '-o',
        `${common},upperdir=/tmp/.discard/fs,workdir=/tmp/.discard/work`,
        'overlay',
        target,
      ]),
    ];
  }
  if (stack.upper === undefined) return [shellQuote(['mount', '-t', 'overlay', '-o', common, 'overlay', target])];
  const upper = inCache(cache, stack.upper);
  if (lower.length === 0) return [shellQuote(['mount', '--bind', `${upper}/fs`, target])];
  const writable = `${common},upperdir=${upper}/fs,workdir=${upper}/work`;
  return [shellQuote(['mount', '-t', 'overlay', '-o', writable, 'overlay', target])];
}

/** /proc, an empty /sys (a build must not depend on the machine), device nodes bound one by one, and fresh /run and /tmp. */
function kernelFileSystems(root: string): string[] {
  if (root === '') return ['mkdir -p /dev/shm 2>/dev/null || true'];
  const dev = `${root}/dev`;
  return [
    `mkdir -p ${root}/proc ${root}/sys ${dev} ${root}/run ${root}/tmp ${root}/var/tmp`,
    `mount -t proc proc ${root}/proc`,
    `mount -t tmpfs -o ro,mode=555 tmpfs ${root}/sys`,
    `mount -t tmpfs -o mode=755 tmpfs ${dev}`,
    `mkdir ${dev}/pts ${dev}/shm`,
    ...DEVICES.map((name) => `touch ${dev}/${name}; mount --bind /dev/${name} ${dev}/${name}`),
    `mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts ${dev}/pts`,
    `ln -s pts/ptmx ${dev}/ptmx`,
    `mount -t tmpfs -o mode=1777 tmpfs ${dev}/shm`,
    `ln -s /proc/self/fd ${dev}/fd; ln -s fd/0 ${dev}/stdin; ln -s fd/1 ${dev}/stdout; ln -s fd/2 ${dev}/stderr`,
    `mount -t tmpfs -o mode=755 tmpfs ${root}/run`,
    `mount -t tmpfs -o mode=1777 tmpfs ${root}/tmp`,
    `mount -t tmpfs -o mode=1777 tmpfs ${root}/var/tmp`,
  ];
}

function emulation(cache: Cache, emulator: string | undefined): string[] {
  if (emulator === undefined) return [];
  const inside = emulator.startsWith(`${cache.root}/`) ? inCache(cache, emulator) : emulator;
  const how = arm64Here(inside);
  if (how.kind !== 'emulated') return [];
  return [
    'mount -t binfmt_misc binfmt_misc /binfmt',
    `printf %s ${shellQuote([registration(how.interpreter)])} >/binfmt/register`,
  ];
}

const kernelReadOnly = (root: string): string[] =>
  [...new Set(['/proc', `${root}/proc`])].map(
    (proc) => `mount --bind ${proc}/sys ${proc}/sys; mount -o remount,bind,ro ${proc}/sys`,
  );
