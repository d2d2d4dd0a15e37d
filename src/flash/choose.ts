import { open, stat } from 'node:fs/promises';
import { UserError } from '../core/errors.ts';
import type { Runner } from '../host/runner.ts';
import { deviceLine, gigabytes, judgeDevices, judgePath } from './devices.ts';
import { followLinks, loopsOver, readSnapshot } from './snapshot.ts';

/** Where the image goes. */
export interface Chosen {
  /** Links followed. */
  readonly path: string;
  readonly size: number;
  readonly kind: 'device' | 'file';
  /** A file that was just made: nothing in it can be lost. */
  readonly isNew: boolean;
  /** For people, before they confirm. */
  readonly description: string;
}

export interface Need {
  readonly imagePath: string;
  readonly imageSize: number;
  /** What a card must have at least; a file needs no more than the image's size. */
  readonly cardSize: number;
}

/** What could be written, and why the rest is refused, a line each. @throws UserError that carries them. */
export async function refuseWithoutDevice(runner: Runner, need: Need): Promise<never> {
  const verdicts = judgeDevices(await readSnapshot(runner), need.cardSize);
  const offered = verdicts.filter((verdict) => verdict.offered).map(deviceLine);
  const looked = verdicts.filter((verdict) => !verdict.offered && !/^(loop|zram|ram)/.test(verdict.device.kname));
  const refused = looked.map((verdict) => `not ${deviceLine(verdict)}`);
  throw new UserError({
    message: offered.length === 0 ? 'there is no card to write to' : 'name the device to write to',
    hint: [...offered, ...refused].join('\n'),
  });
}

async function create(path: string, size: number): Promise<void> {
  const file = await open(path, 'wx', 0o644).catch((cause: NodeJS.ErrnoException) => {
    throw new UserError({ message: `${path} cannot be made (${cause.code})` }, { cause });
  });
  await file.truncate(size);
  await file.close();
}

async function chooseFile(path: string, size: number, need: Need, isNew: boolean, sys?: string): Promise<Chosen> {
  const loops = await loopsOver(path, sys);
  if (loops.length > 0) {
    throw new UserError({
      message: `${path} is in use: ${loops.join(', ')} is set up on it`,
      hint: `Unmount what is mounted from it, then: ${loops.map((loop) => `losetup -d ${loop}`).join('; ')}`,
    });
  }
  if (size < need.imageSize) {
    throw new UserError({
      message: `${path} is a file of ${gigabytes(size)}, the image needs ${gigabytes(need.imageSize)}`,
      hint: `Make it larger: truncate -s ${need.imageSize} ${path}`,
    });
  }
  return { path, size, kind: 'file', isNew, description: `${path}  ${gigabytes(size)}  a file, not a card` };
}

/**
 * Finds out what `device` is (a link, a disk, a partition, a file, nothing) and refuses what must not be written.
 * `createSize` makes a file that is not there.
 * @throws UserError with the reason and what to do.
 */
export async function chooseTarget(
  runner: Runner,
  device: string,
  need: Need,
  createSize?: number,
  sys?: string,
): Promise<Chosen> {
  let path = await followLinks(device);
  const isNew = path === undefined && createSize !== undefined;
  if (path === undefined && createSize !== undefined) {
    if (createSize < need.imageSize) {
      throw new UserError({
        message: `a file of ${gigabytes(createSize)} is too small, the image needs ${gigabytes(need.imageSize)}`,
        hint: 'Give a larger --create.',
      });
    }
    await create(device, createSize);
    path = await followLinks(device);
  }
  if (path === undefined) {
    throw new UserError({
      message: `${device} is not there`,
      hint: device.startsWith('/dev/') ? 'Is the card in its reader?' : 'To write to a new file, add: --create 8G',
    });
  }
  const [found, image] = [await stat(path), await stat(need.imagePath)];
  if (found.isFile()) {
    if (found.dev === image.dev && found.ino === image.ino) throw new UserError(`${device} is the image itself`);
    return chooseFile(path, found.size, need, isNew, sys);
  }
  if (!found.isBlockDevice()) throw new UserError(`${device} is neither a disk nor a file`);
  const verdict = judgePath(await readSnapshot(runner), path, need.cardSize);
  const [reason] = verdict.reasons;
  if (reason !== undefined) {
    throw new UserError({
      message: `${device} is not written: ${verdict.reasons.join('; ')}`,
      ...(verdict.hint === undefined ? {} : { hint: verdict.hint }),
    });
  }
  return { path, size: verdict.device.size, kind: 'device', isNew: false, description: deviceLine(verdict) };
}

/** `8G`, `500M`, `4GB` or bytes. G and M count in 1024s, GB and MB in 1000s, as truncate does. */
export function parseSize(text: string): number {
  const match = /^(\d{1,15})(?:([KMGT])(B?))?$/i.exec(text.trim());
  if (match === null) throw new UserError(`${JSON.stringify(text)} is no size; write 8G, 500M or a number of bytes`);
  const power = ['', 'K', 'M', 'G', 'T'].indexOf((match[2] ?? '').toUpperCase());
  const bytes = Number(match[1]) * (match[3] === '' || match[3] === undefined ? 1024 : 1000) ** power;
  if (!Number.isSafeInteger(bytes)) throw new UserError(`${text} is too much`);
  return bytes;
}
