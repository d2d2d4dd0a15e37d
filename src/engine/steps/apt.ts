import { join } from 'node:path';
import { newFolder, removeTree } from '../../host/folders.ts';
import type { Stack } from '../../host/namespace.ts';
import type { BuildContext } from '../context.ts';
import { makeRepository } from '../repository.ts';

const config = (architectures: readonly string[]): string => `APT::Architecture "arm64";
APT::Architectures { ${architectures.map((name) => `"${name}";`).join(' ')} };
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "/tmp/build/archive.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
DPkg::Options { "--force-confask"; "--force-confnew"; "--force-confmiss"; "--force-unsafe-io"; };
DPkg::Use-Pty "false";
`;

const READY = `
mkdir /tmp/build
export APT_CONFIG=/tmp/build/apt.conf
cp /tmp/repository/Packages /tmp/build/ && cd /tmp
printf '%s' "$1" > /tmp/build/apt.conf
shift
echo 'deb [trusted=yes] copy:///tmp/repository ./' > /tmp/build/archive.list
apt-get --quiet=2 update
`;

/** To be run in the toolbox before: no package starts anything. What cleans up afterwards takes it away. */
export const POLICY = `
printf '#!/bin/sh\\nexit 101\\n' > /tmp/image/usr/sbin/policy-rc.d
chmod 755 /tmp/image/usr/sbin/policy-rc.d
`;

/**
 * Runs a script with the layers as its root and arguments from $1 on, in which apt knows the lock's packages and no
 * others. No initramfs is made: INITRD=No is what the kernel's hook asks for.
 */
export async function withApt(
  context: BuildContext,
  stack: Stack,
  script: string,
  { architectures, args }: { readonly architectures: readonly string[]; readonly args: readonly string[] },
): Promise<void> {
  const { cache, namespace, lock, arm64, epoch, log, signal } = context;
  const repository = await newFolder(cache, 'repository-image');
  try {
    await makeRepository(cache, namespace, lock.image.packages, join(repository, 'fs'));
    await namespace.run(['sh', '-euc', `${READY}${script}`, 'sh', config(architectures), ...args], {
      root: { kind: 'stack', ...stack },
      mounts: [{ kind: 'bind', source: join(repository, 'fs'), target: '/tmp/repository' }, ...arm64.mounts],
      ...(arm64.emulator === undefined ? {} : { emulator: arm64.emulator }),
      unsynced: true,
      env: {
        SOURCE_DATE_EPOCH: String(epoch),
        INITRD: 'No',
        DEBIAN_FRONTEND: 'noninteractive',
        DPKG_COLORS: 'never',
      },
      onOutput: (text) => log({ kind: 'output', text }),
      ...(signal === undefined ? {} : { signal }),
    });
  } finally {
    await removeTree(cache, namespace, repository);
  }
}
