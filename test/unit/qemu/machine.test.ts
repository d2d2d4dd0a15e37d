import { describe, expect, it } from 'vitest';
import type { ArchiveFile } from '../../../src/audit/tree.ts';
import { chooseMachine, missingForVirt } from '../../../src/qemu/machine.ts';

const module = (path: string): ArchiveFile => ({
  path: `usr/lib/modules/6.12/kernel/${path}`,
  mode: 0o644,
  size: 1,
  head: new Uint8Array(),
});
const list = (name: string, ...paths: string[]): ArchiveFile => ({
  path: `usr/lib/modules/6.12/${name}`,
  mode: 0o644,
  size: 1,
  head: new Uint8Array(),
  bytes: Buffer.from(paths.map((path) => `kernel/${path}\n`).join('')),
});
const [blk, net, pci] = [
  'drivers/block/virtio_blk.ko',
  'drivers/net/virtio_net.ko',
  'drivers/pci/controller/pci-host-generic.ko',
];

describe('what virt needs', () => {
  it('may be in the initramfs, compressed or not, or built in', () => {
    expect(missingForVirt([module(`${blk}.xz`), module(net), list('modules.builtin', pci)])).toEqual([]);
  });
  it('takes the network from root, but not the disk', () => {
    const known = list('modules.order', blk, net, pci);
    expect(missingForVirt([known])).toEqual(['virtio_blk', 'pci-host-generic']);
  });
  it('is missing from a kernel that never had it', () => {
    expect(missingForVirt([list('modules.builtin'), list('modules.order')])).toEqual([
      'virtio_blk',
      'pci-host-generic',
      'virtio_net',
    ]);
  });
});

/** A cpio archive of one file. */
function cpio(path: string): Buffer {
  const entry = (name: string): Buffer => {
    const fields = [0, 0o100644, 0, 0, 1, 0, 0, 0, 0, 0, 0, name.length + 1, 0];
    const header = `070701${fields.map((value) => value.toString(16).padStart(8, '0')).join('')}`;
    const text = `${header}${name}\0`;
    return Buffer.from(text.padEnd(Math.ceil(text.length / 4) * 4, '\0'));
  };
  return Buffer.concat([entry(path), entry('TRAILER!!!')]);
}

describe('the machine', () => {
  const boot = { kernel: '', initramfs: '', cmdline: '', kernelName: '', initramfsBytes: cpio('init') };
  const tools = { ext4Tar: [], zstd: [], xz: [] };

  it('is raspi3b for an image without virtio drivers, and says why', async () => {
    expect(await chooseMachine({ ...boot, deviceTree: 'board.dtb' }, tools)).toEqual({
      name: 'raspi3b',
      why: 'raspi3b: kernel and initramfs lack virtio_blk, pci-host-generic, virtio_net, which virt needs',
    });
  });
  it('is refused when it could not boot the image', async () => {
    await expect(chooseMachine(boot, tools, 'raspi3b')).rejects.toThrow(/no device tree/);
    await expect(chooseMachine({ ...boot, deviceTree: 'board.dtb' }, tools, 'virt')).rejects.toThrow(/lack virtio_blk/);
    await expect(chooseMachine(boot, tools)).rejects.toThrow(/No emulated machine/);
  });
});
