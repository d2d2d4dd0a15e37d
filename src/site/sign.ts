import { StepError, UserError } from '../core/errors.ts';
import { hostRunner } from '../host/runner.ts';

/** What the device asks for: device/amslpr_device/signature.py. */
export const NAMESPACE = 'amslpr-site';
export const SIGNATURE_FILE = '/site.yaml.sig';

/**
 * The signature (SSHSIG) over a site file by an ed25519 key: its private file, or the public one of a key that an agent
 * holds. @throws UserError when the key cannot sign
 */
export async function signSite(key: string, content: string): Promise<string> {
  const words = ['ssh-keygen', '-q', '-Y', 'sign', '-f', key, '-n', NAMESPACE];
  const { stdout } = await hostRunner.run(words, { input: content, timeout: 120 }).catch((cause: unknown) => {
    if (!(cause instanceof StepError)) throw cause;
    const said = cause.problems[0]?.hint ?? cause.message;
    throw new UserError({ message: `${key} cannot sign the site file`, hint: said }, { cause });
  });
  if (!stdout.startsWith('-----BEGIN SSH SIGNATURE-----\n')) {
    throw new UserError({ message: `${key} gave no signature`, hint: stdout.slice(0, 200) });
  }
  return stdout;
}
