import type { Check } from '../../src/core/check.ts';
import { builtWithout } from '../../src/core/kernel-offers.ts';
import { file, run } from '../../src/core/shorthand.ts';

const modules = ['landlock', 'yama', 'apparmor'];
/** Prints a line for each: on, off, or not in this kernel. */
const tellModules = modules.map(
  (name) =>
    `if grep -qw ${name} /sys/kernel/security/lsm; then echo ${name}: on; elif ${builtWithout(`CONFIG_SECURITY_${name.toUpperCase()}`)}; then echo ${name}: not in this kernel; else echo ${name}: off; fi`,
);

/** What must hold of the settings' files, and of the running kernel. */
export function kernelChecks(panicSeconds: number): Readonly<Record<string, Check>> {
  return {
    settings: file('Kernel settings are hardened', '/etc/sysctl.d/60-amslpr.conf', {
      guide: [36],
      matches: [
        /^kernel\.kptr_restrict = 2$/m,
        /^kernel\.pid_max = 65536$/m,
        /^-kernel\.unprivileged_userns_clone = 0$/m,
        /^net\.ipv4\.conf\.all\.forwarding = 0$/m,
        /^net\.ipv4\.conf\.all\.arp_ignore = 2$/m,
        /^net\.ipv4\.conf\.all\.route_localnet = 0$/m,
        /^net\.ipv6\.conf\.all\.forwarding = 0$/m,
        /^net\.ipv6\.conf\.default\.accept_redirects = 0$/m,
        /^net\.ipv6\.conf\.default\.accept_source_route = 0$/m,
        /^net\.ipv4\.conf\.\*\.rp_filter = 1$/m,
        /^kernel\.sysrq = 0$/m,
      ],
      why: 'The wildcard has to be set again: systemd ships one with another value, and the last file wins.',
    }),
    'no-core-limit': file('No account leaves a core dump', '/etc/security/limits.d/10-coredump-debian.conf', {
      matches: /^\* hard core 0$/m,
    }),
    'no-core-service': file('No service leaves a core dump', '/etc/systemd/system.conf.d/60-amslpr.conf', {
      matches: [/^DefaultLimitCORE=0$/m, /^DumpCore=no$/m],
    }),
    'no-core-storage': file('systemd-coredump keeps nothing', '/etc/systemd/coredump.conf.d/60-amslpr.conf', {
      matches: [/^Storage=none$/m, /^ProcessSizeMax=0$/m],
      why: 'It is not installed; whoever installs it for a search should have to say so.',
    }),
    modules: file('Modules without a use cannot be loaded', '/etc/modprobe.d/amslpr.conf', {
      matches: [/^install bluetooth \/bin\/false$/m, /^install sctp \/bin\/false$/m, /^install rxrpc \/bin\/false$/m],
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
    'security-modules': {
      ...run('The security modules that the kernel has are on', 'sh', {
        matches: modules.map((name) => new RegExp(`^${name}: (on|not in this kernel)$`, 'm')),
        why: 'Kernels differ in what they were built with; what one has, the argument `lsm=` switches on.',
      }),
      run: ['sh', '-c', tellModules.join('\n')],
    },
    arguments: run('The kernel got our arguments', 'cat /proc/cmdline', {
      matches: [/\binit_on_alloc=1\b/, /\bslab_nomerge\b/, /\bdebugfs=off\b/],
    }),
  };
}
