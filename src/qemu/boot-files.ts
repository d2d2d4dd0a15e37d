import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../core/errors.ts';
import { findBootPartition, readBootFiles } from '../site/boot-partition.ts';

/** What the Raspberry Pi's firmware would load, as files for QEMU. */
export interface BootFiles {
  readonly kernel: string;
  readonly initramfs: string;
  readonly cmdline: string;
  /** Device tree of the Raspberry Pi 3 B, when the card has it. */
  readonly deviceTree?: string;
  /** Content of the initramfs, for choosing a machine. */
  readonly initramfsBytes: Buffer;
  /** Name of the kernel file on the card. */
  readonly kernelName: string;
}

export interface FirmwareChoice {
  /** What stands before the names of kernel, initramfs, command line and device trees: a folder, or nothing. */
  readonly prefix: string;
  readonly kernel: string;
  readonly initramfs: string;
}

/** Sections of config.txt that hold for a Raspberry Pi 3 B, or for every board. */
const SECTIONS = new Set(['all', 'pi3', 'board-type=0x8']);

/** Which kernel and initramfs config.txt names: the last one counts. All without a leading slash. */
export function readConfigTxt(text: string): FirmwareChoice {
  let active = true;
  let prefix = '';
  let kernel = 'kernel8.img';
  let initramfs: string | undefined;
  let auto = false;
  for (const raw of text.split(/\r?\n/)) {
    const line = raw.trim();
    const section = /^\[(.*)\]$/.exec(line)?.[1];
    if (section !== undefined) active = SECTIONS.has(section);
    if (!active || line.startsWith('#')) continue;
    prefix = /^os_prefix=(\S*)$/.exec(line)?.[1] ?? prefix;
    kernel = /^kernel=(\S+)$/.exec(line)?.[1] ?? kernel;
    initramfs = /^initramfs\s+(\S+)/.exec(line)?.[1] ?? initramfs;
    auto = /^auto_initramfs=1$/.test(line) || auto;
  }
  const paired = kernel.replace(/^kernel/, 'initramfs').replace(/\.img$/, '');
  return { prefix, kernel, initramfs: initramfs ?? (auto ? paired : 'initrd.img') };
}

const DEVICE_TREES = ['bcm2710-rpi-3-b.dtb', 'bcm2837-rpi-3-b.dtb'];

/**
 * Writes kernel, initramfs and device tree of the card in `raw` into `folder`.
 * @throws UserError when the boot partition lacks one
 */
export async function extractBootFiles(raw: string, folder: string, shown: string): Promise<BootFiles> {
  const boot = await findBootPartition(raw);
  const { contents: texts, names } = await readBootFiles(boot, (path) => path === '/config.txt');
  const chosen = readConfigTxt(texts.get('/config.txt')?.toString() ?? '');
  // As the firmware does: a prefix under which there is no kernel counts as none.
  const prefix = names.includes(`/${chosen.prefix}${chosen.kernel}`) ? `/${chosen.prefix}` : '/';
  const trees = DEVICE_TREES.map((name) => `${prefix}${name}`);
  const wanted = [`${prefix}${chosen.kernel}`, `${prefix}${chosen.initramfs}`, `${prefix}cmdline.txt`, ...trees];
  const { contents } = await readBootFiles(boot, (path) => wanted.includes(path));
  const kernel = contents.get(`${prefix}${chosen.kernel}`);
  const initramfs = contents.get(`${prefix}${chosen.initramfs}`);
  const cmdline = contents.get(`${prefix}cmdline.txt`);
  if (kernel === undefined || initramfs === undefined || cmdline === undefined) {
    const missing = [
      ...(kernel === undefined ? [chosen.kernel] : []),
      ...(initramfs === undefined ? [chosen.initramfs] : []),
      ...(cmdline === undefined ? ['cmdline.txt'] : []),
    ];
    throw new UserError(`${shown} cannot be booted: its boot partition lacks ${missing.join(', ')}`);
  }
  const deviceTree = trees.map((path) => contents.get(path)).find((bytes) => bytes !== undefined);
  const place = async (name: string, bytes: Buffer): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, bytes);
    return path;
  };
  return {
    kernel: await place('kernel', kernel),
    initramfs: await place('initramfs', initramfs),
    cmdline: cmdline.toString().trim(),
    initramfsBytes: initramfs,
    kernelName: chosen.kernel,
    ...(deviceTree === undefined ? {} : { deviceTree: await place('board.dtb', deviceTree) }),
  };
}
