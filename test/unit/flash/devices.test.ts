import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blockTree, family, type Snapshot } from '../../../src/flash/block-tree.ts';
import { chooseTarget } from '../../../src/flash/choose.ts';
import { deviceLine, judgeDevice, judgeDevices, judgePath } from '../../../src/flash/devices.ts';
import { readSnapshot } from '../../../src/flash/snapshot.ts';
import type { Runner } from '../../../src/host/runner.ts';

interface Fixture {
  readonly description: string;
  readonly snapshot: Snapshot;
  readonly offered: readonly string[];
  readonly refused: Readonly<Record<string, string>>;
}

const FOLDER = join(import.meta.dirname, '../../fixtures/flash');
const NEED = 4e9;
const fixtures = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.json'))
  .map((name): [string, Fixture] => [name, JSON.parse(readFileSync(join(FOLDER, name), 'utf8'))]);
const load = (name: string): Snapshot => {
  const found = fixtures.find(([file]) => file === `${name}.json`);
  if (found === undefined) throw new Error(name);
  return found[1].snapshot;
};

describe('which disks may be written', () => {
  it.each(fixtures)('%s', (_, { snapshot, offered, refused }) => {
    const verdicts = judgeDevices(snapshot, NEED);
    expect(verdicts.filter((verdict) => verdict.offered).map(({ device }) => device.path)).toEqual(offered);
    const others = verdicts.filter((verdict) => !verdict.offered);
    expect(others.map(({ device }) => device.path).sort()).toEqual(Object.keys(refused).sort());
    for (const { device, reasons } of others) expect(reasons.join('; ')).toContain(refused[device.path]);
  });

  it.each(fixtures)('%s, as an lsblk before 2.33 prints it: strings, one mount point', (_, fixture) => {
    const older = (value: unknown): unknown => {
      if (typeof value === 'boolean') return value ? '1' : '0';
      if (typeof value === 'number') return String(value);
      if (Array.isArray(value)) return value.map((entry) => older(entry));
      if (typeof value !== 'object' || value === null) return value;
      const { mountpoints, ...rest } = value as Record<string, unknown>;
      const points = Array.isArray(mountpoints) ? mountpoints.filter((point) => point !== null) : [];
      const all = points.length > 0 ? { ...rest, mountpoint: points.at(-1) } : rest;
      return Object.fromEntries(Object.entries(all).map(([name, entry]) => [name, older(entry)]));
    };
    const snapshot = { ...fixture.snapshot, lsblk: older(fixture.snapshot.lsblk) };
    expect(
      judgeDevices(snapshot, NEED)
        .filter((verdict) => verdict.offered)
        .map(({ device }) => device.path),
    ).toEqual(fixture.offered);
  });

  it('of the layouts are what lsblk can print: a partition is as removable as its disk, an mmc disk never is', () => {
    const disks = fixtures.flatMap(([, { snapshot }]) => blockTree(snapshot.lsblk));
    for (const disk of disks) {
      if (disk.kname.startsWith('mmcblk'))
        expect([disk.kname, disk.removable, disk.hotplug]).toEqual([disk.kname, false, true]);
      for (const part of disk.children.filter(({ type }) => type === 'part')) {
        expect([part.kname, part.removable, part.hotplug]).toEqual([part.kname, disk.removable, disk.hotplug]);
      }
    }
  });

  it('never offers a disk with anything mounted on it, however removable it looks', () => {
    const disks = fixtures.flatMap(([, { snapshot }]) => blockTree(snapshot.lsblk));
    const busy = disks.filter((disk) => family(disk).some((node) => node.mountpoints.length > 0));
    expect(busy.length).toBeGreaterThan(10);
    for (const disk of busy) {
      const removable = { ...disk, kname: 'sdz', type: 'disk', removable: true, transport: 'usb', readOnly: false };
      expect(judgeDevice(removable, {}, 1).offered).toBe(false);
      const idle = { ...removable, mountpoints: [], children: [] };
      expect(judgeDevice(idle, {}, 1).offered).toBe(true);
    }
  });

  it('reads any JSON without throwing, and offers nothing that has no size', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        const snapshot = { lsblk: { blockdevices: [JSON.parse(text)] }, sysfs: {} };
        for (const verdict of judgeDevices(snapshot, 1)) expect(verdict.offered).toBe(false);
      }),
    );
  });

  it('shows size, maker, model and serial', () => {
    const [, verdict] = judgeDevices(load('laptop-nvme'), NEED);
    if (verdict === undefined) throw new Error('no card');
    expect(deviceLine(verdict)).toBe('/dev/sdb  31.9 GB  Generic STORAGE DEVICE  serial 000000000819');
  });

  it('shows nothing that moves the cursor or turns the line, whatever a medium calls itself', () => {
    const child = { kname: 'sdb1', type: 'part', label: 'a\u001b[2K\r/dev/sdc', mountpoint: '/mnt/\u202egpj' };
    const disk = {
      kname: 'sdb',
      type: 'disk',
      size: 8e9,
      tran: 'usb',
      vendor: 'x\u009b1A',
      model: 'y\nz',
      serial: '\u0007',
    };
    const [verdict] = judgeDevices({ lsblk: { blockdevices: [{ ...disk, children: [child] }] }, sysfs: {} }, NEED);
    if (verdict === undefined) throw new Error('no card');
    expect(deviceLine(verdict)).toMatch(/^[ -~]+$/);
    expect(verdict.offered).toBe(false);
  });
});

