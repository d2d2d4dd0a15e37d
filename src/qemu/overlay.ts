import { open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { StepError } from '../core/errors.ts';
import { hostRunner } from '../host/runner.ts';
import { findBootPartition } from '../site/boot-partition.ts';
import type { BootTools } from './tools.ts';

/** A copy-on-write view of an image: the image itself is only read. */
export interface Overlay {
  /** The qcow2 file. */
  readonly path: string;
  /** Bytes of the card that the guest sees. */
  readonly size: number;
  /** The image below, and which file that was. */
  readonly image: string;
  readonly identity: string;
}

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** The usual size of a small card, and enough for root to grow and a data partition. */
const CARD = 8 * GIB;

/** An emulated SD card must be a power of two. */
export function cardSize(imageSize: number, wanted = CARD): number {
  let size = wanted;
  while (size < imageSize) size *= 2;
  return size;
}

/** `path` must not be there yet. `image` is an uncompressed image file. */
export async function makeOverlay(tools: BootTools, image: string, path: string, wanted?: number): Promise<Overlay> {
  const size = cardSize((await stat(image)).size, wanted);
  const backing = ['-F', 'raw', '-b', resolve(image)];
  const identity = await identityOf(image);
  await hostRunner.run([...tools.qemuImg, 'create', '-q', '-f', 'qcow2', ...backing, path, String(size)]);
  return { path, size, image, identity };
}

const identityOf = async (image: string): Promise<string> => {
  const { dev, ino, size, mtimeMs } = await stat(image);
  return [dev, ino, size, mtimeMs].join(' ');
};

/**
 * A guest that starts again opens the image below its view again: another file there would be a broken card.
 * @throws StepError when a build has replaced the image meanwhile
 */
export async function checkUnchanged({ image, identity }: Overlay): Promise<void> {
  if ((await identityOf(image).catch(() => '')) === identity) return;
  throw new StepError({
    message: `${image} was replaced while the guest was running, so it cannot start again`,
    hint: 'Boot a copy of the image, or wait with the next build.',
  });
}

/**
 * Gives a sparse raw file with the partition table and the boot partition of the overlay as it is now, also while a guest
 * runs, to `use`; what `use` changes in it is written back when `write` is set. The guest must not run then.
 */
export async function withBootPartition<T>(
  tools: BootTools,
  overlay: Overlay,
  folder: string,
  use: (raw: string) => Promise<T>,
  write = false,
): Promise<T> {
  const raw = join(folder, `boot-${process.hrtime.bigint()}.raw`);
  try {
    // The table first, to learn how much is needed.
    await copyStart(tools, overlay, raw, 1);
    const boot = await findBootPartition(raw);
    const megabytes = Math.ceil((boot.offset + boot.size) / MIB);
    await copyStart(tools, overlay, raw, megabytes);
    const before = write ? await readStart(raw, megabytes) : undefined;
    const value = await use(raw);
    if (before !== undefined) await writeBack(tools, overlay, folder, before, await readStart(raw, megabytes));
    return value;
  } finally {
    await rm(raw, { force: true });
  }
}

async function copyStart(tools: BootTools, overlay: Overlay, raw: string, megabytes: number): Promise<void> {
  await hostRunner.run(
    [...tools.qemuImg, 'dd', '-U', '-f', 'qcow2', '-O', 'raw', 'bs=1M', `count=${megabytes}`].concat([
      `if=${overlay.path}`,
      `of=${raw}`,
    ]),
  );
  // The partition table names places up to the card's end.
  await truncate(raw, overlay.size);
}

async function readStart(raw: string, megabytes: number): Promise<Buffer> {
  const file = await open(raw, 'r');
  try {
    const bytes = Buffer.alloc(megabytes * MIB);
    await file.read(bytes, 0, bytes.length, 0);
    return bytes;
  } finally {
    await file.close();
  }
}

const CHUNK = 64 * 1024;

async function writeBack(
  tools: BootTools,
  overlay: Overlay,
  folder: string,
  before: Buffer,
  after: Buffer,
): Promise<void> {
  const commands: string[] = [];
  const files: string[] = [];
  for (let at = 0; at < after.length; at += CHUNK) {
    const chunk = after.subarray(at, at + CHUNK);
    if (chunk.equals(before.subarray(at, at + CHUNK))) continue;
    const file = join(folder, `chunk-${at}`);
    await writeFile(file, chunk, { mode: 0o600 });
    files.push(file);
    commands.push('-c', `write -q -s ${file} ${at} ${chunk.length}`);
  }
  try {
    if (commands.length > 0) await hostRunner.run([...tools.qemuIo, '-f', 'qcow2', ...commands, overlay.path]);
  } finally {
    for (const file of files) await rm(file, { force: true });
  }
}

/** The whole card as a sparse raw file, for looking at it after the guest has stopped. */
export async function wholeCard(tools: BootTools, overlay: Overlay, out: string): Promise<void> {
  await hostRunner.run([...tools.qemuImg, 'convert', '-f', 'qcow2', '-O', 'raw', overlay.path, out]);
}

/** Last lines of a console log, without control sequences and without the lines that systemd draws while it waits. */
export async function lastLines(file: string, count: number): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the sequences to take out
  const plain = text.replace(/\u001b\[[0-9;?]*[A-Za-z]|\u001b[A-Za-z]|[\u0000-\u0008\u000b-\u001f]/g, '');
  const lines = plain.split('\n').filter((line) => line.trim() !== '' && !/^\[[ *]{6}\] /.test(line));
  return lines.slice(-count).join('\n');
}
