import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StepError } from '../../core/errors.ts';
import { newFolder, removeTree } from '../../host/folders.ts';
import type { Layer } from '../../host/layer.ts';
import { bootstrapCommand } from '../../toolbox/toolbox.ts';
import { type BuildContext, inToolbox, onTop } from '../context.ts';
import { BASE_PACKAGES, basePackages, type LockedPackage } from '../lock.ts';
import { makeRepository } from '../repository.ts';
import { POLICY, withApt } from './apt.ts';

/** What a bootstrap leaves that belongs to the build, or would be shared by all devices. */
export const CLEAN = `
cd /tmp/image
rm -f etc/resolv.conf etc/hostname etc/apt/sources.list etc/ssh/ssh_host_* usr/sbin/policy-rc.d
rm -f etc/apt/apt.conf.d/99mmdebstrap etc/dpkg/dpkg.cfg.d/99mmdebstrap
rm -f etc/passwd- etc/group- etc/shadow- etc/gshadow- etc/subuid- etc/subgid- etc/.pwd.lock
rm -f var/lib/dpkg/*-old var/lib/dpkg/lock* var/lib/apt/extended_states.lock var/cache/ldconfig/aux-cache
rm -f var/lib/systemd/random-seed var/lib/systemd/catalog/database var/lib/dbus/machine-id etc/hostid
rm -f etc/ssl/private/ssl-cert-snakeoil.key etc/ssl/certs/ssl-cert-snakeoil.pem
rm -rf var/lib/apt/lists/* var/cache/apt/* root/.cache var/cache/debconf/*-old var/cache/man/*
# Empty folders of the package: whoever compares the image with its packages misses nothing.
mkdir -p var/lib/apt/lists/partial var/cache/apt/archives/partial
find tmp var/tmp run -mindepth 1 -delete
find var/log -type f -delete
printf 'uninitialized\\n' > etc/machine-id
# The day of the last change of a password is the build's day otherwise.
days=$((SOURCE_DATE_EPOCH / 86400))
awk -F: -v OFS=: -v days="$days" '$3 != "" { $3 = days } { print }' etc/shadow > /tmp/shadow
cat /tmp/shadow > etc/shadow
`;

/** No time in the image is later than the newest index: what the build made itself has that time. */
const CLAMP = `
cd /tmp/image
find . -xdev -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0r touch -h -d "@$SOURCE_DATE_EPOCH"
`;

/** The same for a layer on top of others, mounted at /tmp/upper: those below it have been through it. */
export const CLAMP_UPPER = `
cd /tmp/upper
find . -xdev ! -type c -newermt "@$SOURCE_DATE_EPOCH" -print0 > /tmp/newer
cd /tmp/image
xargs -0r touch -h -c -d "@$SOURCE_DATE_EPOCH" < /tmp/newer
`;

/** Packages that the plan does not want and the lock has, because another one needs or Debian requires them. */
export const unwanted = ({ plan, lock }: Pick<BuildContext, 'plan' | 'lock'>): string[] =>
  plan.purge.filter((name) => lock.image.packages.some((one) => one.name === name));

const statusOf = (upper: string): string => readFileSync(join(upper, 'fs', 'var/lib/dpkg/status'), 'utf8');

/** The lowest layer: what every image of this lock's Debian has. */
export async function installBase(context: BuildContext, upper: string): Promise<void> {
  const packages = basePackages(context.lock);
  await bootstrap(context, packages, BASE_PACKAGES, upper);
  refuseOthers(packages, statusOf(upper));
}

const INSTALL = `
apt-get --quiet=2 --yes install $1
[ -z "$2" ] || dpkg --purge $2
`;

/** Installs the rest of the lock's packages on top, purges what the plan does not want, and makes sure that no other is there. */
export async function installPackages(context: BuildContext, below: readonly Layer[], upper: string): Promise<void> {
  const { image } = context.lock;
  const purged = unwanted(context);
  await installMore(context, below, upper, { requested: image.requested, purged });
  refuseOthers(
    image.packages.filter(({ name }) => !purged.includes(name)),
    statusOf(upper),
  );
}

