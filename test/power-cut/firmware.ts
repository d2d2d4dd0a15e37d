import { createHash } from 'node:crypto';
import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hostRunner } from '../../src/host/runner.ts';
import { readConfigTxt } from '../../src/qemu/boot-files.ts';
import { findBootPartition } from '../../src/site/boot-partition.ts';
import type { Firmware } from './machine.ts';
import { maskedInitramfs } from './masked.ts';

/** What the board's firmware would load. */
export interface Loaded {
  readonly kernel: Buffer;
  readonly initramfs: Buffer;
  readonly cmdline: string;
  /** Digest of kernel, initramfs, command line and all device trees: the same digest, the same start. */
  readonly digest: string;
  /** Names of kernel and initramfs, with their folder. */
  readonly names: readonly [string, string];
}

/** A boot partition, in a card or in a file of its own. */
export interface BootPlace {
  readonly image: string;
  readonly offset: number;
}

/**
 * Reads a boot partition as the firmware does: config.txt, then the files that it names, each by its own chain of
 * clusters. Whatever else is wrong with the file system does not count, since nobody checks it before.
 * @throws StepError when one of the files is not there or has no whole chain
 */
export async function loadedFrom({ image, offset }: BootPlace, folder: string): Promise<Loaded> {
  const drive = `${image}@@${offset}`;
  const read = async (name: string): Promise<Buffer> => {
    const copy = join(folder, 'boot-file');
    await rm(copy, { force: true });
    await hostRunner.run(['mcopy', '-n', '-i', drive, `::${name}`, copy], { env: mtools, timeout: 300 });
    return readFile(copy);
  };
  const list = async (name: string): Promise<string[]> => {
    const argv = ['mdir', '-b', '-i', drive, `::${name}`];
    const { stdout } = await hostRunner.run(argv, { env: mtools, okCodes: [0, 1], timeout: 300 });
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
  await rm(join(folder, 'boot-file'), { force: true });
  return { kernel, initramfs, cmdline: cmdline.toString().trim(), digest: hash.digest('hex').slice(0, 32), names };
}

/** The same of a card, as files for QEMU. */
export async function firmwareOf(card: string, folder: string): Promise<Firmware> {
  const { kernel, initramfs, cmdline } = await loadedFrom(await findBootPartition(card), folder);
  const place = (name: string): string => join(folder, `loaded-${name}`);
  await writeFile(place('kernel'), kernel);
  await writeFile(place('initramfs'), initramfs);
  await maskedInitramfs(place('initramfs'), place('masking'));
  return { kernel: place('kernel'), initramfs: place('initramfs'), masking: place('masking'), cmdline };
}

const mtools = { MTOOLSRC: '/dev/null', MTOOLS_SKIP_CHECK: '1' };

/** The boot partition of a card after the check that the next start makes of it, as a file at `out`. */
export async function checkedBoot(card: string, out: string): Promise<BootPlace> {
  const { offset, size } = await findBootPartition(card);
  const argv = ['dd', `if=${card}`, `of=${out}`, 'bs=1M', 'iflag=skip_bytes,count_bytes', `skip=${offset}`];
  await hostRunner.run([...argv, `count=${size}`, 'conv=sparse', 'status=none']);
  // What ends in a hole is too short otherwise.
  await truncate(out, size);
  // 1: errors were mended.
  await hostRunner.run(['fsck.vfat', '-a', out], { okCodes: [0, 1], timeout: 600 });
  return { image: out, offset: 0 };
}
