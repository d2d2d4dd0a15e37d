import type { TreeNode } from '../../../src/audit/tree.ts';
import { DISK_ID_TOKEN, type Plan } from '../../../src/core/plan.ts';
import { file, folder, link } from './helpers.ts';
import { alter, capability, edit, elf, type Model, md5, modelOf, put } from './model.ts';

/**
 * What packages bring and checks look at, as short as it can be. A stage that checks a packaged file adds it here:
 * the good image has it, so that the check can be shown passing before it is shown failing.
 */
const PACKAGED: readonly TreeNode[] = [
  link('/bin', 'usr/bin'),
  folder('/tmp', { mode: 0o1777 }),
  folder('/etc/cron.d'),
  folder('/etc/cron.daily'),
  folder('/etc/cron.hourly'),
  folder('/etc/cron.monthly'),
  folder('/etc/cron.weekly'),
  folder('/etc/cron.yearly'),
  folder('/etc/sudoers.d'),
  file('/usr/bin/sudo', elf(183), { mode: 0o4755 }),
  file('/usr/bin/su', elf(183), { mode: 0o4755 }),
  file('/etc/sudoers.d/README', '# packaged\n', { mode: 0o440 }),
  file('/etc/fail2ban/jail.conf', '#\n# WARNING: heavily refactored in 0.9.0 release.\n'),
  file(
    '/etc/default/ufw',
    'IPV6=yes\nDEFAULT_INPUT_POLICY="DROP"\nDEFAULT_OUTPUT_POLICY="ACCEPT"\nDEFAULT_FORWARD_POLICY="DROP"\n',
  ),
  file(
    '/etc/pam.d/common-auth',
    'auth\trequired\tpam_faillock.so preauth\nauth [success=1 default=ignore] pam_unix.so\n' +
      'auth\t[default=die]\tpam_faillock.so authfail\n',
  ),
  file(
    '/etc/pam.d/common-password',
    'password\trequisite\tpam_pwhistory.so remember=24 enforce_for_root try_first_pass use_authtok\n',
  ),
  file('/etc/pam.d/common-session', 'session optional\t\t\tpam_umask.so umask=0027 nousergroups\n'),
  file('/usr/lib/firmware/dsp.bin', elf(137)),
  file('/usr/share/amslpr/manifest.gz', 'packed', { mode: 0o600 }),
];

const SIGNATURE = 0xcafe1234;

/** An image as the engine would make it from a plan, as far as checks can see. */
export function plannedImage(plan: Plan): Model {
  const users = new Map([
    ['root', 0],
    ...plan.accounts.map(({ name, uid }) => [name, uid] as const),
    ['nobody', 65534],
  ]);
  const groups = new Map(users);
  for (const { name, gid } of plan.groups) groups.set(name, gid);
  const owners = [
    ...plan.files.map(({ owner }) => owner),
    ...Object.values(plan.statOverrides).map(({ owner }) => owner),
  ];
  let next = 100;
  for (const owner of owners) {
    const [user = '', group = ''] = owner.split(':');
    if (!users.has(user)) users.set(user, next++);
    if (!groups.has(group)) groups.set(group, next++);
  }
  for (const [name, id] of users) if (!groups.has(name)) groups.set(name, id);
  const ids = (owner: string): { uid: number; gid: number } => {
    const [user = '', group = ''] = owner.split(':');
    return { uid: users.get(user) ?? 0, gid: groups.get(group) ?? 0 };
  };

  const model = modelOf(PACKAGED, {
    archives: [
      { path: '/boot/firmware/initramfs8', files: [{ path: 'bin/sh', mode: 0o755, size: 64, head: elf(183) }] },
    ],
    disk: {
      size: 2e9,
      signature: SIGNATURE,
      partitions: [
        { slot: 1, type: 0x0c, bootable: true, start: 16384, sectors: 1048576 },
        { slot: 2, type: 0x83, bootable: false, start: 1064960, sectors: 2800000 },
      ],
    },
  });
  const lines = (names: Map<string, number>, line: (name: string, id: number) => string): string =>
    [...names].map(([name, id]) => `${line(name, id)}\n`).join('');
  const ofGroup = (name: string): number => groups.get(name) ?? 0;
  put(
    model,
    file(
      '/etc/passwd',
      lines(users, (name, id) => `${name}:x:${id}:${ofGroup(name)}::/:/usr/sbin/nologin`),
    ),
    file(
      '/etc/shadow',
      lines(users, (name) => `${name}:*:20000::::::`),
      { mode: 0o640 },
    ),
    file(
      '/etc/group',
      lines(groups, (name, id) => `${name}:x:${id}:`),
    ),
    file(
      '/etc/gshadow',
      lines(groups, (name) => `${name}:!::`),
      { mode: 0o640 },
    ),
    file('/boot/firmware/cmdline.txt', `${cmdline(plan)}\n`, { mode: 0o755 }),
    file('/var/lib/dpkg/status', plan.packages.map(paragraph).join('\n')),
    file('/var/lib/dpkg/info/libx.md5sums', `${md5('packaged\n')}  usr/lib/x/packaged\n`),
    file('/usr/lib/x/packaged', 'packaged\n'),
  );
  for (const planned of plan.files) {
    const options = { ...ids(planned.owner), mode: Number.parseInt(planned.mode, 8) };
    if (planned.type === 'directory') put(model, folder(planned.path, options));
    else if (planned.type === 'symlink') put(model, link(planned.path, planned.target ?? ''));
    else
      put(model, { ...file(planned.path, withDiskId(planned.bytes), options), ...capabilities(planned.capabilities) });
  }
  for (const [path, { mode, owner }] of Object.entries(plan.statOverrides)) {
    if (!model.nodes.has(path)) put(model, file(path, elf(183)));
    alter(model, path, { mode: Number.parseInt(mode, 8), ...ids(owner) });
  }
  for (const [unit, state] of Object.entries(plan.units)) putUnit(model, unit, state);
  putPrograms(model);
  return model;
}

