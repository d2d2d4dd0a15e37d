import { accessSync, constants } from 'node:fs';
import { type BoardSockets, boardArguments } from './board.ts';
import type { BootFiles } from './boot-files.ts';
import type { MachineName } from './machine.ts';

export interface Ports {
  readonly ssh: number;
  readonly http: number;
  readonly https: number;
}

export interface CommandInput {
  readonly machine: MachineName;
  readonly boot: Pick<BootFiles, 'kernel' | 'initramfs' | 'cmdline' | 'deviceTree'>;
  readonly overlay: string;
  readonly ports: Ports;
  readonly qmp: string;
  /** The log of the serial console. */
  readonly console: string;
  /** Show the serial console on standard output and take its input from standard input. */
  readonly interactive: boolean;
  /** Whether the host can run arm64 guests itself. */
  readonly kvm: boolean;
  /** A raw file that `virt` shows as a second disk, read-only. */
  readonly disk?: string;
  /** `virt` only. */
  readonly board?: BoardSockets;
}

export function hostHasKvm(): boolean {
  if (process.arch !== 'arm64') return false;
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Arguments for qemu-system-aarch64. Ports are open on 127.0.0.1 alone. */
export function qemuArguments(input: CommandInput): string[] {
  const { machine, boot, ports, interactive, board } = input;
  const forward = [
    [ports.ssh, 22],
    [ports.http, 80],
    [ports.https, 443],
  ].map(([from, to]) => `hostfwd=tcp:127.0.0.1:${from}-:${to}`);
  // QEMU's router takes every IPv6 packet on a cable for one that it has to pass on, and says that there is no way.
  const six = board?.cable?.only === true ? ['ipv6=off'] : [];
  const serial = interactive
    ? `stdio,id=serial,signal=off,logfile=${input.console},logappend=on`
    : `file,id=serial,path=${input.console},append=on`;
  const common = [
    ...['-kernel', boot.kernel, '-initrd', boot.initramfs, '-display', 'none', '-monitor', 'none'],
    ...(machine === 'virt' && board?.network === 'none'
      ? []
      : ['-netdev', ['user', 'id=net', ...six, ...forward].join(',')]),
    ...['-chardev', serial, '-qmp', `unix:${input.qmp},server=on,wait=off`],
    // A restart has to read the boot partition again, as the firmware does: QEMU ends, and is started anew.
    ...['-no-reboot', '-nodefaults'],
  ];
  // The cable's switch has to know the network already.
  if (machine === 'virt') return [...common, ...virt(input)];
  return [...raspi(input), ...common];
}

/** QEMU's name for the card. */
export const DRIVE = 'card';

/** Seconds that systemd waits for a partition: an emulated card on a busy host needs more than the usual 90. */
export const PATIENT = 'systemd.default_device_timeout_sec=900';

/** Messages of the system go to the console that is named last. */
const withConsole = (cmdline: string, name: string): string[] => ['-append', `${cmdline} ${PATIENT} console=${name}`];

function virt({ boot, overlay, kvm, disk, board }: CommandInput): string[] {
  return [
    ...(kvm ? ['-M', 'virt', '-accel', 'kvm', '-cpu', 'host'] : ['-M', 'virt', '-accel', 'tcg,thread=multi']),
    ...(kvm ? [] : ['-cpu', 'cortex-a72']),
    ...['-smp', '2', '-serial', 'chardev:serial', ...withConsole(boot.cmdline, 'ttyAMA0,115200')],
    ...[
      '-drive',
      `if=none,id=${DRIVE},format=qcow2,file=${overlay},discard=unmap`,
      '-device',
      `virtio-blk-pci,drive=${DRIVE}`,
    ],
    ...(disk === undefined
      ? []
      : ['-drive', `if=none,id=tools,format=raw,readonly=on,file=${disk}`, '-device', 'virtio-blk-pci,drive=tools']),
    ...boardArguments(board ?? {}),
  ];
}

/** QEMU's model of the board's watchdog restarts the machine when it is armed: systemd gets another device to arm. */
const NO_WATCHDOG = 'systemd.watchdog_device=/dev/null';

function raspi({ boot, overlay }: CommandInput): string[] {
  return [
    ...['-M', 'raspi3b', '-m', '1G', '-dtb', boot.deviceTree ?? ''],
    // The first serial port belongs to Bluetooth on this board: the console is on the second.
    ...[
      '-serial',
      'null',
      '-serial',
      'chardev:serial',
      ...withConsole(`${boot.cmdline} ${NO_WATCHDOG}`, 'ttyS1,115200'),
    ],
    // On the root port: without a number QEMU puts a hub between, which has to be asked all the time.
    ...['-drive', `if=sd,id=${DRIVE},format=qcow2,file=${overlay}`, '-device', 'usb-net,netdev=net,port=1'],
  ];
}
