import { open, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hostRunner } from '../../src/host/runner.ts';
import { ephemeralSite } from '../../src/qemu/ephemeral-site.ts';
import { findBootPartition } from '../../src/site/boot-partition.ts';
import { personalizeInPlace } from '../../src/site/personalize.ts';
import { nextRelease, renamedKernel } from '../helpers/archive-newer.ts';
import { openCard } from './card.ts';
import { firmwareOf, loadedFrom } from './firmware.ts';
import { nothing } from './inspect.ts';
import { runCard } from './machine.ts';
import { addMarks, type Mark } from './marks.ts';
import { partitionsOf } from './parts.ts';
import { baseOf, CARD_GIB, logOf, type Recording } from './record.ts';
import { readWriteLog, SECTOR } from './write-log.ts';

const PATIENCE = 3600;
const HOOK = 'DEB_MAINT_PARAMS=configure /etc/kernel/postinst.d/z50-raspi-firmware';

/**
 * What apt and the kernel package do once kernel, initramfs and modules are on root: for a newer kernel, then for a newer
 * initramfs of it, as other packages ask for one.
 */
const script = (old: string, next: string): string =>
  [
    'export PATH=/usr/sbin:/usr/bin',
    'exec > /dev/console 2>&1',
    'set -e',
    'trap "echo amslpr: boot-files: failed at a command; sleep 3600" EXIT',
    'mount /boot/firmware',
    'mkdir -p /run/systemd/system',
    `cp -al /usr/lib/modules/${old} /usr/lib/modules/${next}`,
    `cp -al /usr/lib/linux-image-${old} /usr/lib/linux-image-${next}`,
    'sync',
    '/usr/lib/amslpr/boot-writable open',
    'echo amslpr: boot-files: working at kernel; sleep 1',
    HOOK,
    'sync; sleep 1',
    `head -c 512 /dev/zero >> /boot/initrd.img-${next}; sync`,
    'echo amslpr: boot-files: working at initramfs; sleep 1',
    HOOK,
    '/usr/lib/amslpr/boot-writable close',
    'echo amslpr: boot-files: ready',
    'sleep 3600',
  ].join('\n');

/** Records nothing but the writing of boot files, in a guest that runs nothing else: minutes instead of an upgrade. */
export async function recordBootFiles(image: string, folder: string, cpus: number): Promise<Recording> {
  const { mtimeMs, size } = await stat(image);
  const from = `${image} ${size} ${mtimeMs}, boot files`;
  const kept = await readFile(join(folder, 'recording.json'), 'utf8').catch(() => '{}');
  const old = JSON.parse(kept) as Partial<Recording>;
  if (old.from === from) return old as Recording;

  const base = baseOf(folder);
  await hostRunner.run(['cp', '--reflink=auto', '--sparse=always', image, base]);
  await truncate(base, CARD_GIB * 1024 ** 3);
  for (const name of ['admin', 'admin.pub']) await rm(join(folder, name), { force: true });
  await personalizeInPlace(base, (await ephemeralSite(folder)).site, image);
  const firmware = await firmwareOf(base, folder);
  const { names } = await loadedFrom(await findBootPartition(base), folder);
  const release = names[0].replace(/^.*vmlinuz-/, '');
  const next = nextRelease(release);
  await addNewer(base, folder, firmware, release, next);

  const marks: Mark[] = [];
  const told = await runCard({
    ...{
      firmware,
      card: base,
      folder,
      whole: true,
      cpus,
      settle: 1,
      patience: PATIENCE,
      script: script(release, next),
    },
    watch: (seen) => addMarks(marks, seen),
  });
  if (told.state !== 'ready') throw new Error(`writing ended as ${told.state}:\n${told.console.slice(-3000)}`);
  await rename(told.log, logOf(folder));
  const found: Recording = {
    ...{ from, whole: true, firmware, marks, seconds: told.seconds, identity: nothing },
    states: await statesOf(base, folder),
  };
  await writeFile(join(folder, 'recording.json'), `${JSON.stringify(found, undefined, 1)}\n`);
  return found;
}

/** Puts kernel and initramfs of the next release into /boot of the card's root: the same ones under another name. */
async function addNewer(
  card: string,
  folder: string,
  { kernel, initramfs }: { readonly kernel: string; readonly initramfs: string },
  release: string,
  next: string,
): Promise<void> {
  const place = (name: string): string => join(folder, `newer-${name}`);
  await writeFile(place('kernel'), renamedKernel(await readFile(kernel), release, next));
  const packed = await readFile(initramfs);
  // Modules are compressed already, and lie in an archive of their own before the compressed one.
  const begin = packed.indexOf(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), packed.indexOf('TRAILER!!!'));
  await writeFile(place('packed'), packed.subarray(begin));
  await hostRunner.run(['zstd', '-q', '-d', '-f', place('packed'), '-o', place('plain')]);
  const plain = await readFile(place('plain'));
  for (const part of [plain, packed.subarray(0, begin)]) {
    for (let at = part.indexOf(release); at >= 0; at = part.indexOf(release, at + 1)) part.write(next, at, 'latin1');
  }
  await writeFile(place('plain'), plain);
  await hostRunner.run(['zstd', '-q', '-f', place('plain'), '-o', place('packed')]);
  await writeFile(place('initramfs'), Buffer.concat([packed.subarray(0, begin), await readFile(place('packed'))]));
  const root = (await partitionsOf(card)).get(2);
  if (root === undefined) throw new Error(`${card} has no second partition`);
  const input = `cd /boot\nwrite ${place('kernel')} vmlinuz-${next}\nwrite ${place('initramfs')} initrd.img-${next}\n`;
  await hostRunner.run(['debugfs', '-w', '-f', '-', `${card}?offset=${root.start * SECTOR}`], { input });
  for (const name of ['kernel', 'packed', 'plain', 'initramfs']) await rm(place(name), { force: true });
}

async function statesOf(base: string, folder: string): Promise<string[]> {
  const path = join(folder, 'card.raw');
  await hostRunner.run(['cp', '--reflink=auto', '--sparse=always', base, path]);
  await using card = await openCard(path);
  await using log = await open(logOf(folder), 'r');
  const states = [card.state()];
  for (const { entry } of await readWriteLog(logOf(folder))) {
    await card.apply(entry, log);
    if (entry.kind === 'flush') states.push(card.state());
  }
  return states;
}
