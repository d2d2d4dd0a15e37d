import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../src/qemu/device.ts';
import { CABLE, type Neighbour, startNeighbour } from '../../src/score/neighbour.ts';
import { asRoot } from '../../src/score/score.ts';
import { type Drive, drive, PATIENCE } from '../boot/drive.ts';
import { builtImage } from '../image/built-image.ts';

// A camera, played by a second guest on the device's one cable: a member of the tagged network, and nothing beside it.

const NETWORK = `network:
  management:
    - 10.0.2.0/24
  cameras:
    vlan: 20
    address: 192.168.20.1/24
...`;
const CAMERA = '192.168.20.50';
const DEVICE = '192.168.20.1';

let folder: string;
let site: Drive;
let device: Device;
let camera: Neighbour;
/** The camera's card, and the device's link-local address without its zone. */
let card: string;
let linkLocal: string;

/** Of these ports at an address, those that take a connection. */
const PROBE = `import socket, sys
def open_(port):
    try:
        socket.create_connection((sys.argv[1], port), 5).close()
        return True
    except OSError:
        return False
print(' '.join(word for word in sys.argv[2:] if open_(int(word))))
`;
const reached = async (from: Neighbour['root'], address: string, ports: readonly number[]): Promise<string> =>
  (await from(`python3 - "${address}" ${ports.join(' ')}`, 300, PROBE)).trim();
const SERVICES = [22, 80, 443, 554, 8080];

beforeAll(async () => {
  const { image } = await builtImage();
  folder = await mkdtemp(join(tmpdir(), 'amslpr-cameras-'));
  const socket = join(folder, 'cable');
  const edit = (text: string): string => text.replace(/^\.\.\.$/m, NETWORK);
  const board = { cable: { socket, end: 'listen', mac: CABLE.device, only: true } as const };
  site = await drive(image, { unlock: 'card', edit }, 'gate', { machine: 'virt', board });
  device = await site.login();
  await device.waitFor('ready', PATIENCE.ready);
  camera = await startNeighbour(image, folder, socket, {}, asRoot, 'true');
  card = (await camera.root(`grep -l '^${CABLE.neighbour}$' /sys/class/net/*/address | cut -d/ -f5`)).trim();
  await camera.root(`ufw --force disable
    ip link add link ${card} name tagged type vlan id 20
    ip link set tagged up
    ip address add ${CAMERA}/24 dev tagged
    ip -6 address replace fe80::20/64 dev tagged nodad
    for port in 554 9000; do systemd-run --quiet python3 -m http.server $port --directory /usr/share/doc; done`);
  const links = await asRoot(device)('ip -6 -oneline address show scope link');
  linkLocal = /^\d+: (?!cameras)\S+ +inet6 (fe80:[^/]+)/m.exec(links)?.[1] ?? '';
});

afterAll(async () => {
  await camera?.[Symbol.asyncDispose]();
  await device?.ssh.close();
  await site?.stop();
  await rm(folder, { recursive: true, force: true });
});

describe('the cameras’ network', () => {
  it('is on the cable of the administrators, where a neighbour reaches SSH and the web page', async () => {
    expect(await reached(camera.root, `${linkLocal}%${card}`, SERVICES)).toBe('22 80 443');
  });

  it('lets the device ask a camera for its pictures, and for nothing else', async () => {
    const root = asRoot(device);
    expect(await reached(root, CAMERA, [554, 9000])).toBe('554');
  });

  it('lets no camera reach the device, by either version', async () => {
    expect(await reached(camera.root, DEVICE, SERVICES)).toBe('');
    expect(await reached(camera.root, `${linkLocal}%tagged`, SERVICES)).toBe('');
  });

  it('does not lead anywhere else', async () => {
    const forwarded = async (): Promise<string> =>
      (await asRoot(device)("awk '/^Ip:/ { print $7 }' /proc/net/snmp")).trim().split('\n').at(-1) ?? '';
    expect(await forwarded()).toBe('0');
    // A host of the device's other network, whose own address the camera does not use.
    await camera.root(`ip route add 10.0.2.3/32 via ${DEVICE} dev tagged`);
    expect(await reached(camera.root, '10.0.2.3', [53, 80])).toBe('');
    expect(await forwarded()).toBe('0');
  });

  it('is closed by the rules alone: without them a camera reaches what listens', async () => {
    const root = asRoot(device);
    await root('ufw --force disable');
    expect(await reached(camera.root, DEVICE, SERVICES)).toBe('22 80 443');
    expect(await reached(root, CAMERA, [554, 9000])).toBe('554 9000');
  });
});