/** Installs `requested` and what it needs on top of what is there, from the lock. */
export async function installMore(
  context: BuildContext,
  below: readonly Layer[],
  upper: string,
  { requested, purged }: { readonly requested: readonly string[]; readonly purged: readonly string[] },
): Promise<void> {
  const stack = onTop(below, upper);
  await inToolbox(context, POLICY, stack);
  const args = [requested.join(' '), purged.join(' ')];
  await withApt(context, stack, INSTALL, { architectures: ['arm64'], args });
  await inToolbox(context, `${CLEAN}${CLAMP_UPPER}`, stack, {
    mounts: [{ kind: 'bind', source: join(upper, 'fs'), target: '/tmp/upper' }],
  });
}

/**
 * Installs `requested` and what it needs into an empty folder, from `packages` and without recommendations. No initramfs
 * is made yet: INITRD=No is what its kernel hook asks for, and without one the trigger has nothing to update.
 */
export async function bootstrap(
  context: BuildContext,
  packages: readonly LockedPackage[],
  requested: readonly string[],
  upper: string,
): Promise<void> {
  const { cache, namespace, toolbox, arm64, epoch, log, signal } = context;
  await context.prepare();
  const repository = await newFolder(cache, 'repository-image');
  try {
    await makeRepository(cache, namespace, packages, join(repository, 'fs'));
    // The handler must be there before the first program runs, so the bootstrap sees its mounts from the start.
    const inside = arm64.mounts.map((mount) => ({ ...mount, target: `/tmp/image${mount.target}` }));
    const command = bootstrapCommand('/tmp/image', 'arm64', requested);
    const script = `${'"$@"'}\n${unmount(inside.map(({ target }) => target))}${CLEAN}${CLAMP}`;
    await toolbox.run(['sh', '-euc', script, 'sh', ...command], {
      mounts: [
        { kind: 'bind', source: join(repository, 'fs'), target: '/tmp/repository' },
        { kind: 'stack', lower: [], upper, target: '/tmp/image' },
        ...inside,
      ],
      ...(arm64.emulator === undefined ? {} : { emulator: arm64.emulator }),
      unsynced: true,
      env: { SOURCE_DATE_EPOCH: String(epoch), INITRD: 'No', TMPDIR: '/tmp', DPKG_COLORS: 'never' },
      onOutput: (text) => log({ kind: 'output', text }),
      ...(signal === undefined ? {} : { signal }),
    });
  } finally {
    await removeTree(cache, namespace, repository);
  }
}

/** @throws StepError when what is installed is not what the lock lists: apt would have decided otherwise this time. */
export function refuseOthers(locked: readonly Pick<LockedPackage, 'name' | 'version'>[], status: string): void {
  const field = (stanza: string, name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1] ?? '';
  const installed = new Set(
    status
      .split('\n\n')
      .filter((stanza) => field(stanza, 'Status') === 'install ok installed')
      .map((stanza) => `${field(stanza, 'Package')} ${field(stanza, 'Version')}`),
  );
  const wanted = new Set(locked.map(({ name, version }) => `${name} ${version}`));
  const missing = [...wanted].filter((one) => !installed.has(one));
  const more = [...installed].filter((one) => !wanted.has(one));
  if (missing.length + more.length === 0) return;
  const parts = [
    ...missing.map((one) => `${one} was not installed`),
    ...more.map((one) => `${one} is not in the lock`),
  ];
  throw new StepError({
    message: `The packages differ from the lock: ${parts.join('; ')}`,
    hint: 'Refresh it with the verb `lock`.',
  });
}

/** Lines that take the handler's mounts away again, deepest first. */
const unmount = (targets: readonly string[]): string =>
  `${[...targets]
    .reverse()
    .map((target) => `umount ${target}`)
    .join('\n')}\n`;
