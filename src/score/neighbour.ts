import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cable } from '../qemu/board.ts';
import { PATIENCE } from '../qemu/check.ts';
import { type Device, openDevice } from '../qemu/device.ts';
import { ephemeralSite } from '../qemu/ephemeral-site.ts';
import { type GuestOptions, startGuest } from '../qemu/guest.ts';

export type Version = 4 | 6;

/** Addresses on the cable between the two guests. Each number is another client, in an IPv6 network of its own. */
export const address = (version: Version, number: number): string =>
  version === 4 ? `10.213.0.${number}` : `fd13:${number}::1`;

/** The number of the judged device. */
export const DEVICE = 1;
/** How many addresses the neighbour has; numbers from 2 on. */
export const NEIGHBOURS = 30;

/** A second guest of the same image, on one cable with the judged device, with the scanners' disk. */
export interface Neighbour extends AsyncDisposable {
  /** As in Scene. `input` is for the script. */
  root(script: string, seconds?: number, input?: string): Promise<string>;
}

/** Gives the end of the cable that `mac` names its addresses, aside from NetworkManager. */
const connect = (mac: string, numbers: readonly number[]): string =>
  [
    `card=$(grep -l '^${mac}$' /sys/class/net/*/address | cut -d/ -f5)`,
    'nmcli device set "$card" managed no',
    'ip link set "$card" up',
    // NetworkManager leaves the kernel's own one off.
    `ip -6 address replace fe80::13:${numbers[0]}/64 dev "$card" nodad`,
    ...numbers.map((number) => `ip address replace ${address(4, number)}/24 dev "$card"`),
    ...numbers.map((number) => `ip -6 address replace ${address(6, number)}/16 dev "$card" nodad`),
  ].join('\n');

/** MAC addresses of the two ends. */
export const CABLE = { device: '52:54:00:13:00:01', neighbour: '52:54:00:13:00:02' } as const;

export const connectDevice = connect(CABLE.device, [DEVICE]);

/** Starts it and waits until it is ready. `socket` is the judged guest's end of the cable; `mount` shows the scanners. */
export async function startNeighbour(
  image: string,
  folder: string,
  socket: string,
  options: Pick<GuestOptions, 'disk' | 'log' | 'signal'>,
  rootOf: (device: Pick<Device, 'sudo'>) => Neighbour['root'],
  mount: string,
): Promise<Neighbour> {
  const own = await mkdtemp(join(folder, 'neighbour-'));
  const site = await ephemeralSite(own, { unlock: 'card' }, 'neighbour');
  const cable: Cable = { socket, end: 'connect', mac: CABLE.neighbour };
  const guest = await startGuest(image, { ...options, site: site.site, machine: 'virt', board: { cable } });
  try {
    await guest.waitForSsh(PATIENCE.virt.ssh);
    const device = await openDevice(guest, site);
    await device.waitFor('ready', PATIENCE.virt.ready);
    const root = rootOf(device);
    const numbers = Array.from({ length: NEIGHBOURS }, (_, index) => index + 2);
    await root(connect(CABLE.neighbour, numbers));
    await root(mount);
    return {
      root,
      async [Symbol.asyncDispose]() {
        await device.ssh.close();
        await guest.stop();
        await rm(own, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await guest.stop();
    throw error;
  }
}
