import { copyFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../core/errors.ts';
import { hostRunner } from '../host/runner.ts';
import { findBootPartition } from '../site/boot-partition.ts';

/** The path of an image without compression: its own, or one in `folder`. @throws UserError for what is no image */
export async function uncompressed(image: string, folder: string, signal?: AbortSignal): Promise<string> {
  const found = await stat(image).catch(() => undefined);
  if (found?.isFile() !== true) throw new UserError(`${image}: there is no such file`);
  const program = /\.(zst|xz)$/.exec(image)?.[1];
  if (program === undefined) {
    // Later only a view is looked at, and its temporary name would not tell which file is no image.
    await findBootPartition(image);
    return image;
  }
  const packed = join(folder, `card.img.${program}`);
  const options = signal === undefined ? {} : { signal };
  if (program === 'zst')
    await hostRunner.run(['zstd', '-dq', '--sparse', image, '-o', join(folder, 'card.img')], options);
  else {
    await copyFile(image, packed);
    await hostRunner.run(['xz', '-d', packed], options);
  }
  return join(folder, 'card.img');
}
