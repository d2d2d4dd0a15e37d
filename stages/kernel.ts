import { text, words } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';
import { kernelChecks } from './kernel/checks.ts';

/** Never vfat (boot partition), virtio (emulator), usbnet (Pi 3's Ethernet) or dm-crypt. */
const blocked = words(`
  cramfs freevxfs hfs hfsplus jffs2 squashfs udf firewire-core firewire-ohci atm can dccp rds sctp tipc n-hdlc ax25 netrom x25
  rose af_802154 appletalk ipx bluetooth btusb btbcm hci_uart bnep
  rxrpc llc2 phonet qrtr smc nfc kcm caif-socket l2tp-core l2tp-ip l2tp-ppp n-gsm vivid thunderbolt
  overlay
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
        description:
          'Allow USB disks and sticks at any time. Needed to start from one; the method usb-key does without.',
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
      diversions: ['/etc/security/limits.d/10-coredump-debian.conf'],
      files: [
        overlay('/etc/sysctl.d/60-amslpr.conf', { data: { panicSeconds } }),
        overlay('/etc/modprobe.d/amslpr.conf', { data: { modules }, initramfs: true }),
        ...(usbStorage ? [overlay('/etc/udev/rules.d/60-amslpr-usb-storage.rules', { initramfs: true })] : []),
        // Debian's file of this name lifts the limit.
        text('/etc/security/limits.d/10-coredump-debian.conf', '* hard core 0\n* soft core 0\n'),
        text('/etc/systemd/coredump.conf.d/60-amslpr.conf', '[Coredump]\nStorage=none\nProcessSizeMax=0\n'),
        text('/etc/systemd/system.conf.d/60-amslpr.conf', '[Manager]\nDefaultLimitCORE=0\nDumpCore=no\n'),
      ],
      cmdline: [
        ...memory.split(' '),
        'debugfs=off',
        'lsm=landlock,lockdown,yama,integrity,apparmor,bpf',
        `panic=${panicSeconds}`,
      ],
      checks: kernelChecks(panicSeconds),
    };
  },
});
