import { rm, stat } from 'node:fs/promises';
import { UserError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Runner } from '../host/runner.ts';
import { type Chosen, chooseTarget, type Need, refuseWithoutDevice } from './choose.ts';
import { gigabytes } from './devices.ts';
import { dataRanges } from './holes.ts';
import { type ImageFacts, imageFacts, smallestCard } from './image-facts.ts';
import { mustBeZero } from './must-be-zero.ts';
import { type Range, without } from './ranges.ts';
import { prepareSite } from './site.ts';
import { glance, type ImageSource, openSource } from './source.ts';
import { openTarget, type Target } from './target.ts';
import { checkKeep, findUsedCard, headerRange, keepEntry, saveUsedCard, type UsedCard } from './used-card.ts';
import { type WriteResult, writeImage } from './write.ts';
import { planWrite } from './write-plan.ts';

export interface FlashOptions {
  readonly image: string;
  readonly device?: string;
  /** A site file to stamp onto the card. */
  readonly site?: string;
  /** The SSH key that signs it. */
  readonly sign?: string;
  /** Asks nothing. */
  readonly yes?: boolean;
  /** What to do with the data of a card that was used before. */
  readonly data?: 'erase' | 'keep';
  /** Size in bytes of a file that is made when `device` is not there. */
  readonly create?: number;
  /** Where what a used card holds is saved; the working folder by default. */
  readonly save?: string;
}

export interface FlashContext {
  readonly runner: Runner;
  readonly log: Log;
  /** Shows what is about to be overwritten and gives what the person typed; absent where nobody can be asked. */
  readonly ask?: (question: string) => Promise<string>;
  /** Stops between two transfers; the card then boots nowhere and can be flashed again. */
  readonly signal?: AbortSignal;
}

export interface FlashResult extends WriteResult {
  readonly path: string;
  /** The folder to which a used card's header and bundles were saved. */
  readonly saved?: string;
  /** The file with the one-time token of a stamped site. */
  readonly enrolment?: string;
  /** The configuration beside it that administrators reach the device with until it is enrolled. */
  readonly sshConfig?: string;
}

async function confirm(chosen: Chosen, device: string, options: FlashOptions, ask: FlashContext['ask']): Promise<void> {
  if (options.yes === true || chosen.isNew) return;
  if (ask === undefined) {
    throw new UserError({
      message: `nobody can be asked whether ${device} is the right one`,
      hint: 'Add --yes if it is.',
    });
  }
  const typed = (
    await ask(`${chosen.description}\nEverything on it is lost. Type ${device} to write the image:`)
  ).trim();
  if (typed !== device && typed !== chosen.path) {
    throw new UserError({ message: `${JSON.stringify(typed)} is not ${device}: nothing was written` });
  }
}

async function handleUsed(
  card: UsedCard | undefined,
  target: Target,
  facts: ImageFacts,
  options: FlashOptions,
  log: Log,
): Promise<string | undefined> {
  if (card === undefined) {
    if (options.data !== 'keep') return undefined;
    throw new UserError(`there is no data of ours on ${target.name} that could be kept`);
  }
  const folder = await saveUsedCard(card, options.save ?? '.');
  const whose = card.hostname === undefined ? '' : ` of ${card.hostname}`;
  const what = `${target.name} holds encrypted data${whose} (${gigabytes(card.data.length)}, container ${card.uuid})`;
  log({ kind: 'notice', text: `${what}; its header and recovery bundles are saved in ${folder}` });
  if (options.data === undefined) {
    throw new UserError({
      message: what,
      hint: `Add --erase-data to overwrite it, or --keep-data to leave it for the new system. What opens it is saved in ${folder}.`,
    });
  }
  if (options.data === 'erase') return folder;
  checkKeep(card, facts.disk);
  return folder;
}

/** What the image means to be zeros but its map leaves out. */
async function zeroRanges(source: ImageSource, chosen: Chosen): Promise<Range[]> {
  const { map, origin } = source;
  if (origin === 'whole') return [];
  if (origin === 'holes') return without({ start: 0, length: map.imageSize }, map.ranges);
  const inFiles = await glance(source, (reader) => mustBeZero(reader, map.imageSize, map.ranges));
  return inFiles.filter((range) => range.start < chosen.size);
}

