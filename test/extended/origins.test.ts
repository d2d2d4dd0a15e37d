import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../src/qemu/device.ts';
import { type Drive, drive, PATIENCE } from '../boot/drive.ts';
import {
  type ArchiveKey,
  type ArchiveServer,
  endArchiveKey,
  makeArchiveKey,
  type Origin,
  serveArchives,
  sourceFor,
  writeArchive,
} from '../helpers/archive.ts';
import { writeDeb } from '../helpers/archive-deb.ts';
import { builtImage } from '../image/built-image.ts';
import { scratch } from '../image/small-image.ts';

// One small package from each origin, newer than what the device has: those that updates are for are taken unattended,
// somebody else's is not, and the device restarts in its own minute of the window.

const raspberry = 'Raspberry Pi Foundation';
const ORIGINS: Readonly<Record<string, Origin>> = {
  main: { origin: 'Debian', label: 'Debian', codename: 'trixie' },
  updates: { origin: 'Debian', label: 'Debian', codename: 'trixie-updates' },
  security: { origin: 'Debian', label: 'Debian-Security', codename: 'trixie-security' },
  raspberry: { origin: raspberry, label: raspberry, codename: 'trixie' },
  elsewhere: { origin: 'Elsewhere', label: 'Elsewhere', codename: 'trixie' },
  backports: { origin: 'Debian Backports', label: 'Debian Backports', codename: 'trixie-backports' },
};
const TAKEN = ['main', 'updates', 'security', 'raspberry'];
const nameOf = (origin: string): string => `origin-${origin}`;

let place: Awaited<ReturnType<typeof scratch>>;
let key: ArchiveKey;
let server: ArchiveServer;
let card: Drive;
let device: Device;

const shell = (script: string, options: { okCodes?: readonly number[]; timeout?: number } = {}): Promise<string> =>
  device.sudo(['sh', '-c', script], options);

/** A package without content; the newer ones ask for a restart, as a kernel does. */
async function makePackage(origin: string, version: string): Promise<string> {
  const name = nameOf(origin);
  const fields = { Package: name, Version: version, Architecture: 'all', Maintainer: 'Nobody <nobody@example.org>' };
  const script = '#!/bin/sh\ntouch /run/reboot-required\n';
  const header = {
    name: './postinst',
    type: 'file' as const,
    mode: 0o755,
    uid: 0,
    gid: 0,
    uname: 'root',
    gname: 'root',
  };
  const scripts = version === '1' ? [] : [{ header, bytes: Buffer.from(script) }];
  const control = new Map(Object.entries({ ...fields, Description: 'a package for a test' }));
  const file = `${name}_${version}.deb`;
  await writeDeb({ control, scripts, data: [], conffiles: [] }, join(place.path, 'pool', file));
  return file;
}

beforeAll(async () => {
  place = await scratch();
  await mkdir(join(place.path, 'pool'));
  key = await makeArchiveKey(join(place.path, 'gpg'));
  for (const [name, origin] of Object.entries(ORIGINS)) {
    await makePackage(name, '1');
    await writeArchive(join(place.path, name), { key, origin, files: [await makePackage(name, '2')] });
  }
  server = await serveArchives(place.path);
  const { image } = await builtImage();
  card = await drive(image, 'card', 'origins');
  device = await card.login();
  await device.waitFor('ready', PATIENCE.ready);
  // A daily run of its own would hold apt's lock.
  await shell('systemctl stop apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service');
  const base = `http://10.0.2.2:${server.port}`;
  const text = Object.entries(ORIGINS)
    .map(([name, { codename }]) => sourceFor(`${base}/${name}`, key.publicKey, codename))
    .join('\n');
  const sources = '/etc/apt/sources.list.d/debian.sources';
  await shell(`printf %s ${Buffer.from(text).toString('base64')} | base64 -d > ${sources}`);
  const files = Object.keys(ORIGINS).map((name) => `${nameOf(name)}_1.deb`);
  await shell(`cd /tmp; for file in ${files.join(' ')}; do curl -sSfO ${base}/any/pool/$file; done`);
  await shell(`dpkg --install ${files.map((file) => `/tmp/${file}`).join(' ')}`, { timeout: 900 });
});

afterAll(async () => {
  await device?.ssh.close();
  await card?.stop();
  await server?.[Symbol.asyncDispose]();
  if (place !== undefined) await endArchiveKey(join(place.path, 'gpg'));
  await place?.[Symbol.asyncDispose]();
});

describe('a newer package of each origin', () => {
  it('is refused while the clock is wrong, and that is told', async () => {
    const look = () => shell('systemctl start amslpr-monitor.service', { timeout: 300 });
    await look();
    await shell("systemctl stop systemd-timesyncd; date -s '-20 days'");
    try {
      const said = await shell('apt-get update --error-on=any 2>&1; echo "exit $?"', { timeout: 600 });
      expect(said).toMatch(/not valid yet|Not live until/);
      expect(said).toMatch(/^exit 100$/m);
      await look();
      const told = (await device.ssh.run(['amslpr-device', 'status'])).stdout;
      expect(told).toMatch(/the clock was set back by \d+ minutes/);
    } finally {
      await shell("date -s '+20 days'");
    }
  });

  it('is taken from those that updates are for, and from nobody else', async () => {
    await shell('apt-get update --error-on=any', { timeout: 600 });
    await shell('unattended-upgrade -v', { timeout: 1700 });
    const versions = await shell("dpkg-query --show 'origin-*'");
    const wanted = Object.keys(ORIGINS).map((name) => `${nameOf(name)}\t${TAKEN.includes(name) ? 2 : 1}`);
    expect(versions.trim().split('\n').sort()).toEqual(wanted.sort());
  });

  it('restarts the device in its own minute of the window, and not before', async () => {
    const told = await shell('cat /etc/apt/apt.conf.d/53amslpr-reboot-minute');
    const [, hour = '', minute = ''] = /Automatic-Reboot-Time "(\d\d):(\d\d)"/.exec(told) ?? [];
    const at = Number(/^USEC=(\d+)/m.exec(await shell('cat /run/systemd/shutdown/scheduled'))?.[1]) / 1_000_000;
    expect(await shell(`date -d @${at} +%H:%M`)).toContain(`${hour}:${minute}`);
    expect(await shell('cat /run/systemd/shutdown/scheduled')).toMatch(/^MODE=reboot$/m);
    await shell('shutdown -c');
  });
});
