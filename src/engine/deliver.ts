import { chmod, chown, mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Plan } from '../core/plan.ts';
import { hostRunner } from '../host/runner.ts';
import { sha256 } from '../plan/digest.ts';
import { recordOf } from '../plan/record.ts';
import { sha256File } from './companions.ts';

export interface Delivered {
  readonly image: string;
  readonly sha256: string;
  /** Everything that was written, as paths. */
  readonly files: readonly string[];
}

/**
 * Moves the finished files of `folder` to `out`, beside each other under temporary names first and then by renames, the
 * image last: whoever sees an image sees all that belongs to it. `texts` are reports and the like, by file name.
 */
export async function deliver(
  plan: Plan,
  folder: string,
  names: readonly string[],
  texts: Readonly<Record<string, string>>,
  out: string,
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
  for (const file of names) sums.set(file, await sha256File(join(folder, file)));
  for (const [file, text] of Object.entries(all)) sums.set(file, sha256(text));
  const lines = [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([file, sum]) => `${sum}  ${file}\n`);
  all[`${name}.SHA256SUMS`] = lines.join('');
  const order = [...Object.keys(all), ...names.filter((file) => file !== image), image];
  const partial = (file: string): string => join(out, `.${file}.${process.pid}.partial`);
  try {
    for (const file of order) {
      const text = all[file];
      if (text === undefined) await move(join(folder, file), partial(file));
      else await writeFile(partial(file), text);
      await chown(partial(file), uid, gid);
      await chmod(partial(file), 0o644);
    }
    for (const file of order) await rename(partial(file), join(out, file));
  } finally {
    for (const file of order) await rm(partial(file), { force: true });
  }
  return { image: join(out, image), sha256: sums.get(image) ?? '', files: order.map((file) => join(out, file)) };
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