/** A file that was just made has no data, which is quicker to see than to ask. */
async function fileData(runner: Runner, path: string): Promise<Range[] | undefined> {
  return (await stat(path)).blocks === 0 ? [] : dataRanges(runner, path);
}

async function write(
  source: ImageSource,
  target: Target,
  chosen: Chosen,
  options: FlashOptions,
  { runner, log, signal }: FlashContext,
  card: UsedCard | undefined,
  finish: () => Promise<void>,
): Promise<WriteResult> {
  const data = chosen.kind === 'file' ? await fileData(runner, chosen.path) : undefined;
  const zero = await zeroRanges(source, chosen);
  const kept = options.data === 'keep' ? card : undefined;
  if (card !== undefined && kept === undefined) zero.push(headerRange(card));
  const plan = planWrite({
    map: source.map,
    targetSize: target.size,
    zero,
    ...(data === undefined ? {} : { knownZero: without({ start: 0, length: target.size }, data) }),
    ...(kept === undefined ? {} : { keep: kept.data }),
  });
  return writeImage({
    source,
    target,
    plan,
    log,
    finish,
    ...(signal === undefined ? {} : { signal }),
    // An interrupted run must find the container again, whatever was to become of it.
    ...(card === undefined ? {} : { interim: keepEntry(card) }),
    ...(kept === undefined ? {} : { adjust: keepEntry(kept) }),
  });
}

const rate = (bytes: number, seconds: number): string => `${(bytes / 1e6 / Math.max(seconds, 1e-3)).toFixed(0)} MB/s`;

/**
 * Writes an image to a card or a file, reads it back, and stamps a site onto it. Everything that can be refused is
 * refused before the first byte is written.
 * @throws UserError for what is refused, StepError when the card or the image turns out to be bad.
 */
export async function flash(options: FlashOptions, context: FlashContext): Promise<FlashResult> {
  const { runner, log } = context;
  const source = await openSource(options.image, runner, context.signal);
  const facts = await imageFacts(source);
  const site = options.site === undefined ? undefined : await prepareSite(options.site, options.image, facts, options);
  const { imageSize } = source.map;
  const need: Need = { imagePath: options.image, imageSize, cardSize: smallestCard(facts, imageSize) };
  const device = options.device ?? (await refuseWithoutDevice(runner, need));
  const chosen = await chooseTarget(runner, device, need, options.create);
  const target = await openTarget(chosen.path, chosen.size, chosen.kind);
  let [result, saved]: [WriteResult | undefined, string | undefined] = [undefined, undefined];
  let enrolment: string | undefined;
  const finish = async (): Promise<void> => {
    enrolment = await site?.stamp(target);
  };
  try {
    const card = await findUsedCard(target);
    saved = await handleUsed(card, target, facts, options, log);
    await confirm(chosen, device, options, context.ask);
    result = await write(source, target, chosen, options, context, card, finish);
  } finally {
    await target.close();
    // What was made for this run alone is not left half written.
    if (result === undefined && chosen.isNew) await rm(chosen.path, { force: true });
    // Nor is the token of a card that was not finished: the next run makes another.
    if (result === undefined && enrolment !== undefined) await rm(enrolment, { force: true });
  }
  const { bytes, writeSeconds, verifySeconds } = result;
  log({
    kind: 'notice',
    text: `${gigabytes(bytes)} written at ${rate(bytes, writeSeconds)}, read back at ${rate(bytes, verifySeconds)} and found right`,
  });
  const sshConfig = enrolment === undefined ? undefined : await site?.access(enrolment);
  return {
    ...result,
    path: chosen.path,
    ...(saved === undefined ? {} : { saved }),
    ...(enrolment === undefined ? {} : { enrolment }),
    ...(sshConfig === undefined ? {} : { sshConfig }),
  };
}
