import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../core/log.ts';
import { findMirrors } from '../engine/archive.ts';
import { download, packageFile } from '../engine/download.ts';
import { formatLock, type LockedPackage, packageInputs, parseLock } from '../engine/lock.ts';
import { makeLock } from '../engine/resolve.ts';
import type { Cache } from '../host/cache.ts';
import { openLayer } from '../host/layer.ts';
import type { Namespace } from '../host/namespace.ts';
import { openToolbox, type Toolbox } from '../toolbox/toolbox.ts';

/** Scanners, and a server of time, as the guest's CPU runs them. They lie on a disk of their own and are never installed in a guest. */
const REQUESTED = ['chrony', 'lynis', 'nmap', 'openscap-scanner', 'ssh-audit', 'sslscan'];

/** What judges from outside, on the host's CPU: emulated, testssl.sh would take hours. */
const OUTSIDE = ['bind9-dnsutils', 'bsdextrautils', 'openssl', 'procps', 'testssl.sh'];

/**
 * The rules of CIS and ANSSI for Debian 13: data only. Trixie's own package stops at Debian 12, so it is the one of
 * unstable, by its digest: what is measured stays the same until somebody takes a newer one.
 */
export const CONTENT: LockedPackage = {
  name: 'ssg-debian',
  version: '0.1.82-1',
  architecture: 'all',
  size: 3459092,
  sha256: 'cfde145916f1f37ec96c0fe2a9ea5f44a2db0ee6f0a2dacfcf86534c0977755a',
  archive: 'debian',
  path: 'pool/main/s/scap-security-guide/ssg-debian_0.1.82-1_all.deb',
};

export interface ScanTools {
  /** A raw ext4 disk with the scanners' files at their places. */
  readonly disk: string;
  /** The scanners that judge from outside. */
  readonly outside: Toolbox;
  readonly versions: ReadonlyMap<string, string>;
  /** When the package list was made, ISO 8601. */
  readonly made: string;
}

interface Place {
  readonly cache: Cache;
  readonly namespace: Namespace;
  readonly log: Log;
  readonly signal?: AbortSignal;
}

/** Asks the archives which packages the scanners are today, and writes that into `file`. */
export async function lockScanTools(place: Place, file: string): Promise<void> {
  const { namespace, log, signal } = place;
  const toolboxes = { build: ['tar'], boot: OUTSIDE };
  const lock = await makeLock(namespace, { packages: REQUESTED, toolboxes, ...(signal ? { signal } : {}) }, log);
  const partial = `${file}.${process.pid}.partial`;
  await writeFile(partial, `# Scanners of ci/score; made by \`ci/score --lock\`\n${formatLock(lock)}`);
  await rename(partial, file);
}

/** @throws UserError when `file` is missing or none of ours */
export async function openScanTools(place: Place, file: string): Promise<ScanTools> {
  const { cache, log, signal } = place;
  const lock = parseLock(await readFile(file, 'utf8').catch(() => ''), file);
  const packages = [...lock.image.packages, CONTENT];
  const { fs } = await openLayer(place, {
    name: 'score',
    inputs: { packages: packageInputs(packages), script: SCRIPT },
    parent: cache.toolboxes,
    make: async (aside) => {
      await download(cache, packages, findMirrors, log, signal);
      await makeDisk(place, packages, join(aside, 'fs'));
    },
  });
  const outside = await openToolbox('boot', { ...place, lock, mirrors: findMirrors });
  const versions = new Map([...outside.versions, ...packages.map((one) => [one.name, one.version] as const)]);
  return { disk: join(fs, 'tools.img'), outside, made: lock.made, versions };
}

const SCRIPT = `set -eu
mkdir /tmp/tree
while read -r file; do dpkg-deb --extract "/tmp/packages/$file" /tmp/tree; done
# Links of a merged /usr are made by a package's own script.
cd /tmp/tree
for name in bin sbin lib; do
  if [ -d "$name" ] && [ ! -L "$name" ]; then mkdir -p "usr/$name"; cp -a "$name/." "usr/$name/"; rm -rf "$name"; fi
done
# lynis as its authors publish it: everything beside the program.
# It wants a folder of plug-ins, though none is used.
mkdir -p lynis/plugins
cp -a usr/sbin/lynis etc/lynis/default.prf usr/share/lynis/. lynis/
rm -rf usr/share/doc usr/share/man usr/share/locale var
rm -rf usr/share/xml/scap/ssg/content/*debian11* usr/share/xml/scap/ssg/content/*debian12* usr/share/scap-security-guide
mke2fs -q -t ext4 -d /tmp/tree -m 0 -O ^has_journal /tmp/out/tools.img "$(( $(du -sm /tmp/tree | cut -f1) * 5 / 4 + 32 ))M"
chmod 0644 /tmp/out/tools.img
`;

async function makeDisk({ cache, namespace, log, signal }: Place, packages: readonly LockedPackage[], out: string) {
  await namespace.run(['sh', '-c', SCRIPT], {
    root: { kind: 'host' },
    mounts: [
      { kind: 'bind', source: cache.packages, target: '/tmp/packages' },
      { kind: 'bind', source: out, target: '/tmp/out', write: true },
    ],
    input: packages.map((one) => `${packageFile(cache, one).slice(cache.packages.length + 1)}\n`).join(''),
    onOutput: (text) => log({ kind: 'output', text }),
    ...(signal ? { signal } : {}),
  });
}
