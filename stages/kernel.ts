import { file, run, text, words } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';

/** Never vfat (boot partition), virtio (emulator), usbnet (Pi 3's Ethernet) or dm-crypt. */
const blocked = words(`
  cramfs freevxfs hfs hfsplus jffs2 udf firewire-core firewire-ohci atm can dccp rds sctp tipc n-hdlc ax25 netrom x25
  rose af_802154 appletalk ipx bluetooth btusb btbcm hci_uart bnep
`);

const memory = 'init_on_alloc=1 slab_nomerge page_alloc.shuffle=1 randomize_kstack_offset=1 hardened_usercopy=1';

export const kernel = defineStage({
  name: 'kernel',
  title: 'Harden the kernel',
  about:
    'Kernel settings of the CIS, ANSSI and kernel self-protection lists that a Raspberry Pi of any kernel takes, no modules for file systems, radios and protocols that a site has no use for, no core dumps, and a restart ten seconds after a kernel fault. Settings that a kernel does not know are skipped.',
  guide: {},

  options: Type.Object(
    {
      usbStorage: Type.Boolean({
        default: false,
        description: 'Allow USB disks and sticks. Needed to start from one, or to keep a key on one.',
      }),
      panicSeconds: Type.Integer({
        minimum: 1,
        maximum: 300,
        default: 10,
        description: 'Restart after a kernel fault.',
      }),
    },
    { additionalProperties: false },
  ),

  contribute({ usbStorage, panicSeconds }, { overlay }) {
    const modules = [...blocked, ...(usbStorage ? [] : ['usb-storage', 'uas'])].sort();
    return {
      files: [
        overlay('/etc/sysctl.d/60-amslpr.conf', { data: { panicSeconds } }),
        overlay('/etc/modprobe.d/amslpr.conf', { data: { modules }, initramfs: true }),
        text('/etc/security/limits.d/60-amslpr.conf', '* hard core 0\n* soft core 0\n'),
        text('/etc/systemd/system.conf.d/60-amslpr.conf', '[Manager]\nDefaultLimitCORE=0\nDumpCore=no\n'),
      ],
      cmdline: [
        ...memory.split(' '),
        'debugfs=off',
        'lsm=landlock,lockdown,yama,integrity,apparmor,bpf',
        `panic=${panicSeconds}`,
      ],
      checks: {
        settings: file('Kernel settings are hardened', '/etc/sysctl.d/60-amslpr.conf', {
          matches: [/^kernel\.kptr_restrict = 2$/m, /^net\.ipv4\.conf\.\*\.rp_filter = 1$/m, /^kernel\.sysrq = 0$/m],
          why: 'The wildcard has to be set again: systemd ships one with another value, and the last file wins.',
        }),
        modules: file('Modules without a use cannot be loaded', '/etc/modprobe.d/amslpr.conf', {
          matches: [/^install bluetooth \/bin\/false$/m, /^install sctp \/bin\/false$/m],
          lacks: /^install (vfat|fat|virtio\S*|usbnet|smsc95xx|lan78xx|dm-crypt|dm_crypt) /m,
          why: 'Without vfat, USB Ethernet or dm-crypt a Pi neither updates its kernel, nor is on line, nor opens its data.',
        }),
        pointers: run('The kernel shows no addresses', 'sysctl -n kernel.kptr_restrict kernel.dmesg_restrict', {
          matches: /^2\n1$/m,
        }),
        'core-dumps': run('No core dump is written', 'sysctl -n fs.suid_dumpable kernel.core_pattern', {
          matches: /^0\n\|\/bin\/false$/m,
        }),
        redirects: run(
          'No packet redirects another, and forged senders are dropped',
          'sysctl -n net.ipv4.conf.all.accept_redirects net.ipv4.conf.all.send_redirects net.ipv4.conf.all.rp_filter',
          { matches: /^0\n0\n1$/m },
        ),
        martians: run("ufw's own settings do not undo ours", 'sysctl -n net.ipv4.conf.all.log_martians', {
          matches: /^1$/m,
        }),
        panic: run('A kernel fault ends in a restart', 'sysctl -n kernel.panic kernel.panic_on_oops', {
          matches: new RegExp(`^${panicSeconds}\\n1$`, 'm'),
        }),
        'security-modules': run('The security modules of the kernel are on', 'cat /sys/kernel/security/lsm', {
          matches: [/\blandlock\b/, /\byama\b/, /\bapparmor\b/],
        }),
        arguments: run('The kernel got our arguments', 'cat /proc/cmdline', {
          matches: [/\binit_on_alloc=1\b/, /\bslab_nomerge\b/, /\bdebugfs=off\b/],
        }),
      },
    };
  },
});
