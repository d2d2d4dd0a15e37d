import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pack } from 'tar-stream';
import { type Problem, StepError } from '../../core/errors.ts';
import { AFTER_FILES, DISK_ID_TOKEN, type PlannedFile } from '../../core/plan.ts';
import type { Layer } from '../../host/layer.ts';
import type { Mount } from '../../host/namespace.ts';
import { digestOf } from '../../plan/digest.ts';
import { type BuildContext, inImage, inToolbox, onTop } from '../context.ts';
import { sourceFiles } from './apt-sources.ts';
import { placeKernels, restrictBase } from './base-packages.ts';
import { diskId, withDiskId } from './disk-id.ts';
import { CLAMP_UPPER } from './packages.ts';

/** Planned files by path, each with what decides what becomes of it: an input of a layer. */
export const fileInputs = (files: readonly PlannedFile[]): Record<string, string> =>
  Object.fromEntries(
    files.map(({ path, type, mode, owner, bytes, target, capabilities }) => [
      path,
      digestOf([type, mode, owner, target, capabilities, bytes]),
    ]),
  );

const seen = (upper: string): Mount => ({ kind: 'bind', source: join(upper, 'fs'), target: '/tmp/upper' });

/** Accounts first, since files belong to them: sysusers.d entries that stay in the image, applied by systemd-sysusers. */
function sysusers({ plan }: BuildContext): string {
  const groups = plan.groups.map(({ name, gid }) => `g ${name} ${gid}`);
  const users = plan.accounts.flatMap(({ name, uid, description, home, groups: more = [] }) => [
    `u ${name} ${uid} "${description}" ${home ?? '-'} /usr/sbin/nologin`,
    ...more.map((group) => `m ${name} ${group}`),
  ]);
  return `${[...groups, ...users].join('\n')}\n`;
}

const SYSUSERS = '/usr/lib/sysusers.d/amslpr.conf';

/**
 * Writes the files that the initramfs and the boot files are made of, on top of the packages, makes both, and leaves the
 * disk signature's token in them: it depends on the whole plan, and they are to outlive a change elsewhere in it.
 */
export async function makeInitramfs(context: BuildContext, below: readonly Layer[], upper: string): Promise<void> {
  const { plan } = context;
  const files = plan.files.filter((file) => file.initramfs);
  const diverted = plan.diversions.filter((path) => files.some((file) => file.path === path));
  const stack = onTop(below, upper);
  await inToolbox(
    context,
    `${diversions(diverted)}\ntar --extract --numeric-owner --preserve-permissions --file=- -C /tmp/image`,
    stack,
    {
      input: await archive(files, idsOf(...rootsOf(below)), context.epoch, DISK_ID_TOKEN),
    },
  );
  await inImage(context, ['update-initramfs', '-c', '-k', 'all'], stack);
  if (plan.base.kind === 'raspios') await placeKernels(context, below, upper);
  await inToolbox(
    context,
    `rm -rf /tmp/image/var/lib/initramfs-tools/*.tmp /tmp/image/var/tmp/* /tmp/image/tmp/*\n${CLAMP_UPPER}`,
    stack,
    { mounts: [seen(upper)] },
  );
}

