import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import type { Contribution } from '../../src/core/contribution.ts';
import type { AnyStage, Collected, StageContext } from '../../src/core/stage.ts';
import { render } from '../../src/plan/resolve.ts';
import { accounts } from '../../stages/accounts.ts';
import { baseSystem } from '../../stages/base-system.ts';
import { bootFiles } from '../../stages/boot-files.ts';
import { fail2ban } from '../../stages/fail2ban.ts';
import { firewall } from '../../stages/firewall.ts';
import { journal } from '../../stages/journal.ts';
import { kernel } from '../../stages/kernel.ts';
import { mounts } from '../../stages/mounts.ts';
import { network } from '../../stages/network.ts';
import { services } from '../../stages/services.ts';
import { sshd } from '../../stages/sshd.ts';
import { updates } from '../../stages/updates.ts';
import { usb } from '../../stages/usb.ts';

const root = join(import.meta.dirname, '../..');
const ours = [
  baseSystem,
  updates,
  accounts,
  sshd,
  firewall,
  fail2ban,
  services,
  kernel,
  usb,
  mounts,
  journal,
  network,
  bootFiles,
];

const context: StageContext = {
  target: { base: 'debian', suite: 'trixie', architecture: 'arm64' },
  overlay: (path, { mode = '0644', owner = 'root:root', data } = {}) => ({
    path,
    mode,
    owner,
    content: { kind: 'overlay', ...(data === undefined ? {} : { data }) },
  }),
  sourceFiles: () => ({ files: [], digest: '' }),
};
const everybody: Collected = {
  openPorts: [
    { port: 443, protocol: 'tcp', action: 'allow', comment: 'HTTPS' },
    { port: 22, protocol: 'tcp', action: 'limit', comment: 'SSH' },
  ],
  dataBinds: [],
  plainSecrets: [],
  cmdline: ['rootfstype=ext4', 'panic=10'],
  configTxt: ['gpu_mem=16'],
};

const complete = (stage: AnyStage, options: Record<string, unknown>) =>
  Value.Default(stage.options, structuredClone(options)) as Record<string, unknown>;

const accepts = (stage: AnyStage, options: Record<string, unknown>): boolean =>
  Value.Check(stage.options, complete(stage, options));

function contribute(stage: AnyStage, options: Record<string, unknown> = {}): Contribution {
  expect(accepts(stage, options)).toBe(true);
  return stage.contribute(complete(stage, options), context);
}

function collect(stage: AnyStage, options: Record<string, unknown> = {}): Contribution {
  return stage.collect?.(everybody, complete(stage, options), context) ?? {};
}

/** The text that a file of the stage has in the image. */
function textOf(stage: AnyStage, contribution: Contribution, path: string): string {
  const file = contribution.files?.find((one) => one.path === path);
  if (file === undefined) throw new Error(`${stage.name} has no file ${path}`);
  if (file.content.kind === 'text') return file.content.text;
  if (file.content.kind !== 'overlay') throw new Error(`${path} is no text`);
  const source = join(root, 'overlays', stage.name, path);
  return file.content.data === undefined
    ? readFileSync(source, 'utf8')
    : render(readFileSync(`${source}.hbs`, 'utf8'), file.content.data);
}