describe('a path that is given', () => {
  it('names the disk of a partition', () => {
    expect(() => judgePath(load('mounted-card'), '/dev/sdb1', NEED)).toThrow('/dev/sdb1 is a partition on /dev/sdb');
  });

  it('names the disks below a mapping', () => {
    const snapshot = load('md-raid');
    expect(() => judgePath(snapshot, '/dev/mapper/tank-data', NEED)).toThrow('on /dev/sdc and /dev/sdd');
    expect(() => judgePath(snapshot, '/dev/md0', NEED)).toThrow('a raid1 device on /dev/sdc and /dev/sdd');
    expect(() => judgePath(load('lvm-on-luks'), '/dev/dm-1', NEED)).toThrow('a lvm device on /dev/nvme0n1');
  });

  it('is refused when lsblk does not list it', () => {
    expect(() => judgePath(load('laptop-nvme'), '/dev/sdq', NEED)).toThrow('/dev/sdq is not among the disks');
  });

  it('says how to unmount', () => {
    expect(judgePath(load('mounted-card'), '/dev/sdb', NEED).hint).toContain('umount /dev/sdb1; umount /dev/sdb2');
  });
});

describe('reading this machine', () => {
  it('asks lsblk once and sysfs for the rest', async () => {
    const commands: (readonly string[])[] = [];
    const runner: Runner = {
      run: async (argv) => {
        commands.push(argv);
        return { stdout: JSON.stringify(load('laptop-nvme').lsblk), stderr: '', code: 0 };
      },
    };
    const snapshot = await readSnapshot(runner, '/nonexistent');
    expect(commands).toEqual([['lsblk', '--json', '-b', '-O']]);
    expect(judgeDevices(snapshot, NEED).map((verdict) => verdict.offered)).toEqual([false, true]);
  });

  it('finds loop devices on a file, so that nothing is written below what is mounted from it', async () => {
    const root = mkdtempSync(join(tmpdir(), 'flash-loop-'));
    const [card, other, link, sys] = ['card.img', 'other.img', 'link.img', 'sys'].map((name) => join(root, name));
    if (card === undefined || other === undefined || link === undefined || sys === undefined) throw new Error('names');
    try {
      for (const path of [card, other]) writeFileSync(path, Buffer.alloc(8192));
      symlinkSync(card, link);
      for (const [loop, file] of [
        ['loop3', card],
        ['loop4', join(root, 'gone (deleted)')],
      ] as const) {
        mkdirSync(join(sys, 'block', loop, 'loop'), { recursive: true });
        writeFileSync(join(sys, 'block', loop, 'loop', 'backing_file'), `${file}\n`);
      }
      mkdirSync(join(sys, 'block', 'loop5'));
      const runner: Runner = { run: () => Promise.reject(new Error('not asked')) };
      const need = { imagePath: other, imageSize: 4096, cardSize: 4096 };
      await expect(chooseTarget(runner, link, need, undefined, sys)).rejects.toThrow('/dev/loop3 is set up on it');
      const free = { ...need, imagePath: card };
      await expect(chooseTarget(runner, other, free, undefined, sys)).resolves.toMatchObject({ kind: 'file' });
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  it('says so when lsblk prints no JSON', async () => {
    const runner: Runner = { run: async () => ({ stdout: 'nonsense', stderr: '', code: 0 }) };
    await expect(readSnapshot(runner)).rejects.toThrow('no JSON');
  });
});
