import { file, run, scan, text } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';
import { textOf } from '../src/core/values.ts';
import { BOOT_HOOK, bootSetChecks, bootSetFiles } from './boot-files/sets.ts';

const initramfs = '/etc/initramfs-tools/conf.d/amslpr';
const debianConsoles = ['ttyAMA0,115200', 'ttyS1,115200', 'tty0'];

/** Raspberry Pi OS has no hook that writes it; its firmware knows which serial port serial0 is on each board. */
function commandLine(consoles: readonly string[], cmdline: readonly string[]): string {
  const own = consoles.join(' ') === debianConsoles.join(' ') ? ['serial0,115200', 'tty1'] : consoles;
  const words = [...own.map((name) => `console=${name}`), 'root=PARTUUID=@DISK-ID@-02', 'rw', 'fsck.repair=yes'];
  return `${[...words, 'net.ifnames=0', 'rootwait', ...cmdline].join(' ')}\n`;
}

export const bootFiles = defineStage({
  name: 'boot-files',
  title: 'Write the boot files',
  about:
    "cmdline.txt and config.txt are written by raspi-firmware's own hook, when the image is built and at every kernel upgrade on the device, from the three files that this stage owns. So an upgrade changes nothing but the kernel. On the device the hook writes into a folder that the board does not start from; when all of it is on the card, one sector of config.txt names the folder, and the files before it stay: a power cut at any moment leaves one whole set. With the base `raspios` they are written once, and its hooks leave them alone.",
  guide: {},
  needs: ['base-system', 'mounts'],

  options: Type.Object(
    {
      consoles: Type.Array(textOf('kernelConsole'), {
        minItems: 1,
        default: debianConsoles,
        description:
          'Where the kernel writes, the main one last. ttyS1 is the serial port of Pi 3 and 4, tty0 the screen. The default of the base `raspios` is its own: serial0 and tty1.',
      }),
      config: Type.Array(textOf('bootSetting'), {
        default: ['disable_splash=1', 'gpu_mem=16'],
        description: 'Lines for config.txt.',
      }),
    },
    { additionalProperties: false },
  ),

  contribute({ config }, { overlay, target }) {
    const ours = target.base !== 'raspios';
    return {
      configTxt: config,
      cmdline: ['rootfstype=ext4'],
      packages: ['e2fsprogs', 'logsave', 'dosfstools'],
      files: [
        { ...text(initramfs, 'FSTYPE=ext4\nRESUME=none\n'), initramfs: true },
        ...(ours ? bootSetFiles(overlay) : []),
      ],
      diversions: ['/etc/default/raspi-firmware', ...(ours ? [BOOT_HOOK] : [])],
      checks: {
        cmdline: scan('The kernel is started with our arguments from our partition', 'cmdline', {
          with: {
            arguments: ['rootfstype=ext4', 'rootwait', 'fsck.repair=yes'],
            lacks: ['quiet', 'single', 'systemd.debug_shell'],
          },
        }),
        fstab: scan('The file systems are those of this card', 'fstab'),
        partitions: scan('Partitions are as planned and fit a small 4 GB card', 'partitions'),
        conffiles: scan('No configuration file of a package is replaced', 'conffiles', {
          guide: [2],
          with: { allow: ['/etc/default/raspi-firmware', ...(ours ? [BOOT_HOOK] : [])] },
          why: 'unattended-upgrades would hold back the package. The exceptions are diverted, and apt keeps changed files.',
        }),
        ...(ours ? bootSetChecks : {}),
        'root-partition': file('A kernel upgrade keeps the root partition', '/etc/default/raspi-firmware', {
          guide: [2],
          matches: [/^ROOTPART="PARTUUID=[0-9a-f]{8}-02"$/m, /^CMA=0$/m, /^CONSOLES="/m],
          why: 'raspi-firmware would ask for the mounted device otherwise, whose name differs between slots and boards.',
        }),
        'root-check': file('The root file system is checked before it is mounted', initramfs, {
          matches: /^FSTYPE=ext4$/m,
          why: 'A build has no root device to look at, and the initramfs would have no fsck.',
        }),
        started: run('The running kernel was started from our partition', 'cat /proc/cmdline', {
          matches: /\broot=PARTUUID=[0-9a-f]{8}-02\b/,
        }),
      },
    };
  },

  collect({ cmdline, configTxt }, { consoles }, { target }) {
    const settings = [
      '# Ours; the packaged file is beside it as raspi-firmware.distrib. Run `update-initramfs -u` after a change.',
      'ROOTPART="PARTUUID=@DISK-ID@-02"',
      '# No memory is set aside for a screen; the default is not for every board.',
      'CMA=0',
      `CONSOLES="${consoles.join(' ')}"`,
    ];
    return {
      files: [
        { ...text('/etc/default/raspi-firmware', `${settings.join('\n')}\n`), initramfs: true },
        { ...text('/etc/default/raspi-extra-cmdline', `${cmdline.join(' ')}\n`), initramfs: true },
        { ...text('/etc/default/raspi-firmware-custom', `${configTxt.join('\n')}\n`), initramfs: true },
        ...(target.base === 'raspios' ? [text('/boot/firmware/cmdline.txt', commandLine(consoles, cmdline))] : []),
      ],
    };
  },
});
