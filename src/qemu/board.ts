import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { StepError } from '../core/errors.ts';
import { startBackground } from '../host/background.ts';
import type { TreeChanges } from './device-tree.ts';

/** What is on the board beside the card, under `virt`. Looked at each time QEMU starts: callers may change it between. */
export interface Board {
  /**
   * A folder with the state of a TPM 2.0, made when it is not there; another folder is another chip. It answers on the
   * serial port `tpm`: Debian's arm64 kernel has no driver for QEMU's own tpm-tis-device (CONFIG_TCG_TIS is off).
   */
  tpm?: string;
  /** The board has USB ports, with this raw file as a stick in one of them, or none, and devices of these kinds. */
  usb?: { stick?: string; devices?: readonly UsbDevice[] };
  /** The serial number that the device tree tells; none without it, as QEMU's own boards. */
  serial?: string;
  /** The board has a light, `/sys/class/leds/ACT`. */
  led?: boolean;
  /** A cable to another guest. */
  cable?: Cable;
  /** MiB; 1024 without it. */
  memory?: number;
  /** What the board's clock says when it is switched on, in UTC: 2016-01-01T00:00:00. The host's time without it. */
  clock?: string;
  /** No network card at all: nothing reaches the guest, and `Guest.ports` lead nowhere. */
  network?: 'none';
}

/** What can be plugged in: QEMU's model of each, and what that needs. */
const USB_DEVICES = {
  hub: ['-device', 'usb-hub,bus=usb.0'],
  keyboard: ['-device', 'usb-kbd,bus=usb.0'],
  tablet: ['-device', 'usb-tablet,bus=usb.0'],
  network: ['-netdev', 'user,id=usbnet,restrict=on', '-device', 'usb-net,netdev=usbnet,bus=usb.0'],
  /** FTDI's chip. */
  serial: ['-chardev', 'null,id=usbserial', '-device', 'usb-serial,chardev=usbserial,bus=usb.0,always-plugged=on'],
  sound: ['-audiodev', 'none,id=usbaudio', '-device', 'usb-audio,audiodev=usbaudio,bus=usb.0'],
} as const;
export type UsbDevice = keyof typeof USB_DEVICES;

/** One end of a cable between two guests: the one that listens is started first. */
export interface Cable {
  /** Path of a Unix socket. */
  readonly socket: string;
  readonly end: 'listen' | 'connect';
  readonly mac: string;
  /** The board's only network card is plugged into it, and the host's network meets it in a switch. */
  readonly only?: boolean;
}

/** What QEMU is told of a board: `tpm` is the socket of a running swtpm; the rest is in the device tree. */
export type BoardSockets = Readonly<Omit<Board, keyof TreeChanges>>;

/** QEMU's names for the stick and the controller that it is plugged into. */
export const STICK = 'stick';
const BUS = 'usb.0';

/** Arguments for `virt`. */
export function boardArguments(board: BoardSockets): string[] {
  const { tpm, usb, cable, memory = 1024, clock } = board;
  const chip = ['-chardev', `socket,id=tpm,path=${tpm}`, '-device', 'virtio-serial-pci'];
  const stick = usb?.stick;
  return [
    ...['-m', String(memory)],
    ...(clock === undefined ? [] : ['-rtc', `base=${clock}`]),
    ...['-device', 'virtio-rng-pci', ...cardArguments(board)],
    ...(tpm === undefined ? [] : [...chip, '-device', 'virtserialport,chardev=tpm,name=tpm']),
    ...(usb === undefined ? [] : ['-device', 'qemu-xhci,id=usb']),
    ...(usb?.devices ?? []).flatMap((kind) => USB_DEVICES[kind]),
    ...(stick === undefined ? [] : ['-blockdev', JSON.stringify(stickBlock(stick))]),
    ...(stick === undefined ? [] : ['-device', JSON.stringify(stickDevice)]),
    ...(cable === undefined ? [] : cableArguments(cable)),
  ];
}

function cableArguments({ socket, end, mac, only = false }: Cable): string[] {
  const server = end === 'listen' ? 'on' : 'off';
  const cable = ['-netdev', `stream,id=cable,server=${server},addr.type=unix,addr.path=${socket}`];
  if (!only) return [...cable, '-device', `virtio-net-pci,netdev=cable,mac=${mac},romfile=`];
  const port = (id: string, rest: string): string[] => ['-netdev', `hubport,id=${id},hubid=0${rest}`];
  return [...cable, ...port('p1', ',netdev=net'), ...port('p2', ',netdev=cable'), ...port(SWITCH, '')];
}

const SWITCH = 'switch';

/** The board's own network card, on the host's network or in the switch. */
function cardArguments({ cable, network }: BoardSockets): string[] {
  if (network === 'none') return [];
  const to = cable?.only === true ? `${SWITCH},mac=${cable.mac}` : 'net';
  return ['-device', `virtio-net-pci,netdev=${to},romfile=`];
}

/** A stick's file, for -blockdev and blockdev-add. */
export const stickBlock = (file: string) => ({
  driver: 'raw',
  'node-name': STICK,
  file: { driver: 'file', filename: file },
});

/** The stick itself, for -device and device_add. */
export const stickDevice = { driver: 'usb-storage', id: STICK, drive: STICK, bus: BUS, removable: true };

export interface Tpm {
  readonly socket: string;
  stop(): Promise<void>;
}

/**
 * A software TPM 2.0, just switched on, that keeps its state in `state`. Each start of a guest needs one.
 * @throws StepError when swtpm is missing or does not start
 */
export async function startTpm(state: string, socket: string): Promise<Tpm> {
  await mkdir(state, { recursive: true, mode: 0o700 });
  const where = ['--tpmstate', `dir=${state}`, '--server', `type=unixio,path=${socket}`];
  const control = ['--ctrl', `type=unixio,path=${socket}-control`, '--flags', 'not-need-init,startup-clear'];
  const swtpm = startBackground(['swtpm', 'socket', '--tpm2', ...where, ...control]);
  let gone: string | undefined;
  void swtpm.ended.then(({ output }) => {
    gone = output.trim() || 'swtpm ended';
  });
  for (let tries = 0; !existsSync(socket) && gone === undefined && tries < 100; tries += 1) await sleep(100);
  if (!existsSync(socket)) {
    await swtpm.stop();
    throw new StepError({
      message: 'The software TPM did not start',
      hint: `${gone ?? ''}\nIt is in the package swtpm: sudo apt-get install swtpm`.trim(),
    });
  }
  return { socket, stop: () => swtpm.stop() };
}