describe('options that change a file', () => {
  it.each<[AnyStage, Record<string, unknown>, string, string]>([
    [baseSystem, { hostname: 'gate-7' }, '/etc/hosts', '127.0.1.1\tgate-7\n'],
    [updates, { automaticReboot: false }, '/etc/apt/apt.conf.d/52amslpr-updates', 'Automatic-Reboot "false";'],
    [updates, { rebootTime: '04:15' }, '/etc/apt/apt.conf.d/52amslpr-updates', 'Automatic-Reboot-Time "04:15";'],
    [
      updates,
      { rebootWindowMinutes: 90 },
      '/etc/systemd/system/amslpr-reboot-minute.service',
      'reboot-minute 03:30 90\n',
    ],
    [accounts, { minimumLength: 20 }, '/etc/security/pwquality.conf', 'minlen = 20\n'],
    [
      accounts,
      { maxFailures: 7, lockMinutes: 2 },
      '/etc/security/faillock.conf',
      'deny = 7\nunlock_time = 120\nfail_interval = 120\n',
    ],
    [accounts, { idleMinutes: 3 }, '/etc/profile.d/amslpr.sh', 'TMOUT=180\n'],
    [accounts, { sudoMinutes: 0 }, '/etc/sudoers.d/amslpr', 'timestamp_timeout=0\n'],
    [sshd, { port: 2222 }, '/etc/ssh/sshd_config', '\nPort 2222\n'],
    [sshd, { maxAuthTries: 2 }, '/etc/ssh/sshd_config', '\nMaxAuthTries 2\n'],
    [sshd, { idleMinutes: 2 }, '/etc/ssh/sshd_config', '\nClientAliveInterval 120\n'],
    [
      fail2ban,
      { maxRetry: 5, banMinutes: 10 },
      '/etc/fail2ban/jail.d/amslpr.local',
      'maxretry = 5\nfindtime = 10m\nbantime = 10m\n',
    ],
    [
      fail2ban,
      { ignore: ['192.0.2.0/24', '2001:db8::/32'] },
      '/etc/fail2ban/jail.d/amslpr.local',
      '::1 192.0.2.0/24 2001:db8::/32\n',
    ],
    [kernel, { panicSeconds: 30 }, '/etc/sysctl.d/60-amslpr.conf', '\nkernel.panic = 30\n'],
    [kernel, {}, '/etc/modprobe.d/amslpr.conf', 'blacklist usb-storage\ninstall usb-storage /bin/false\n'],
    [
      usb,
      { devices: ['0bda:8153'] },
      '/etc/udev/rules.d/60-amslpr-usb.rules',
      '\nATTRS{idVendor}=="0bda", ATTRS{idProduct}=="8153", ENV{AMSLPR_USB}="yes"\n',
    ],
    [usb, {}, '/etc/udev/rules.d/60-amslpr-usb.rules', '\nATTR{bInterfaceClass}=="03", ENV{AMSLPR_USB}="yes"\n'],
    [
      kernel,
      { usbStorage: true },
      '/etc/udev/rules.d/60-amslpr-usb-storage.rules',
      'ATTR{bInterfaceClass}=="08", ENV{AMSLPR_USB}="yes"\n',
    ],
    [mounts, { tmpPercent: 40 }, '/etc/systemd/system/tmp.mount.d/10-amslpr.conf', ',noexec,size=40%%,'],
    [journal, { maxDiskMiB: 64, keepDays: 7 }, '/etc/systemd/journald.conf.d/zz-amslpr.conf', 'MaxRetentionSec=7day\n'],
    [
      network,
      { timeServers: ['ntp.example.com', '2001:db8::1'] },
      '/etc/systemd/timesyncd.conf.d/60-amslpr.conf',
      'NTP=ntp.example.com 2001:db8::1\n',
    ],
  ])('%o with %o', (stage, options, path, expected) => {
    expect(textOf(stage, contribute(stage, options), path)).toContain(expected);
  });

  it('leaves USB disks and the time servers of Debian alone when asked', () => {
    expect(textOf(kernel, contribute(kernel, { usbStorage: true }), '/etc/modprobe.d/amslpr.conf')).not.toContain(
      'usb-storage',
    );
    expect(
      contribute(kernel)
        .files?.map(({ path }) => path)
        .join(),
    ).not.toContain('udev');
    const rules = '/etc/udev/rules.d/60-amslpr-usb.rules';
    expect(textOf(usb, contribute(usb, { keyboard: false }), rules)).not.toMatch(/bInterfaceClass\}=="03"/);
    expect(textOf(network, contribute(network), '/etc/systemd/timesyncd.conf.d/60-amslpr.conf')).not.toMatch(/^NTP=/m);
    expect(contribute(services, { watchdog: false }).files?.map(({ path }) => path)).not.toContain(
      '/etc/systemd/system.conf.d/60-amslpr-watchdog.conf',
    );
  });
});

