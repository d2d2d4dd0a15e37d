import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { imageFacts, smallestCard } from '../../../src/flash/image-facts.ts';
import { openSource } from '../../../src/flash/source.ts';
import { hostRunner } from '../../../src/host/runner.ts';

const folder = mkdtempSync(join(tmpdir(), 'image-facts-'));
const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin`, MTOOLSRC: '/dev/null' };
const run = (argv: readonly string[], input: string | Buffer = '') =>
  execFileSync(argv[0] ?? '', argv.slice(1), { env, input, stdio: ['pipe', 'pipe', 'ignore'] });
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('an image of ours is known by its boot partition, also when the root folder goes on far behind its start', async () => {
  const image = join(folder, 'card.img');
  run(['truncate', '-s', '128M', image]);
  run(['sfdisk', '-q', image], 'label: dos\nstart=2048,size=131072,type=c\nstart=133120,size=65536,type=83\n');
  run(['mkfs.vfat', '-F', '32', '-s', '1', '--offset', '2048', image, '65536']);
  const put = (name: string, bytes: Buffer) => run(['mcopy', '-i', `${image}@@1048576`, '-', `::${name}`], bytes);
  // A folder of one cluster takes 16 names; the next cluster is behind what was written meanwhile.
  for (let number = 0; number < 8; number++) put(`file${number}`, Buffer.alloc(1));
  put('kernel', Buffer.alloc(40 * 1024 * 1024));
  for (let number = 0; number < 16; number++) put(`a-long-name-${number}`, Buffer.alloc(1));
  put('bundle.0', Buffer.alloc(1));
  run(['zstd', '-q', image]);
  for (const path of [image, `${image}.zst`]) {
    const source = await openSource(path, hostRunner);
    const facts = await imageFacts(source);
    expect(facts.bootFiles).toContain('/a-long-name-15');
    expect(facts.ours).toBe(true);
    expect(smallestCard(facts, source.map.imageSize)).toBe((133120 + 65536) * 512 + 2 * 2 ** 30);
  }
}, 60_000);

it('a file that is no image is refused before a card is lost for it', async () => {
  const path = join(folder, 'README.md');
  writeFileSync(path, '# not an image\n'.repeat(100));
  const why = `${path} is no image that a Raspberry Pi starts from: there is no partition table`;
  await expect(imageFacts(await openSource(path, hostRunner))).rejects.toThrow(why);
});
