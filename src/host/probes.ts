import { existsSync, readFileSync } from 'node:fs';
import { access, constants, statfs } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { delimiter, join } from 'node:path';
import { UserError } from '../core/errors.ts';
import { type Arm64Host, decideArm64 } from './arm64.ts';
import { arm64Host } from './arm64-here.ts';
import type { Cache } from './cache.ts';
import { newFolder, removeTree } from './folders.ts';
import { type Namespace, openNamespace } from './namespace.ts';

/** What was tried on this host, and how it went. */
export interface Probe {
  /** A fact that a build needs: "User namespaces can be made". */
  readonly title: string;
  readonly ok: boolean;
  /** What was seen. */
  readonly found: string;
  /** What mends it, as one command where there is one. */
  readonly fix?: string;
}

/** Programs of the host, each with the package that brings it. */
const PROGRAMS: Readonly<Record<string, string>> = {
  'apt-get': 'apt',
  'dpkg-deb': 'dpkg',
  mmdebstrap: 'mmdebstrap',
  flock: 'util-linux',
  perl: 'perl-base',
  setpriv: 'util-linux',
  unshare: 'util-linux',
};
const FOR_USERS: Readonly<Record<string, string>> = { newgidmap: 'uidmap', newuidmap: 'uidmap' };
const FOR_BOOT: Readonly<Record<string, string>> = {
  'qemu-img': 'qemu-utils',
  'qemu-system-aarch64': 'qemu-system-arm',
  ssh: 'openssh-client',
};

const GIB = 1024 ** 3;
/** Packages, toolbox, layers of one image, and the image with its companions. */
const NEEDED_SPACE = 8 * GIB;

async function onPath(program: string): Promise<boolean> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const tries = folders.map((folder) =>
    access(join(folder, program), constants.X_OK).then(
      () => true,
      () => false,
    ),
  );
  return (await Promise.all(tries)).includes(true);
}

async function programs(title: string, wanted: Readonly<Record<string, string>>): Promise<Probe> {
  const missing: string[] = [];
  for (const program of Object.keys(wanted)) if (!(await onPath(program))) missing.push(program);
  if (missing.length === 0) return { title, ok: true, found: Object.keys(wanted).join(', ') };
  const packages = [...new Set(missing.map((program) => wanted[program] ?? program))].sort();
  return {
    title,
    ok: false,
    found: `missing: ${missing.join(', ')}`,
    fix: `sudo apt-get install ${packages.join(' ')}`,
  };
}

/** Ubuntu lets no ordinary user's namespace have capabilities, unless this switch is off. */
export function appArmorRestricts(setting: string, uid: number): boolean {
  return uid !== 0 && setting.trim() === '1';
}

const APPARMOR = '/proc/sys/kernel/apparmor_restrict_unprivileged_userns';

/** Runs `attempt`; a failure becomes the probe's finding. */
async function probe(title: string, fix: string, attempt: () => Promise<string>): Promise<Probe> {
  try {
    return { title, ok: true, found: await attempt() };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const [problem] = error.problems;
    const last = problem?.hint?.trim().split('\n').at(-1) ?? '';
    return {
      title,
      ok: false,
      found: (problem?.message ?? '').split('\n')[0]?.slice(0, 120) + (last === '' ? '' : ` (${last})`),
      fix,
    };
  }
}

async function overlay(cache: Cache, namespace: Namespace): Promise<string> {
  const lower = await newFolder(cache, 'probe-lower');
  const upper = await newFolder(cache, 'probe-upper');
  try {
    const mounts = [{ kind: 'stack', lower: [join(lower, 'fs')], upper, target: '/tmp/probe' }] as const;
    const script = 'cd /tmp/probe; mkdir a; touch a/b; chown 12:34 a/b; mv a c; rm -r c';
    await namespace.run(['sh', '-euc', script], { root: { kind: 'host' }, mounts });
    return cache.layers;
  } finally {
    for (const folder of [lower, upper]) await removeTree(cache, namespace, folder);
  }
}

/** How programs of the image run on a host; `ok` as long as they run at all. */
export function arm64Probe(host: Arm64Host): Probe {
  const how = decideArm64(host, { dispatch: true });
  const title = 'Programs of the image can be run';
  if (how.kind === 'none') return { title, ok: false, found: how.why, fix: how.fix };
  const words = { native: 'natively', dispatch: 'by dispatch', emulation: 'by emulation' }[how.kind];
  const faster = how.kind === 'emulation' && how.faster !== undefined ? `. ${how.faster}` : '';
  return { title, ok: true, found: `${words}: ${how.why}${faster}` };
}

/** Tries, one after the other, what a build does on this host, and leaves nothing of it. */
export async function probeHost(cache: Cache): Promise<Probe[]> {
  const building = userInfo().uid === 0 ? PROGRAMS : { ...PROGRAMS, ...FOR_USERS };
  const found = [
    await programs('The programs that a build starts are there', building),
    await programs('The programs that `boot` starts are there', FOR_BOOT),
  ];
  const restricted = existsSync(APPARMOR) && appArmorRestricts(readFileSync(APPARMOR, 'utf8'), userInfo().uid);
  const userFix = restricted
    ? 'sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0'
    : 'In a container: start it with --security-opt seccomp=unconfined --security-opt systempaths=unconfined';
  let namespace: Namespace | undefined;
  found.push(
    await probe('Private namespaces with 65536 ids can be made', userFix, async () => {
      namespace = await openNamespace(cache);
      const { stdout } = await namespace.run(['cat', '/proc/self/uid_map'], { root: { kind: 'host' } });
      return stdout.trim().replace(/\s+/g, ' ');
    }),
  );
  if (namespace === undefined || found.at(-1)?.ok === false) return found;
  const usable = namespace;
  found.push(
    await probe(
      "overlayfs works on the cache's file system",
      'Set AMSLPR_CACHE to a folder on ext4, xfs or btrfs that is not itself an overlay (as in a container)',
      () => overlay(cache, usable),
    ),
    arm64Probe(await arm64Host(usable)),
  );
  const { bavail, bsize } = await statfs(cache.root);
  const free = bavail * bsize;
  found.push({
    title: 'The cache has room',
    ok: free >= NEEDED_SPACE,
    found: `${(free / GIB).toFixed(1)} GiB free in ${cache.root}`,
    ...(free >= NEEDED_SPACE
      ? {}
      : { fix: `Free ${NEEDED_SPACE / GIB} GiB, or set AMSLPR_CACHE to a folder on another disk` }),
  });
  return found;
}