/** Accounts, diversions, all files, owners and modes of packaged files, units, and what has to run after them. */
export async function applyFiles(context: BuildContext, below: readonly Layer[], upper: string): Promise<void> {
  const { plan, epoch } = context;
  const id = diskId(plan);
  const stack = onTop(below, upper);
  refuseConffiles(plan.files, plan.diversions, rootsOf(below));
  const now = plan.diversions.filter((path) => !plan.files.some((file) => file.path === path && file.initramfs));
  const users: PlannedFile = {
    path: SYSUSERS,
    type: 'file',
    mode: '0644',
    owner: 'root:root',
    initramfs: false,
    stage: 'engine',
    bytes: Buffer.from(sysusers(context)),
  };
  const first = [
    `mkdir -p /tmp/image/usr/lib/sysusers.d`,
    `cat > /tmp/image${SYSUSERS}`,
    'systemd-sysusers --root=/tmp/image',
  ];
  await inToolbox(context, [...first, diversions(now)].join('\n'), stack, { input: sysusers(context) });

  const ids = idsOf(join(upper, 'fs'), ...rootsOf(below));
  const files = [...plan.files, users, ...(await sourceFiles(context, rootsOf(below)))];
  const tar = await archive(files, ids, epoch, id);
  const capabilities = plan.files.flatMap(({ path, capabilities: text }) =>
    text === undefined ? [] : [`setcap '${text}' '/tmp/image${path}'`],
  );
  const overrides = Object.entries(plan.statOverrides).map(([path, { mode, owner }]) => {
    const [user = '', group = ''] = owner.split(':');
    return `dpkg-statoverride --root=/tmp/image --force-statoverride-add --update --add ${user} ${group} ${mode} ${path}`;
  });
  const units = (['masked', 'enabled', 'disabled'] as const).flatMap((state) => {
    const names = Object.keys(plan.units).filter((name) => plan.units[name] === state);
    const verb = { masked: 'mask', enabled: 'enable', disabled: 'disable' }[state];
    return names.length === 0 ? [] : [`systemctl --quiet --no-warn --root=/tmp/image ${verb} ${names.join(' ')}`];
  });
  const boot = `sed -i 's/${DISK_ID_TOKEN}/${id}/g' /tmp/image/boot/firmware/cmdline.txt`;
  const script = [
    // systemctl would run the image's update-rc.d for services that also have a SysV script, whose links nothing reads.
    'ln -sf /usr/bin/true /usr/lib/systemd/systemd-sysv-install',
    'tar --extract --numeric-owner --preserve-permissions --file=- -C /tmp/image',
    ...overrides,
    ...restrictBase(context),
    ...capabilities,
    ...units,
    boot,
  ];
  await inToolbox(context, script.join('\n'), stack, { input: tar });
  for (const { below: folder, run } of AFTER_FILES) {
    if (plan.files.some((file) => file.path.startsWith(folder))) await inImage(context, run, stack);
  }
  const manifest = plan.files.some(({ path }) => path === MANIFEST_WANTED);
  await inToolbox(context, `${LAST}${manifest ? MANIFEST : ''}${CLAMP_UPPER}`, stack, {
    mounts: [seen(upper)],
    ...(manifest ? { input: await sumsOf(below) } : {}),
  });
}

/** Stage `integrity`: the image gets a manifest of all its files. */
const MANIFEST_WANTED = '/usr/share/amslpr/integrity.json';
// By the program of the device, so that both mean the same. Standard input has the sums of the layers below, since their
// files need not be read for it.
const MANIFEST = `
python3 -I -B usr/lib/amslpr/amslpr_device/integrity/tree.py /tmp/image /tmp/upper "$SOURCE_DATE_EPOCH"
`;

/** Checksums that the cache has of the layers, the lowest first. */
async function sumsOf(layers: readonly Layer[]): Promise<Buffer> {
  return Buffer.concat(await Promise.all(layers.map(({ fs }) => readFile(join(dirname(fs), 'sums')))));
}

/** What the programs of this step leave beside what they were run for. */
const LAST = `
cd /tmp/image
rm -f etc/passwd- etc/group- etc/shadow- etc/gshadow- etc/subuid- etc/subgid- etc/.pwd.lock etc/.#*
rm -f var/lib/dpkg/*-old var/lib/dpkg/lock* var/cache/debconf/*-old var/cache/ldconfig/aux-cache
find tmp var/tmp run -mindepth 1 -delete
printf 'uninitialized\\n' > etc/machine-id
days=$((SOURCE_DATE_EPOCH / 86400))
awk -F: -v OFS=: -v days="$days" '$3 != "" { $3 = days } { print }' etc/shadow > /tmp/shadow
cat /tmp/shadow > etc/shadow
find var/log -type f -delete
# As packages do for theirs: most of what runs here may not write to the system, and would compile at each start.
if [ -d usr/lib/amslpr ]; then python3 -I -m compileall -q -p / usr/lib/amslpr; fi
`;

/**
 * Moves packaged files aside for good. ucf finds where one went, and then looks for that path in its own records: without
 * it there, an upgrade would take the file for one that somebody changed, and leave the new one beside it.
 */