const withDiskId = (bytes: Uint8Array | undefined): Uint8Array => {
  const text = Buffer.from(bytes ?? []).toString('latin1');
  return Buffer.from(text.replaceAll(DISK_ID_TOKEN, SIGNATURE.toString(16)), 'latin1');
};

const cmdline = (plan: Plan): string =>
  [
    ...new Set([
      'console=tty1',
      `root=PARTUUID=${SIGNATURE.toString(16)}-02`,
      'ro',
      'rootfstype=ext4',
      'fsck.repair=yes',
      'rootwait',
      ...plan.cmdline,
    ]),
  ].join(' ');

const paragraph = (name: string): string =>
  `Package: ${name}\nStatus: install ok installed\nArchitecture: arm64\nVersion: 1\n`;

function capabilities(text: string | undefined): Partial<TreeNode> {
  if (text === undefined) return {};
  if (!/^cap_net_raw[+=]ep$/.test(text)) throw new Error(`teach the planned image the capability ${text}`);
  return { xattrs: { 'security.capability': capability(1 << 13) } };
}

/** The unit's file, as a package would bring it when no stage does, and the links of its state. */
function putUnit(model: Model, unit: string, state: Plan['units'][string]): void {
  const folders = ['/etc/systemd/system', '/usr/lib/systemd/system'];
  const template = unit.replace(/@[^.]*\./, '@.');
  const own = folders.map((path) => `${path}/${template}`).find((path) => model.nodes.has(path));
  const path = own ?? `/usr/lib/systemd/system/${template}`;
  if (own === undefined) put(model, file(path, '[Unit]\n[Install]\nWantedBy=multi-user.target\n'));
  if (state === 'masked') put(model, link(`/etc/systemd/system/${unit}`, '/dev/null'));
  if (state === 'enabled') put(model, link(`/etc/systemd/system/multi-user.target.wants/${unit}`, path));
}

/** Programs of packages that our units start. */
function putPrograms(model: Model): void {
  for (const [path, node] of [...model.nodes]) {
    if (node.type !== 'file' || !path.startsWith('/etc/systemd/system/')) continue;
    const text = Buffer.from(node.bytes ?? []).toString();
    for (const [, program = ''] of text.matchAll(/[=@:+!-](\/(?:usr\/)?(?:s?bin|lib\/systemd)\/[\w.-]+)/g)) {
      const real = program.replace(/^\/bin\//, '/usr/bin/');
      if (!model.nodes.has(real)) put(model, file(real, elf(183), { mode: 0o755 }));
    }
  }
}

/** Adds a package to dpkg's list, or takes it out. */
export function setPackage(model: Model, name: string, installed: boolean): void {
  edit(model, '/var/lib/dpkg/status', (text) => {
    const others = text.split('\n\n').filter((block) => !block.startsWith(`Package: ${name}\n`));
    return [...others.map((block) => block.trim()), ...(installed ? [paragraph(name).trim()] : [])].join('\n\n');
  });
}
