import { join } from 'node:path';
import { silent } from '../src/core/log.ts';
import type { BuildContext } from '../src/engine/context.ts';
import { download } from '../src/engine/download.ts';
import type { LockedPackage } from '../src/engine/lock.ts';
import { makeRepository } from '../src/engine/repository.ts';
import { makeLock } from '../src/engine/resolve.ts';
import { bootstrapCommand } from '../src/toolbox/toolbox.ts';
import { openBuild, withFolder } from './context.ts';
import { alternate } from './measure.ts';
import type { Row } from './row.ts';

const BASE = ['apt', 'python3'];
/** Kernel, firmware and what belongs to them: some of it exists for arm64 only, and none of it is hardening. */
const NOT_HARDENING = /^(linux-image-|raspi-firmware$|firmware-|initramfs-tools$|wireless-regdb$)/;
const QUICK = ['fail2ban', 'logrotate', 'openssh-server', 'sudo', 'ufw'];

const PREPARE = `
echo 'deb [trusted=yes] file:/tmp/repository ./' > /etc/apt/sources.list
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d
cat > /etc/apt/apt.conf.d/00bench <<'END'
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
END
echo "APT::Architecture \\"$(dpkg --print-architecture)\\";" >> /etc/apt/apt.conf.d/00bench
echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/bench
apt-get --quiet=2 update
`;

interface Root {
  readonly repository: string;
  /** Folders of the cache, the lowest first. */
  readonly lower: readonly string[];
}

type Programs = Pick<BuildContext['arm64'], 'emulator' | 'mounts'>;

/** Runs a script in a root with its local archive; what it changes goes to `upper`. */
async function inRoot(
  context: BuildContext,
  root: Root,
  upper: string,
  programs: Programs,
  script: string,
): Promise<void> {
  await context.namespace.run(['sh', '-euc', script], {
    root: { kind: 'stack', lower: root.lower.map((folder) => join(folder, 'fs')), upper },
    mounts: [{ kind: 'bind', source: join(root.repository, 'fs'), target: '/tmp/repository' }, ...programs.mounts],
    ...(programs.emulator === undefined ? {} : { emulator: programs.emulator }),
    unsynced: true,
    env: { DEBIAN_FRONTEND: 'noninteractive', DPKG_COLORS: 'never' },
  });
}

/** A base of Debian's essential packages, apt and Python, with apt ready to install from a local archive. */
async function withBase<T>(
  context: BuildContext,
  architecture: 'amd64' | 'arm64',
  packages: readonly LockedPackage[],
  programs: Programs,
  work: (root: Root) => Promise<T>,
): Promise<T> {
  return withFolder(context, `bench-repository-${architecture}`, (repository) =>
    withFolder(context, `bench-base-${architecture}`, (base) =>
      withFolder(context, `bench-ready-${architecture}`, async (ready) => {
        await makeRepository(context.cache, context.namespace, packages, join(repository, 'fs'));
        const inside = programs.mounts.map((mount) => ({ ...mount, target: `/tmp/image${mount.target}` }));
        const umount = [...inside].reverse().map(({ target }) => `umount ${target}`);
        const script = ['"$@"', ...umount, 'find /tmp/image/run -mindepth 1 -delete'].join('\n');
        await context.toolbox.run(['sh', '-euc', script, 'sh', ...bootstrapCommand('/tmp/image', architecture, BASE)], {
          mounts: [
            { kind: 'bind', source: join(repository, 'fs'), target: '/tmp/repository' },
            { kind: 'stack', lower: [], upper: base, target: '/tmp/image' },
            ...inside,
          ],
          ...(programs.emulator === undefined ? {} : { emulator: programs.emulator }),
          unsynced: true,
          env: { TMPDIR: '/tmp', DPKG_COLORS: 'never' },
        });
        await inRoot(context, { repository, lower: [base] }, ready, programs, PREPARE);
        return work({ repository, lower: [base, ready] });
      }),
    ),
  );
}

/** The same packages for amd64, as the archive has them today. */
async function native(context: BuildContext, requested: readonly string[]): Promise<readonly LockedPackage[]> {
  const { namespace, cache, mirrors } = context;
  const toolboxes = { build: [...requested, ...BASE], boot: ['hostname'] };
  const lock = await makeLock(namespace, { packages: ['hostname'], toolboxes }, silent);
  const { packages } = lock.toolboxes.amd64.build;
  await download(cache, packages, mirrors, silent);
  return packages;
}

export const packages: Row = {
  name: 'packages',
  work: 'the hardening packages onto a base that has Python',
  async run({ rounds, quick, tell }) {
    const context = await openBuild({ dispatch: true });
    const plain = await openBuild({ dispatch: false });
    const requested = context.lock.image.requested.filter((name) =>
      quick ? QUICK.includes(name) : !NOT_HARDENING.test(name) && !BASE.includes(name),
    );
    const none: Programs = { mounts: [] };
    const install = `apt-get --quiet --yes install ${requested.join(' ')}`;
    const amd64 = await native(context, requested);
    return withBase(context, 'arm64', context.lock.image.packages, context.arm64, (armRoot) =>
      withBase(context, 'amd64', amd64, none, async (host) => {
        const arm = (root: Root, programs: Programs) => () =>
          withFolder(context, 'bench-top', async (top) => {
            const start = performance.now();
            await inRoot(context, root, top, programs, install);
            return (performance.now() - start) / 1000;
          });
        const ways = {
          dispatch: arm(armRoot, context.arm64),
          native: arm(host, none),
          emulation: arm(armRoot, plain.arm64),
        };
        const arms = await alternate(ways, rounds, tell);
        const median = (name: string): number => arms[name]?.median ?? Number.NaN;
        return {
          arms,
          figures: [
            {
              name: 'dispatch / native',
              value: median('dispatch') / median('native'),
              unit: 'x',
              goal: { atMost: 1.5 },
            },
            {
              name: 'emulation / dispatch',
              value: median('emulation') / median('dispatch'),
              unit: 'x',
              goal: { atLeast: 6 },
            },
          ],
          notes: [
            `${requested.length} packages were asked for; without recommended ones and man-db, from a local archive, with dpkg's force-unsafe-io and no waiting for the disk in all arms`,
          ],
        };
      }),
    );
  },
};
