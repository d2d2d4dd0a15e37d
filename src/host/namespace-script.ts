import { existsSync, lstatSync, realpathSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { registration } from './arm64.ts';
import type { Cache } from './cache.ts';
import { type RunOptions, shellQuote } from './runner.ts';
import { HOST_FOLDERS, SLOTS } from './skeleton.ts';

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
  /**
   * Calls that wait for the disk do nothing and succeed: for what is thrown away after a crash anyway. Whoever keeps the
   * result has to sync it.
   */
  readonly unsynced?: boolean;
  /** Path, on the host, of a handler for arm64 programs, to be registered in a private binfmt_misc (kernel 6.7). */
  readonly emulator?: string;
}

const KERNEL_FOLDERS = ['dev', 'proc', 'sys', 'cache', 'binfmt'];
const DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];

/** A path below the cache as the namespace sees it. */
function inCache(cache: Cache, path: string): string {
  const below = relative(cache.root, path);
  if (below.startsWith('..')) throw new TypeError(`${path} is not in the cache`);
  return `/cache/${below}`;
}

/**
 * Two scripts. `tops` are the folders of the outer root that have to be there before: an archive in /srv, seen where it is
 * on the host, needs a /srv. The outer script runs as the caller, unmapped, and binds what only the caller may reach (a checkout below
 * /root, say); the inner one is root of the namespace and process 1, and mounts what needs ids.
 */
export function scripts(
  cache: Cache,
  argv: readonly string[],
  options: NamespaceOptions,
): { binds: [source: string, place: string][]; tops: string[]; inner: string } {
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
  const tops = root === '' ? topFolders(options.mounts ?? []) : [];
  for (const top of tops) inner.push(shellQuote(['mount', '-t', 'tmpfs', 'tmpfs', `/${top}`]));
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
    if (slot > SLOTS) throw new RangeError(`more than ${SLOTS} mounts`);
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
  return { binds, tops, inner: inner.join('\n') };
}

/** First parts of targets in which nothing can be made yet: neither folders of the host nor mounted by the inner script. */
function topFolders(mounts: readonly Mount[]): string[] {
  const there = new Set(['', 'tmp', 'run', 'var', 'image', ...KERNEL_FOLDERS, ...HOST_FOLDERS]);
  return [...new Set(mounts.map(({ target }) => target.split('/')[1] ?? ''))].filter((top) => !there.has(top));
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
  return [
    'mount -t binfmt_misc binfmt_misc /binfmt',
    `printf %s ${shellQuote([registration(inside)])} >/binfmt/register`,
  ];
}

const kernelReadOnly = (root: string): string[] =>
  [...new Set(['/proc', `${root}/proc`])].map(
    (proc) => `mount --bind ${proc}/sys ${proc}/sys; mount -o remount,bind,ro ${proc}/sys`,
  );
