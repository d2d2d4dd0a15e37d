import { link } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cache } from '../host/cache.ts';
import type { Namespace } from '../host/namespace.ts';
import { packageFile } from './download.ts';
import type { LockedPackage } from './lock.ts';

// The stanzas come from the packages themselves; what apt needs beside them is known from the lock.
const SCRIPT = `set -eu
cd /tmp/repository
while read -r file size sha; do
  dpkg-deb --field "$file"
  printf 'Filename: ./%s\\nSize: %s\\nSHA256: %s\\n\\n' "$file" "$size" "$sha"
done > Packages
# mmdebstrap takes essential packages from the suite that it was named only.
printf 'Suite: trixie\\nCodename: trixie\\nSHA256:\\n %s %s Packages\\n' "$(sha256sum < Packages | cut -d' ' -f1)" "$(stat -c %s Packages)" > Release
`;

/**
 * Makes `folder`, which the namespace's root owns, a flat package archive of exactly the locked packages, for apt to install from without a network.
 * It needs no signature: every file was checked against the lock, and the lock against signed indexes.
 */
export async function makeRepository(
  cache: Cache,
  namespace: Namespace,
  packages: readonly LockedPackage[],
  folder: string,
): Promise<void> {
  const lines: string[] = [];
  for (const one of packages) {
    const version = one.version.replaceAll(':', '%3a');
    const name = `${one.name}_${version}_${one.architecture}.deb`;
    await link(packageFile(cache, one), join(folder, name));
    lines.push(`${name} ${one.size} ${one.sha256}\n`);
  }
  await namespace.run(['sh', '-c', SCRIPT], {
    root: { kind: 'host' },
    mounts: [{ kind: 'bind', source: folder, target: '/tmp/repository', write: true }],
    input: lines.join(''),
  });
}
