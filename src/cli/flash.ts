import { createInterface } from 'node:readline/promises';
import { UserError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { parseSize } from '../flash/choose.ts';
import { type FlashOptions, type FlashResult, flash } from '../flash/flash.ts';
import { hostRunner } from '../host/runner.ts';

/** The flags as a command line gives them. */
export interface FlashFlags {
  readonly site?: string;
  readonly yes?: boolean;
  readonly eraseData?: boolean;
  readonly keepData?: boolean;
  readonly create?: string;
  readonly save?: string;
}

/** Flags, what they take and what they mean, for whoever builds the command line. */
export const flashFlags: readonly (readonly [flags: string, description: string])[] = [
  ['--site <file>', 'stamp this site file onto the card'],
  ['--yes', 'do not ask for the name of the device to be typed'],
  ['--erase-data', 'overwrite the encrypted data of a card that was used before'],
  ['--keep-data', 'leave the encrypted data of a card that was used before where it is'],
  ['--create <size>', 'make DEVICE as a file of this size (8G) when it is not there'],
  ['--save <folder>', 'where to save the header and recovery bundles of a used card (default: here)'],
];

async function ask(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await terminal.question(`${question} `);
  } finally {
    terminal.close();
  }
}

/** `flash IMAGE [DEVICE]`. @throws UserError, StepError */
export async function runFlash(
  image: string,
  device: string | undefined,
  flags: FlashFlags,
  log: Log,
): Promise<FlashResult> {
  if (flags.eraseData === true && flags.keepData === true) {
    throw new UserError('--erase-data and --keep-data cannot both be meant');
  }
  const data = flags.eraseData === true ? 'erase' : flags.keepData === true ? 'keep' : undefined;
  const options: FlashOptions = {
    image,
    ...(device === undefined ? {} : { device }),
    ...(flags.site === undefined ? {} : { site: flags.site }),
    ...(flags.yes === undefined ? {} : { yes: flags.yes }),
    ...(flags.create === undefined ? {} : { create: parseSize(flags.create) }),
    ...(flags.save === undefined ? {} : { save: flags.save }),
    ...(data === undefined ? {} : { data }),
  };
  const result = await flash(options, { runner: hostRunner, log, ...(process.stdin.isTTY ? { ask } : {}) });
  if (result.enrolment !== undefined) log({ kind: 'notice', text: `The enrolment token is in ${result.enrolment}` });
  return result;
}
