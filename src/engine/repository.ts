import { link } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cache } from '../host/cache.ts';
import type { Namespace } from '../host/namespace.ts';
import { packageFile } from './download.ts';
import type { LockedPackage } from './lock.ts';

// The stanzas come from the packages themselves; what apt needs beside them is known from the lock. One process a package
// gives its control archive, which is a small tar: dpkg-deb --field would start four.
const STANZAS = `
use strict;
while (my $line = <STDIN>) {
  my ($file, $size, $sha) = split(/ /, $line);
  chomp($sha);
  open(my $pipe, '-|', 'dpkg-deb', '--ctrl-tarfile', $file) or die "dpkg-deb: $!\\n";
  my $tar = do { local $/; <$pipe> };
  close($pipe) or die "$file is no package\\n";
  my ($at, $control) = (0, undef);
  while ($at + 512 <= length($tar)) {
    my ($name, $length) = unpack('Z100 x24 Z12', substr($tar, $at, 512));
    last if $name eq '';
    $control = substr($tar, $at + 512, oct($length)) if $name =~ m{^(?:\\./)?control$};
    $at += 512 + 512 * int((oct($length) + 511) / 512);
  }
  die "$file has no control file\\n" unless defined $control;
  $control =~ s/\\n*\\z/\\n/;
  print $control, "Filename: ./$file\\nSize: $size\\nSHA256: $sha\\n\\n";
}
`;

const SCRIPT = `set -eu
cd /tmp/repository
perl -e "$1" > Packages
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
  await namespace.run(['sh', '-c', SCRIPT, 'sh', STANZAS], {
    root: { kind: 'host' },
    mounts: [{ kind: 'bind', source: folder, target: '/tmp/repository', write: true }],
    input: lines.join(''),
  });
}
