import { absent, built, file, run, scan, symlink, text, words } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';
import { textOf } from '../src/core/values.ts';

const needed = words(`
  systemd-sysv dbus udev kmod login passwd procps libpam-systemd initramfs-tools zstd
  apt debian-archive-keyring ca-certificates tzdata
  iproute2 iputils-ping python3 less nano
`);

/** Raspberry Pi OS has kernels and firmware of its own. */
const debianKernel = ['linux-image-arm64', 'raspi-firmware'];

/** What Raspberry Pi OS Lite brings along, and an intruder would thank us for. */
const tools = words(`
  build-essential gcc g++ make gdb strace binutils tcpdump nmap netcat-openbsd netcat-traditional inetutils-telnet
  rpi-update popularity-contest
`);

/** What those are made of, where an image asked for it by name. */
const builders = words(`
  gcc-14 gcc-14-aarch64-linux-gnu gcc-aarch64-linux-gnu g++-14 g++-14-aarch64-linux-gnu g++-aarch64-linux-gnu cpp cpp-14
  cpp-14-aarch64-linux-gnu cpp-aarch64-linux-gnu binutils-aarch64-linux-gnu libc6-dev libstdc++-14-dev libgcc-14-dev
  linux-libc-dev libcrypt-dev dpkg-dev fakeroot patch bzip2-doc gdb-minimal manpages-dev pkgconf pkg-config git
  linux-headers-rpi-v8 linux-headers-rpi-2712 cifs-utils
`);

export const baseSystem = defineStage({
  name: 'base-system',
  title: 'Lay the base system',
  about:
    'The packages that make a Raspberry Pi boot and be administered, and nothing to build or debug programs with. Nothing in the image may belong to one device: identity is made on first boot. Add packages with `packages`.',
  guide: {
    1: built(
      'Built from the newest locked packages; `lock` refreshes them, and devices update by themselves (item 2).',
    ),
    60: built('All that runs is a Debian package, the Python libraries too, so item 2 keeps all of it up to date.'),
  },

  options: Type.Object(
    {
      hostname: textOf('hostName', {
        default: 'amslpr',
        description: 'Host name until the site file gives another one.',
      }),
      packages: Type.Array(textOf('packageName'), {
        default: [],
        description: 'Further Debian packages to install.',
      }),
    },
    { additionalProperties: false },
  ),

  contribute({ hostname, packages }, { overlay, target }) {
    const raspios = target.base === 'raspios';
    return {
      packages: [...needed, ...(raspios ? [] : debianKernel), ...packages],
      purge: [...tools, ...(raspios ? builders : [])],
      files: [
        // systemd's first boot would otherwise enable every unit that no preset names, disabled ones too.
        overlay('/etc/systemd/system-preset/00-amslpr.preset'),
        // An empty file would mean "not the first boot".
        text('/etc/machine-id', 'uninitialized\n', '0444'),
        text('/etc/hostname', `${hostname}\n`),
        text('/etc/locale.conf', 'LANG=C.UTF-8\n'),
        overlay('/etc/hosts', { data: { hostname } }),
        symlink('/etc/localtime', '/usr/share/zoneinfo/Etc/UTC'),
      ],
      checks: {
        'machine-id': file('Every device makes its own machine-id', '/etc/machine-id', {
          matches: /^uninitialized\n?$/,
        }),
        presets: file('The first boot enables nothing', '/etc/systemd/system-preset/00-amslpr.preset', {
          matches: /^disable \*$/m,
        }),
        'no-compiler': absent('No compiler is in the image', [
          '/usr/bin/gcc',
          '/usr/bin/cc',
          '/usr/bin/make',
          '/usr/bin/ld',
        ]),
        'no-debugger': absent('No debugger is in the image', ['/usr/bin/gdb', '/usr/bin/strace', '/usr/bin/tcpdump']),
        'no-rpi-update': absent('No way around signed packages', '/usr/bin/rpi-update', {
          guide: [1],
          why: 'rpi-update installs unreleased firmware without checking a signature.',
        }),
        leftovers: scan('Nothing of the build, nothing that one device should own', 'leftovers'),
        leaks: scan("None of AMSLPR's published keys or accounts", 'known-leaks', { guide: [37] }),
        passwords: scan('No account has a password that can be used', 'default-passwords', { guide: [15] }),
        accounts: scan('Account files agree, and only root has uid 0', 'passwd-consistency'),
        cpu: scan('Every program is for this CPU', 'foreign-elf'),
        capabilities: scan('No program has capabilities of its own', 'capabilities', { with: { allow: {} } }),
        owners: scan('Every file has an owner with a name', 'file-owners'),
        writable: scan('Nothing is writable by everybody', 'world-writable'),
        packaged: scan('Every packaged file is as its package made it', 'package-files', { guide: [1, 60] }),
        failed: run('No unit has failed', 'systemctl --failed --no-legend --plain', { lacks: /\S/ }),
      },
    };
  },
});
