import { createHash } from 'node:crypto';
import { readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hostRunner } from '../../src/host/runner.ts';
import { readConfigTxt } from '../../src/qemu/boot-files.ts';
import { findBootPartition } from '../../src/site/boot-partition.ts';
import type { Firmware } from './machine.ts';
import { maskedInitramfs } from './masked.ts';

/** What the board's firmware would load from a card. */
export interface Loaded extends Firmware {
  /** Digest of kernel, initramfs, command line and all device trees: the same digest, the same start. */
  readonly digest: string;
  /** Names of kernel and initramfs, with their folder. */
  readonly names: readonly [string, string];
}

/**
 * Reads a cut card as the firmware does: config.txt, then the files that it names, each by its own chain of clusters.
 * Whatever else is wrong with the file system does not count, since nobody checks it before.
 * @throws StepError when one of the files is not there or has no whole chain
 */
export async function loadedFrom(card: string, folder: string): Promise<Loaded> {
  const { offset } = await findBootPartition(card);
  const read = async (name: string): Promise<Buffer> => {
    const copy = join(folder, 'boot-file');
    await rm(copy, { force: true });
    await hostRunner.run(['mcopy', '-n', '-i', `${card}@@${offset}`, `::${name}`, copy], { env: mtools, timeout: 120 });
    return readFile(copy);
  };
  const list = async (folderName: string): Promise<string[]> => {
    const argv = ['mdir', '-b', '-i', `${card}@@${offset}`, `::${folderName}`];
    const { stdout } = await hostRunner.run(argv, { env: mtools, okCodes: [0, 1], timeout: 120 });
    return stdout.split('\n').map((line) => line.replace(/^::\/?/, ''));
  };
  const chosen = readConfigTxt((await read('config.txt')).toString('latin1'));
  const found = chosen.prefix === '' ? [] : await list(chosen.prefix.replace(/\/$/, ''));
  const viable = found.includes(`${chosen.prefix}${chosen.kernel}`) && found.some((name) => name.endsWith('.dtb'));
  const prefix = viable ? chosen.prefix : '';
  const names = [`${prefix}${chosen.kernel}`, `${prefix}${chosen.initramfs}`] as const;
  const [kernel, initramfs] = [await read(names[0]), await read(names[1])];
  const cmdline = await read(`${prefix}cmdline.txt`);
  const trees = (viable ? found : await list('')).filter((name) => /^(.*\/)?bcm[^/]*\.dtb$/.test(name)).sort();
  const hash = createHash('sha256');
  for (const bytes of [kernel, initramfs, cmdline]) hash.update(createHash('sha256').update(bytes).digest());
  for (const name of trees) hash.update(name.slice(prefix.length)).update(await read(name));
  const place = (name: string): string => join(folder, `loaded-${name}`);
  await writeFile(place('kernel'), kernel);
  await writeFile(place('initramfs'), initramfs);
  const masking = place('initramfs-masking');
  await maskedInitramfs(place('initramfs'), masking);
  return {
    ...{ kernel: place('kernel'), initramfs: place('initramfs'), masking, cmdline: cmdline.toString().trim() },
    ...{ digest: hash.digest('hex').slice(0, 32), names },
  };
}

const mtools = { MTOOLSRC: '/dev/null', MTOOLS_SKIP_CHECK: '1' };

/** The card up to the end of its boot partition as a file of its own. */
export async function copyBoot(card: string, out: string): Promise<void> {
  const { offset, size } = await findBootPartition(card);
  const argv = ['dd', `if=${card}`, `of=${out}`, 'bs=1M', 'iflag=count_bytes', `count=${offset + size}`];
  await hostRunner.run([...argv, 'conv=sparse', 'status=none']);
  // The partition table names places up to the card's end.
  await truncate(out, (await stat(card)).size);
}

/** Does with such a copy what the device's start does before it mounts the partition. */
export async function repairBoot(copy: string): Promise<void> {
  const { offset, size } = await findBootPartition(copy);
  const part = `${copy}.part`;
  try {
    const out = ['dd', `if=${copy}`, `of=${part}`, 'bs=1M', 'iflag=skip_bytes,count_bytes', `skip=${offset}`];
    await hostRunner.run([...out, `count=${size}`, 'conv=sparse', 'status=none']);
    // 1: errors were mended.
    await hostRunner.run(['fsck.vfat', '-a', part], { okCodes: [0, 1], timeout: 300 });
    const back = ['dd', `if=${part}`, `of=${copy}`, 'bs=1M', 'oflag=seek_bytes', `seek=${offset}`, 'conv=notrunc'];
    await hostRunner.run([...back, 'status=none']);
  } finally {
    await rm(part, { force: true });
  }
}
