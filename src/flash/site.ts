import { open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isFat, SECTOR } from '../audit/mbr.ts';
import { UserError } from '../core/errors.ts';
import { refuseNames, stampBoot } from '../site/personalize.ts';
import { signSite } from '../site/sign.ts';
import { writeAccess } from '../site/ssh-config.ts';
import { type ValidSite, validateSite } from '../site/validate.ts';
import type { ImageFacts } from './image-facts.ts';
import { type Target, window } from './target.ts';

export interface PreparedSite {
  /**
   * Puts the site onto the boot partition of a card that has no partition table yet, reads it back from the medium, and
   * gives the file, readable by its owner alone, that keeps the enrolment token. @throws StepError
   */
  stamp(target: Target): Promise<string>;
  /** Writes the ssh_config for the device beside that file, and gives its path. */
  access(enrolment: string): Promise<string>;
}

const TOKEN_FILE = '.enrol.json';

async function writeToken(base: string, record: object): Promise<string> {
  for (let copy = 1; ; copy++) {
    const path = `${base}${copy === 1 ? '' : `-${copy}`}${TOKEN_FILE}`;
    const file = await open(path, 'wx', 0o600).catch((cause: unknown) => {
      // Each card has a token of its own: an earlier card's file stays.
      if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') return undefined;
      throw cause;
    });
    if (file === undefined) continue;
    await file.writeFile(`${JSON.stringify(record, undefined, 2)}\n`);
    await file.sync();
    await file.close();
    return path;
  }
}

/** The token comes after minutes of writing, and without its file the card is worth nothing. @throws UserError */
async function tryPlace(base: string): Promise<void> {
  const trial = `${base}${TOKEN_FILE}.trial-${process.pid}`;
  try {
    await (await open(trial, 'wx', 0o600)).close();
    await rm(trial);
  } catch (cause) {
    throw new UserError(
      {
        message: `the enrolment token cannot be written to ${dirname(base)}, beside the site file`,
        hint: 'Copy the site file to a folder that you may write to.',
      },
      { cause },
    );
  }
}

/**
 * What would leave the device waiting, or lose data that was to be kept, is told before anything is written. A site file
 * that says nothing says keep.
 */
function refuseContradiction(data: 'erase' | 'keep', { site }: ValidSite): void {
  const existing = site.data?.existing ?? 'keep';
  if ((data === 'keep') === (existing === 'adopt')) return;
  throw new UserError({
    message: `--${data}-data, and the site file says \`existing: ${existing}\`: the two contradict each other`,
    hint:
      data === 'keep'
        ? 'Write `data: existing: adopt` into the site file: then the device takes the data over.'
        : 'Write `data: existing: keep` into the site file: nothing is left to adopt.',
  });
}

/**
 * Judges a site file, and whether the image takes one, before anything is written.
 * @throws UserError with all problems of the file, or why the image takes none.
 */
export async function prepareSite(
  siteFile: string,
  image: string,
  facts: ImageFacts,
  { data, sign }: { readonly data?: 'erase' | 'keep' | undefined; readonly sign?: string | undefined } = {},
): Promise<PreparedSite> {
  const given = await validateSite(siteFile);
  const base = siteFile.replace(/\.ya?ml$/, '');
  if (data !== undefined) refuseContradiction(data, given);
  await tryPlace(base);
  // Tried before anything is written: the passphrase may be wrong, or the key not there.
  if (sign !== undefined) await signSite(sign, '');
  const boot = facts.disk.partitions.find(isFat);
  if (boot === undefined) throw new UserError(`${image} takes no site file: it has no FAT partition to boot from`);
  refuseNames(facts.bootFiles, image);
  const [offset, size] = [boot.start * SECTOR, boot.sectors * SECTOR];
  return {
    async stamp(target) {
      const place = { image: target.name, offset, size };
      const { site, token } = await stampBoot(place, given, image, {
        bytes: window(target, offset, size),
        sign,
      });
      const { name, hostname } = site.site;
      return writeToken(base, { name, hostname, digest: site.digest, token });
    },
    access: (enrolment) => writeAccess(enrolment.slice(0, -TOKEN_FILE.length), given.site),
  };
}
