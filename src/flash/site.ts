import { open } from 'node:fs/promises';
import { personalizeInPlace } from '../site/personalize.ts';
import { validateSite } from '../site/validate.ts';

export interface PreparedSite {
  /** Puts the site onto a card and gives the file, readable by its owner alone, that keeps the enrolment token. */
  stamp(path: string): Promise<string>;
}

async function writeToken(base: string, record: object): Promise<string> {
  for (let copy = 1; ; copy++) {
    const path = `${base}${copy === 1 ? '' : `-${copy}`}.enrol.json`;
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

/** Judges a site file before anything is written. @throws UserError with all its problems. */
export async function prepareSite(siteFile: string): Promise<PreparedSite> {
  const given = await validateSite(siteFile);
  return {
    async stamp(path) {
      const { site, token } = await personalizeInPlace(path, given);
      const card = await open(path, 'r');
      await card.sync();
      await card.close();
      const { name, hostname } = site.site;
      const base = siteFile.replace(/\.ya?ml$/, '');
      return writeToken(base, { name, hostname, digest: site.digest, token });
    },
  };
}
