import { StepError } from '../core/errors.ts';

/** Explains apt's refusals; its own lines stay in the message. */
export function explain(failure: StepError): StepError {
  const text = failure.problems.map((problem) => problem.hint ?? '').join('\n');
  const lines = text.split('\n').filter((line) => /^[EW]: /.test(line));
  const say = (message: string, hint: string): StepError =>
    new StepError({ message: `${message}\n${lines.join('\n')}`, hint }, { cause: failure });
  if (
    /not signed|NO_PUBKEY|couldn't be verified|signatures were invalid|BADSIG|no longer signed|OpenPGP signature verification failed/i.test(
      text,
    )
  ) {
    return say(
      'A package index is not signed by a key that is trusted, so nothing was taken from it',
      'Use a genuine Debian mirror, or name the keyring of your own archive.',
    );
  }
  if (/is expired|Valid-Until/i.test(text)) {
    return say(
      'A package index has expired, so it may hide security updates',
      'Choose a mirror that is kept up to date, and check the clock of this host.',
    );
  }
  if (/not valid yet/i.test(text)) return say('A package index is dated in the future', 'Set the clock of this host.');
  if (/Unable to locate package|has no installation candidate/i.test(text))
    return say('Debian has no such package', 'Correct its name in the configuration.');
  if (/unmet dependencies|Unable to correct problems|pkgProblemResolver/i.test(text))
    return say('These packages cannot be installed together', 'See what apt says above.');
  if (/Could not resolve|Could not connect|Failed to fetch|Temporary failure/i.test(text))
    return say(
      'The package indexes could not be fetched',
      'Check the network, or name another mirror: base: { kind: debian, mirror: URL }',
    );
  return failure;
}
