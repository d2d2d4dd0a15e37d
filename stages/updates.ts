import { built, file, installed, run, runBook, unit } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';
import { textOf } from '../src/core/values.ts';

export const updates = defineStage({
  name: 'updates',
  title: 'Install security updates by itself',
  about:
    'unattended-upgrades installs everything from Debian, Debian security and the Raspberry Pi archive every day, restarts the services that need it, and reboots for a new kernel at a minute of its own within the reboot window, unless only a person can unlock it. Change the window with `rebootTime` and `rebootWindowMinutes`.',
  guide: {
    2: built(
      'unattended-upgrades, with a drop-in that adds the Raspberry Pi archive, which Debian’s list leaves out, and reboots within a window, since a fixed kernel works only then.',
    ),
    61: runBook('maintenance', 'Which announcements to read, and what to do when one concerns the device.'),
    62: runBook('review', 'Once a month, with the same checks that the build made: `amslpr-device audit`.'),
    63: runBook('scans', 'What to give to a tester, what is allowed, and what the answer should be.'),
    64: runBook('review', 'Once a year, and after every incident.'),
  },

  options: Type.Object(
    {
      automaticReboot: Type.Boolean({
        default: true,
        description: 'Reboot when an update needs it. Without it a new kernel waits for a person.',
      }),
      rebootTime: textOf('timeOfDay', {
        default: '03:30',
        description: 'Start of the reboot window in device time, "HH:MM". The backup runs at 02:00.',
      }),
      rebootWindowMinutes: Type.Integer({
        minimum: 1,
        maximum: 720,
        default: 60,
        description: 'Length of the window; each device keeps to a minute of its own, so that not all go down at once.',
      }),
    },
    { additionalProperties: false },
  ),

  contribute({ automaticReboot, rebootTime, rebootWindowMinutes }, { overlay }) {
    return {
      packages: ['unattended-upgrades', 'needrestart', 'apt-utils'],
      files: [
        overlay('/etc/apt/apt.conf.d/52amslpr-updates', { data: { automaticReboot, rebootTime } }),
        overlay('/etc/needrestart/conf.d/50-amslpr.conf'),
        overlay('/usr/lib/amslpr/reboot-minute', { mode: '0755' }),
        overlay('/etc/systemd/system/amslpr-reboot-minute.service', { data: { rebootTime, rebootWindowMinutes } }),
        overlay('/etc/systemd/system/unattended-upgrades.service.d/10-amslpr.conf'),
      ],
      units: {
        'apt-daily.timer': 'enabled',
        'apt-daily-upgrade.timer': 'enabled',
        'unattended-upgrades.service': 'enabled',
        'amslpr-reboot-minute.service': 'enabled',
      },
      checks: {
        installed: installed('unattended-upgrades is there', 'unattended-upgrades', { guide: [2] }),
        origins: file('Updates of Debian security and Raspberry Pi are taken', '/etc/apt/apt.conf.d/52amslpr-updates', {
          guide: [2],
          matches: [/label=Debian-Security/, /origin=Raspberry Pi Foundation/, /Periodic::Unattended-Upgrade "1"/],
          why: "Debian's own list leaves out the Raspberry Pi archive: its kernel and firmware would never be updated.",
        }),
        daily: unit('Updates are installed daily', 'apt-daily-upgrade.timer', 'enabled', { guide: [2] }),
        lists: unit('Package lists are fetched daily', 'apt-daily.timer', 'enabled', { guide: [2] }),
        waits: run('The timers of both run', 'systemctl is-active apt-daily.timer apt-daily-upgrade.timer', {
          guide: [2, 60],
          matches: /^active\nactive\n?$/,
        }),
        effective: run("apt's effective configuration is ours", 'apt-config dump --no-empty Unattended-Upgrade', {
          guide: [1, 2],
          matches: [
            /label=Debian-Security"/,
            /"origin=Raspberry Pi Foundation/,
            automaticReboot ? /Automatic-Reboot "(true|false)"/ : /Automatic-Reboot "false"/,
          ],
          why: 'A device that only a person can unlock turns restarts off for itself, whatever the image says.',
        }),
        signed: run('Lists that are not signed, or have expired, are refused', 'apt-config dump --no-empty', {
          guide: [1, 2],
          matches: [
            /^Acquire::AllowInsecureRepositories "false";$/m,
            /^Acquire::AllowDowngradeToInsecureRepositories "false";$/m,
            /^Acquire::Check-Valid-Until "true";$/m,
            /^Acquire::Check-Date "true";$/m,
          ],
          lacks: /^(APT::Get::AllowUnauthenticated|Acquire::AllowWeakRepositories) "(true|1|yes)";$/m,
        }),
        'no-trusted': run('No source is believed without a signature', 'grep -rEi trusted\\s*[=:]\\s*yes /etc/apt', {
          guide: [2],
          exit: 1,
          lacks: /\S/,
        }),
        'own-minute': run('The device has its own reboot minute', 'cat /etc/apt/apt.conf.d/53amslpr-reboot-minute', {
          guide: [2],
          matches: /^Unattended-Upgrade::Automatic-Reboot-Time "([01][0-9]|2[0-3]):[0-5][0-9]";$/m,
        }),
      },
    };
  },
});