const diversions = (paths: readonly string[]): string =>
  paths
    .flatMap((path) => [
      `dpkg-divert --quiet --root=/tmp/image --local --rename --add ${path}`,
      `for records in /tmp/image/var/lib/ucf/hashfile /tmp/image/var/lib/ucf/registry; do`,
      `  if [ -f $records ]; then sed -i 's#\\([[:space:]]\\)${path.replaceAll('.', '\\.')}$#\\1${path}.distrib#' $records; fi`,
      'done',
    ])
    .join('\n');

/** The layers' trees, the upper ones first. */
const rootsOf = (layers: readonly Layer[]): string[] => layers.map(({ fs }) => fs).reverse();

/** A file as the stack of these trees shows it. */
function readFrom(roots: readonly string[], file: string): string {
  const root = roots.find((one) => existsSync(join(one, file)));
  if (root === undefined) throw new StepError(`the image has no /${file}`);
  return readFileSync(join(root, file), 'utf8');
}

type Ids = ReadonlyMap<string, number>;

/** Numbers of the image's users and groups (`u:NAME`, `g:NAME`), from the first of the roots that has the database. */
function idsOf(...roots: readonly string[]): Ids {
  const pairs = (['etc/passwd', 'etc/group'] as const).flatMap((file) =>
    readFrom(roots, file)
      .trim()
      .split('\n')
      .map((line) => line.split(':'))
      .map(([name = '', , number = '']): [string, number] => [
        `${file === 'etc/passwd' ? 'u' : 'g'}:${name}`,
        Number(number),
      ]),
  );
  return new Map(pairs);
}

/** A deterministic archive of planned files: sorted, numeric owners, one time. */
async function archive(files: readonly PlannedFile[], ids: Ids, epoch: number, id: string): Promise<Uint8Array> {
  const tar = pack();
  const chunks: Buffer[] = [];
  const done = (async () => {
    for await (const chunk of tar) chunks.push(chunk as Buffer);
  })();
  const problems: Problem[] = [];
  for (const file of [...files].sort((a, b) => (a.path < b.path ? -1 : 1))) {
    const [user = '', group = ''] = file.owner.split(':');
    const uid = ids.get(`u:${user}`);
    const gid = ids.get(`g:${group}`);
    if (uid === undefined || gid === undefined) {
      problems.push({
        message: `${file.path} belongs to ${file.owner}, which the image does not have (stage ${file.stage})`,
      });
      continue;
    }
    const common = {
      name: `.${file.path}`,
      mode: Number.parseInt(file.mode, 8),
      uid,
      gid,
      mtime: new Date(epoch * 1000),
    };
    if (file.type === 'directory') tar.entry({ ...common, type: 'directory' });
    else if (file.type === 'symlink') tar.entry({ ...common, type: 'symlink', linkname: file.target ?? '' });
    else tar.entry({ ...common, type: 'file' }, Buffer.from(withDiskId(file.bytes ?? Buffer.alloc(0), id)));
  }
  tar.finalize();
  await done;
  if (problems.length > 0) throw new StepError(problems);
  return Buffer.concat(chunks);
}

/** A planned file in the place of a dpkg conffile would make unattended-upgrades hold its package back for ever. */
function refuseConffiles(files: readonly PlannedFile[], diverted: readonly string[], roots: readonly string[]): void {
  const status = readFrom(roots, 'var/lib/dpkg/status');
  const owners = new Map<string, string>();
  for (const stanza of status.split('\n\n')) {
    const name = /^Package: (.*)$/m.exec(stanza)?.[1] ?? '';
    const list = /^Conffiles:\n((?: .*\n?)*)/m.exec(stanza)?.[1] ?? '';
    for (const line of list.split('\n')) {
      const path = line.trim().split(' ')[0];
      if (path !== undefined && path !== '') owners.set(path, name);
    }
  }
  const bad = files.filter((file) => owners.has(file.path) && !diverted.includes(file.path));
  if (bad.length === 0) return;
  throw new StepError(
    bad.map((file) => ({
      message: `stage ${file.stage} replaces ${file.path}, a configuration file of package ${owners.get(file.path)}`,
      hint: 'Use a drop-in, or divert the file: unattended-upgrades holds back packages whose configuration files were changed.',
    })),
  );
}
