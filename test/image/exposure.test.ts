import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readImage } from '../../src/audit/image.ts';
import { validateConfig } from '../../src/config/validate.ts';
import { parseYaml } from '../../src/config/yaml.ts';
import type { Plan } from '../../src/core/plan.ts';
import { parseLock } from '../../src/engine/lock.ts';
import { openCache } from '../../src/host/cache.ts';
import { makePlan } from '../../src/plan/plan.ts';
import { toolboxFolder } from '../../src/toolbox/toolbox.ts';
import { stages } from '../../stages/index.ts';
import { exposures } from '../helpers/exposure.ts';
import { builtImage } from './built-image.ts';
import { scratch } from './small-image.ts';

// What systemd-analyze says of every unit of ours and of those that the network reaches, in the image as built. In the
// guest, checks ask again (`application/sandbox`, `nginx/sandbox`, `mdns/sandbox`).

const root = fileURLToPath(new URL('../..', import.meta.url));
const OURS = /^\/etc\/systemd\/system\/(amslpr[^/]*\.service)$/;
const DROP_IN = /^\/etc\/systemd\/system\/((?:nginx|fail2ban|avahi-daemon)\.service)\.d\//;
const packaged = ['nginx.service', 'fail2ban.service'];
/** As its package has it, which closes nothing. The default image has no avahi. */
const AVAHI = `[Unit]
Description=Avahi mDNS/DNS-SD Stack
Requires=avahi-daemon.socket

[Service]
Type=dbus
BusName=org.freedesktop.Avahi
ExecStart=/usr/sbin/avahi-daemon -s
NotifyAccess=main
`;
/** What brings units that the default image does not have, and their names. */
const MORE = 'tls:\n  acme: true\nmdns:\n  announce: true\n';
const MORE_UNITS = ['amslpr-acme.service', 'avahi-daemon.service'];

let folder: Awaited<ReturnType<typeof scratch>>;
let toolbox: string;
let vendor: Map<string, string>;

beforeAll(async () => {
  folder = await scratch();
  const { image } = await builtImage();
  const tree = await readImage(image);
  vendor = new Map(
    packaged.map((unit) => [`/usr/lib/systemd/system/${unit}`, tree.text(`/usr/lib/systemd/system/${unit}`) ?? '']),
  );
  vendor.set('/usr/lib/systemd/system/avahi-daemon.service', AVAHI);
  const file = join(root, 'config/amslpr.lock.yaml');
  toolbox = toolboxFolder('build', { cache: await openCache(), lock: parseLock(await readFile(file, 'utf8'), file) });
  toolbox = join(toolbox, 'fs');
});
afterAll(() => folder[Symbol.asyncDispose]());

function planOf(options: string): Plan {
  const source = `name: amslpr\n${options}`;
  return makePlan(validateConfig(parseYaml(source, 'amslpr.yaml'), source, 'amslpr.yaml', stages), stages, root);
}

/** Exposure of each unit of a plan; `spoil` changes the text of a file first. */
async function judge(name: string, plan: Plan, spoil = (text: string) => text): Promise<Record<string, number>> {
  const files = new Map(vendor);
  const units = new Set(packaged);
  for (const { path, bytes } of plan.files) {
    const unit = (OURS.exec(path) ?? DROP_IN.exec(path))?.[1];
    if (unit === undefined) continue;
    units.add(unit);
    files.set(path, spoil(Buffer.from(bytes ?? []).toString()));
  }
  return exposures(toolbox, join(folder.path, name), files, [...units]);
}

/** Units without a mount namespace: without starting them systemd-analyze takes them to have one, and says 0.2 less. */
const MOUNTS_FOR_ALL = ['amslpr-audit.service', 'amslpr-first-boot.service', 'amslpr-provision.service'];

const most = (unit: string, devices = false): number => {
  if (unit === 'amslpr.service') return devices ? 2 : 1;
  if (unit === 'nginx.service') return 2.5;
  return MOUNTS_FOR_ALL.includes(unit) ? 4.8 : 5;
};

/** Units that are more open than they may be; a unit that has no figure is one of them. */
const over = (found: Record<string, number>, devices = false): string[] =>
  Object.entries(found)
    .filter(([unit, exposure]) => !(exposure <= most(unit, devices)))
    .map(([unit, exposure]) => `${unit} ${exposure}`);

describe('systemd-analyze finds', () => {
  it('no unit too open', async () => {
    const found = await judge('default', planOf(''));
    expect(Object.keys(found).length).toBeGreaterThan(10);
    expect(over(found)).toEqual([]);
  });

  it('no unit too open of those that come with a public certificate and an announced name', async () => {
    const found = await judge('more', planOf(MORE));
    expect(Object.keys(found)).toEqual(expect.arrayContaining(MORE_UNITS));
    expect(over(found)).toEqual([]);
  });

  it('the application closed enough with camera, GPIO and serial port', async () => {
    const found = await judge('devices', planOf('application:\n  camera: true\n  gpio: true\n  serial: true\n'));
    expect(over(found, true)).toEqual([]);
  });

  it('each unit too open without its sandbox', async () => {
    const bare = (text: string) =>
      text.replace(/^(Protect|Private|Restrict|SystemCall|Capability|NoNew|IPAddress|User).*\n/gm, '');
    const found = await judge('bare', planOf(MORE), bare);
    expect(Object.keys(found)).toEqual(expect.arrayContaining(MORE_UNITS));
    expect(
      over(found)
        .map((line) => line.split(' ')[0])
        .sort(),
    ).toEqual(Object.keys(found).sort());
  });
});
