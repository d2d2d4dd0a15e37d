import { type Identity, type Inspected, inspect, published } from './inspect.ts';
import type { Outcome } from './machine.ts';
import type { Recording } from './record.ts';

/**
 * The step at whose beginning each thing has been seen by somebody, or may have been: from then on it must not change.
 * sshd starts before `partitions`, the bundle counts when the container is live, nginx starts after all.
 */
const FIXED: Readonly<Record<keyof Identity, string>> = {
  ...{ machineId: 'host-key', hostKey: 'partitions', container: 'sudo-passwords', bundle: 'sudo-passwords' },
  ...{ tlsKey: 'secrets', flaskKey: 'backup-recipients', fernetKey: 'backup-recipients' },
};
export const FIELDS = Object.keys(FIXED) as (keyof Identity)[];

/** What a cut card says to its operator before the next start. */
export type Told = Partial<Pick<Identity, 'hostKey' | 'tlsKey' | 'container' | 'bundle'>>;

/** The report of a card, where there is a whole one. */
export async function toldBy(card: string): Promise<Told> {
  const { report } = await published(card).catch(() => ({ report: undefined }));
  if (report === undefined) return {};
  return {
    hostKey: report.ssh_host_key.split(' ').slice(0, 2).join(' '),
    ...{ tlsKey: report.tls_key_sha256, container: report.container },
    ...(report.bundle === null ? {} : { bundle: report.bundle.sha256 }),
  };
}

/** What of the recorded device must still be there when the log was cut at this byte. */
export function fixedAt({ marks, identity }: Recording, logBytes: number): Partial<Identity> {
  const begun = (step: string): boolean => marks.some((mark) => mark.step === step && mark.logBytes <= logBytes);
  return Object.fromEntries(FIELDS.filter((field) => begun(FIXED[field])).map((field) => [field, identity[field]]));
}

/** Looks at a card whose device went on after a cut; `before` must not have changed. */
export async function judge(
  outcome: Outcome,
  card: string,
  folder: string,
  key: string,
  before: readonly Partial<Identity>[],
): Promise<Inspected> {
  if (outcome.state !== 'ready') {
    const said = outcome.console.split('\n').filter((line) => /amslpr|fail|error|panic/i.test(line));
    const last = said.slice(-6).map((line) => line.trim().slice(0, 300));
    const found = await inspect(card, folder, key);
    return { identity: found.identity, wrong: [`ended as ${outcome.state}: ${last.join(' | ')}`] };
  }
  const { identity, wrong } = await inspect(card, folder, key);
  const changed = before.flatMap((known) =>
    FIELDS.filter((field) => known[field] !== undefined && known[field] !== identity[field]),
  );
  return {
    identity,
    wrong: [...wrong, ...[...new Set(changed)].map((field) => `${field} is another one than before`)],
  };
}

/** Keys that two devices have both made: all that were made anew after a cut must differ. */
export function repeated(found: readonly Identity[], recorded: Identity): string[] {
  return FIELDS.flatMap((field) => {
    const values = found.map((one) => one[field]).filter((value) => value !== '' && value !== recorded[field]);
    const twice = values.filter((value, at) => values.indexOf(value) !== at);
    return twice.length === 0 ? [] : [`${field} was made twice: ${twice[0]}`];
  });
}