describe('values that could break out of a file', () => {
  it.each<[AnyStage, Record<string, unknown>]>([
    [baseSystem, { hostname: 'gate 7' }],
    [baseSystem, { hostname: 'gate\n127.0.0.1 evil' }],
    [baseSystem, { packages: ['nginx; reboot'] }],
    [baseSystem, { packages: ['-o=Dir=/'] }],
    [updates, { rebootTime: '24:00' }],
    [updates, { rebootTime: '03:30"; "' }],
    [updates, { rebootTime: 210 }],
    [accounts, { minimumLength: 4 }],
    [sshd, { port: 0 }],
    [sshd, { port: 65536 }],
    [sshd, { maxAuthTries: 5 }],
    [sshd, { port: '22\nPermitRootLogin yes' }],
    [sshd, { permitRootLogin: true }],
    [firewall, { logging: 'full' }],
    [fail2ban, { ignore: ['192.0.2.1\n[sshd]'] }],
    [fail2ban, { ignore: ['%(known/ip)s'] }],
    [services, { allow: ['a.service b.service'] }],
    [kernel, { panicSeconds: 0 }],
    [network, { timeServers: ['-x'] }],
    [network, { timeServers: ['a\nb'] }],
    [bootFiles, { consoles: ['tty0 init=/bin/sh'] }],
    [bootFiles, { consoles: [] }],
    [bootFiles, { config: ['a=b\nkernel=evil'] }],
  ])('%o refuses %o', (stage, options) => {
    expect(accepts(stage, options)).toBe(false);
  });
});

describe('what is made of everybody’s contributions', () => {
  it('opens the ports that stages named, in order, and no other', () => {
    const rules = textOf(firewall, collect(firewall), '/etc/ufw/user.rules');
    expect(rules.match(/^### tuple .*$/gm)?.map((line) => line.split(' ').slice(3, 6).join(' '))).toEqual([
      'limit tcp 22',
      'allow tcp 443',
    ]);
    expect(textOf(firewall, collect(firewall, { logging: 'off' }), '/etc/ufw/ufw.conf')).toBe(
      'ENABLED=yes\nLOGLEVEL=off\n',
    );
  });

  it('gives raspi-firmware all that it writes cmdline.txt and config.txt from', () => {
    const made = collect(bootFiles, { consoles: ['ttyS1,115200', 'tty0'] });
    expect(textOf(bootFiles, made, '/etc/default/raspi-firmware')).toMatch(
      /^ROOTPART="PARTUUID=@DISK-ID@-02"\n(#.*\n)?CMA=0\nCONSOLES="ttyS1,115200 tty0"$/m,
    );
    expect(textOf(bootFiles, made, '/etc/default/raspi-extra-cmdline')).toBe('rootfstype=ext4 panic=10\n');
    expect(textOf(bootFiles, made, '/etc/default/raspi-firmware-custom')).toBe('gpu_mem=16\n');
    expect(contribute(bootFiles).diversions).toEqual([
      '/etc/default/raspi-firmware',
      '/etc/kernel/postinst.d/z50-raspi-firmware',
    ]);
  });
});

describe('overlays', () => {
  it.each(ours)('$name uses all of its files', (stage) => {
    const folder = join(root, 'overlays', stage.name);
    const there = readdirSync(join(root, 'overlays')).includes(stage.name)
      ? readdirSync(folder, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) =>
            join(entry.parentPath, entry.name)
              .slice(folder.length)
              .replace(/\.hbs$/, ''),
          )
      : [];
    const used = [contribute(stage, stage === kernel ? { usbStorage: true } : {}), collect(stage)]
      .flatMap(({ files = [] }) => files)
      .filter(({ content }) => content.kind === 'overlay')
      .map(({ path }) => path as string);
    expect(used.sort()).toEqual(there.sort());
  });
});
