import { open, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hostRunner } from '../../src/host/runner.ts';
import { extractBootFiles } from '../../src/qemu/boot-files.ts';
import { type EphemeralSite, ephemeralSite } from '../../src/qemu/ephemeral-site.ts';
import { freePorts } from '../../src/qemu/network.ts';
import { personalizeInPlace } from '../../src/site/personalize.ts';
import { applyBreak, type BreakName } from './breaks.ts';
import { openCard } from './card.ts';
import { type Identity, inspect } from './inspect.ts';
import { type Firmware, runCard } from './machine.ts';
import { addMarks, type Mark } from './marks.ts';
import { maskedInitramfs } from './masked.ts';
import { loginTo } from './session.ts';
import type { Work } from './work.ts';
import { readWriteLog } from './write-log.ts';

/** A whole first boot, with everything that it wrote; what all points are made of. */
export interface Recording {
  /** What it was made of: another image, site or break makes another recording. */
  readonly from: string;
  /** Whether no unit was masked. */
  readonly whole: boolean;
  readonly firmware: Firmware;
  readonly marks: readonly Mark[];
  readonly seconds: number;
  /** The card after each flush, by digest; the first is the card before the first start. */
  readonly states: readonly string[];
  /** What the uncut first boot made. */
  readonly identity: Identity;
}

/** The site's administrator. */
export const ADMIN = 'driver';

export interface RecordOptions {
  readonly image: string;
  /** Everything is kept here. */
  readonly folder: string;
  readonly whole: boolean;
  readonly cpus: number;
  readonly broken?: BreakName;
  /** What the device does after its first boot. The recording goes on to its end. */
  readonly work?: { readonly name: string; readonly doing: Work };
}

/** The smallest card that the image takes is the quickest to look at. */
export const CARD_GIB = 4;
/** Journal, application and web server write on after the device is ready. */
const SETTLE = 20;

export const baseOf = (folder: string): string => join(folder, 'base.raw');
export const logOf = (folder: string): string => join(folder, 'first-boot.log');
export const identityOf = (folder: string): string => join(folder, 'admin');

/** The recording of `folder`, made when there is none. @throws Error when the uncut first boot goes wrong */
export async function recording(options: RecordOptions): Promise<Recording> {
  const { image, folder, whole, cpus, broken, work } = options;
  const { mtimeMs, size } = await stat(image);
  const from = `${image} ${size} ${mtimeMs} ${broken ?? 'unbroken'}${whole ? '' : ', masked'}${work ? `, ${work.name}` : ''}`;
  const kept = await readFile(join(folder, 'recording.json'), 'utf8').catch(() => '{}');
  const old = JSON.parse(kept) as Partial<Recording>;
  if (old.from === from) return old as Recording;

  const base = baseOf(folder);
  await hostRunner.run(['cp', '--reflink=auto', '--sparse=always', image, base]);
  await truncate(base, CARD_GIB * 1024 ** 3);
  if (broken !== undefined) await applyBreak(base, broken, folder);
  for (const name of ['admin', 'admin.pub']) await rm(join(folder, name), { force: true });
  const site: EphemeralSite = await ephemeralSite(folder);
  await personalizeInPlace(base, site.site, image);
  const { kernel, initramfs, cmdline } = await extractBootFiles(base, folder, image);
  const firmware: Firmware = { kernel, initramfs, cmdline, masking: join(folder, 'initramfs-masking') };
  await maskedInitramfs(initramfs, firmware.masking);

  const marks: Mark[] = [];
  let now = { logBytes: 0, seconds: 0 };
  const port = work === undefined ? undefined : (await freePorts()).ssh;
  const told = await runCard({
    ...{ firmware, card: base, folder, whole, cpus, settle: SETTLE, patience: work === undefined ? 1500 : 9000 },
    ...(port === undefined || work === undefined
      ? {}
      : {
          port,
          async work() {
            await using device = await loginTo(folder, base, port, identityOf(folder));
            const session = { device, console: join(folder, 'console.log') };
            await work.doing.prepare(session);
            marks.push({ step: work.name, ...now });
            await work.doing.run(session);
            marks.push({ step: `after ${work.name}`, ...now });
          },
        }),
    watch(seen) {
      now = { logBytes: seen.logBytes, seconds: seen.seconds };
      addMarks(marks, seen);
    },
  });
  if (told.state !== 'ready')
    throw new Error(`the uncut first boot ended as ${told.state}:\n${told.console.slice(-3000)}`);
  await rename(told.log, logOf(folder));

  await writeFile(join(folder, 'marks.json'), `${JSON.stringify(marks)}\n`);
  const { states, identity } = await follow(folder);
  const found = { from, whole, firmware, marks, seconds: told.seconds, states, identity };
  await writeFile(join(folder, 'recording.json'), `${JSON.stringify(found, undefined, 1)}\n`);
  return found;
}

/** Digests of all states, and the device at the end. */
async function follow(folder: string): Promise<Pick<Recording, 'states' | 'identity'>> {
  const path = join(folder, 'card.raw');
  await copyBase(folder, path);
  const states: string[] = [];
  {
    await using card = await openCard(path);
    await using log = await open(logOf(folder), 'r');
    states.push(card.state());
    for (const { entry } of await readWriteLog(logOf(folder))) {
      await card.apply(entry, log);
      if (entry.kind === 'flush') states.push(card.state());
    }
  }
  const { identity, wrong } = await inspect(path, folder, identityOf(folder));
  if (wrong.length > 0) throw new Error(`the uncut first boot made a bad card: ${wrong.join('; ')}`);
  return { states, identity };
}

/** The card before its first start. */
export async function copyBase(folder: string, path: string): Promise<void> {
  await hostRunner.run(['cp', '--reflink=auto', '--sparse=always', baseOf(folder), path]);
}
