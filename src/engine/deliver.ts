import { chmod, chown, mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Plan } from '../core/plan.ts';
import type { Cache } from '../host/cache.ts';
import { lockFile } from '../host/flock.ts';
import { hostRunner } from '../host/runner.ts';
import { isOver, sessionOf } from '../host/session.ts';
import { sha256File } from '../host/sha256.ts';
import { sha256 } from '../plan/digest.ts';
import { recordOf } from '../plan/record.ts';
import { outputName } from './built.ts';

export interface Delivered {
  readonly image: string;
  readonly sha256: string;
  /** Everything that was written, as paths. */
  readonly files: readonly string[];
}

export interface Parcel {
  /** Where the finished files are, and their names. */
  readonly folder: string;
  readonly names: readonly string[];
  /** Reports and the like, by file name. */
  readonly texts: Readonly<Record<string, string>>;
  /** Checksums that were taken before. */
  readonly sums: ReadonlyMap<string, string>;
}

/**
 * Moves finished files to `out`, beside each other under temporary names first and then by renames, the image last:
 * whoever sees an image sees all that belongs to it. One build at a time.
 */
export async function deliver(cache: Cache, plan: Plan, parcel: Parcel, out: string): Promise<Delivered> {
  const lock = await lockFile(join(cache.locks, `output-${outputName(out, plan.name)}`));
  try {
    return await place(plan, parcel, out, await sessionOf(cache));
  } finally {
    lock.release();
  }
}

/** Removes temporary files in `out` of builds that are gone. */
export async function sweepOutput(cache: Cache, name: string, out: string): Promise<void> {
  for (const file of await readdir(out).catch(() => [])) {
    const [, start, session = ''] = /^\.(.*)\.([0-9a-f]{8})\.partial$/.exec(file) ?? [];
    if (start?.startsWith(`${name}.`) && (await isOver(cache, session))) await rm(join(out, file), { force: true });
  }
}

async function place(
  plan: Plan,
  { folder, names, texts, sums: known }: Parcel,
  out: string,
  session: string,
): Promise<Delivered> {
  const { name } = plan;
  await mkdir(out, { recursive: true });
  const { uid, gid } = await stat(out);
  const image = `${name}.img`;
  const all: Record<string, string> = {
    ...texts,
    [`${name}.plan.json`]: `${JSON.stringify(recordOf(plan), null, 1)}\n`,
  };
  const sums = new Map<string, string>();
  for (const file of names) sums.set(file, known.get(file) ?? (await sha256File(join(folder, file))));
  for (const [file, text] of Object.entries(all)) sums.set(file, sha256(text));
  const lines = [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([file, sum]) => `${sum}  ${file}\n`);
  all[`${name}.SHA256SUMS`] = lines.join('');
  const order = [...Object.keys(all), ...names.filter((file) => file !== image), image];
  const partial = (file: string): string => join(out, `.${file}.${session}.partial`);
  try {
    for (const file of order) {
      const text = all[file];
      if (text === undefined) await move(join(folder, file), partial(file));
      else await writeFile(partial(file), text);
      await chown(partial(file), uid, gid);
      await chmod(partial(file), 0o644);
    }
    for (const file of order) await flush(partial(file));
    for (const file of order) await rename(partial(file), join(out, file));
    // Of an earlier build with other options: they would not be of this image.
    for (const file of [`${name}.img.zst`, `${name}.img.xz`]) {
      if (!order.includes(file)) await rm(join(out, file), { force: true });
    }
    await flush(out);
  } finally {
    for (const file of order) await rm(partial(file), { force: true });
  }
  return { image: join(out, image), sha256: sums.get(image) ?? '', files: order.map((file) => join(out, file)) };
}

/** Has a file, or a folder's names, on the disk when it returns. */
async function flush(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A rename, or between file systems a copy that keeps the holes. */
async function move(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    await hostRunner.run(['cp', '--sparse=always', '--', from, to]);
  }
}
