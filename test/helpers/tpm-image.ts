import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readImage } from '../../src/audit/image.ts';
import { SECTOR } from '../../src/audit/mbr.ts';
import { hostRunner } from '../../src/host/runner.ts';

const source = fileURLToPath(new URL('vtpm', import.meta.url));
const ROOT = 2;

/** A copy of an image in `folder` whose kernel gets the TPM of its board: see vtpm/vtpm-relay. */
export async function tpmImage(image: string, folder: string): Promise<string> {
  const copy = join(folder, 'with-tpm.img');
  await hostRunner.run(['cp', '--sparse=always', image, copy]);
  const root = (await readImage(image)).disk?.partitions.find(({ slot }) => slot === ROOT);
  if (root === undefined) throw new Error(`${image} has no second partition`);
  const system = '/etc/systemd/system';
  const commands = [
    `write ${join(source, 'vtpm-relay')} /usr/lib/amslpr/vtpm-relay`,
    'sif /usr/lib/amslpr/vtpm-relay mode 0100755',
    `write ${join(source, 'vtpm-relay.service')} ${system}/vtpm-relay.service`,
    `symlink ${system}/multi-user.target.wants/vtpm-relay.service ${system}/vtpm-relay.service`,
  ];
  const { stderr } = await hostRunner.run(['debugfs', '-w', '-f', '-', `${copy}?offset=${root.start * SECTOR}`], {
    input: `${commands.join('\n')}\n`,
  });
  const said = stderr.split('\n').filter((line) => line !== '' && !/^debugfs \d/.test(line));
  if (said.length > 0) throw new Error(`debugfs: ${said.join('\n')}`);
  return copy;
}
