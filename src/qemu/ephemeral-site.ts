import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hostRunner } from '../host/runner.ts';
import { type SiteAnswers, siteText } from '../site/site-text.ts';
import { type ValidSite, validateSiteText } from '../site/validate.ts';
import type { SshTarget } from './ssh.ts';

export interface EphemeralSite extends SshTarget {
  readonly site: ValidSite;
}

/** The method, with what it needs; and a Wi-Fi, which no guest has, for its passphrase. */
export type UnlockChoice = Pick<SiteAnswers, 'unlock' | 'pin' | 'tang' | 'wifi'> & {
  /** Name of the admin. */
  readonly admin?: string;
  /** What else the site file says. */
  readonly edit?: (text: string) => string;
};

/** A site that lives as long as `folder`: one admin with a fresh key, which also opens the recovery bundle. */
export async function ephemeralSite(
  folder: string,
  unlock: UnlockChoice = { unlock: 'card' },
  hostname = 'drive',
): Promise<EphemeralSite> {
  const identity = join(folder, 'admin');
  await hostRunner.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'test-drive', '-f', identity]);
  const key = (await readFile(`${identity}.pub`, 'utf8')).trim();
  const { admin = 'driver', edit = (text: string) => text, ...answers } = unlock;
  const text = siteText({
    name: 'Test drive',
    hostname,
    timezone: 'UTC',
    admins: [{ name: admin, keys: [key] }],
    recipients: [],
    singleRecipientAccepted: 'Test drive',
    tlsNames: [`${hostname}.local`],
    ...answers,
  });
  return { user: admin, identity, site: await validateSiteText(edit(text), 'the site of the test drive') };
}
