import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EphemeralSite, ephemeralSite } from '../../src/qemu/ephemeral-site.ts';
import { type Guest, startGuest } from '../../src/qemu/guest.ts';
import { banner } from '../../src/qemu/network.ts';
import { CABLE, type Neighbour, startNeighbour } from '../../src/score/neighbour.ts';
import { asRoot } from '../../src/score/score.ts';
import { PATIENCE } from '../boot/drive.ts';
import { consoleTimes } from '../helpers/console-times.ts';
import { ROOT_SHELL } from '../helpers/root-shell.ts';
import { builtImage } from '../image/built-image.ts';

// A device whose site file gives it an address of another network. Its own cable still leads to it: a second guest plays
// the administrator's computer.

const NETWORK = `network:
  wired:
    method: static
    address: 192.0.2.10/24
    gateway: 192.0.2.1
    dns:
      - 192.0.2.1
  management:
    - 192.0.2.0/24
...`;

let folder: string;
let site: EphemeralSite;
let guest: Guest;
let neighbour: Neighbour;
/** The neighbour's end of the cable. */
let card: string;

beforeAll(async () => {
  const { image } = await builtImage();
  folder = await mkdtemp(join(tmpdir(), 'amslpr-address-'));
  const edit = (text: string): string => text.replace(/^\.\.\.$/m, NETWORK);
  site = await ephemeralSite(folder, { unlock: 'card', edit }, 'astray');
  const socket = join(folder, 'cable');
  const board = { cable: { socket, end: 'listen', mac: CABLE.device, only: true } as const };
  guest = await startGuest(image, { site: site.site, machine: 'virt', board });
  await consoleTimes(guest, PATIENCE.ssh + PATIENCE.ready);
  neighbour = await startNeighbour(image, folder, socket, {}, asRoot, 'true');
  card = (await neighbour.root(`grep -l '^${CABLE.neighbour}$' /sys/class/net/*/address | cut -d/ -f5`)).trim();
  await neighbour.root(`umask 077; cat > /dev/shm/key`, 60, await readFile(site.identity, 'utf8'));
});

afterAll(async () => {
  await neighbour?.[Symbol.asyncDispose]();
  await guest?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Runs words on the device as its administrator does on the same cable. */
const ssh = (address: string, words: string): string =>
  `ssh -n -i /dev/shm/key -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
    -o LogLevel=ERROR -o ConnectTimeout=60 ${site.user}@${address}%${card} ${words}`;

describe('a device with an address of another network', () => {
  it('is ready, and not reached by the network that is there', async () => {
    expect((await guest.bootFile('/STATUS.TXT'))?.toString()).toMatch(/astray: ready/);
    expect(await banner(guest.ports.ssh, 20)).toBeUndefined();
    expect(guest.starts()).toBe(1);
    expect(await readFile(guest.console, 'utf8')).not.toMatch(ROOT_SHELL);
  });

  it('is reached by SSH from its own cable, by its link-local address', async () => {
    const own = (await neighbour.root(`ip -6 -oneline address show dev ${card} scope link`)).matchAll(/fe80:[^/ ]+/g);
    const answers = await neighbour.root(`ping -6 -c 4 -W 5 ff02::1%${card} || true`, 120);
    const others = new Set([...answers.matchAll(/from (fe80:[0-9a-f:]+)%/g)].map(([, address = '']) => address));
    for (const [address] of own) others.delete(address);
    const [device = 'none'] = others;
    const status = JSON.parse(await neighbour.root(ssh(device, 'amslpr-device status --json'), 300));
    expect(status).toMatchObject({ state: 'ready', hostname: 'astray' });
    expect(await neighbour.root(ssh(device, 'ip -4 -oneline address'), 300)).toContain('192.0.2.10/24');
  });
});
