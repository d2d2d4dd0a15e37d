import { hostRunner } from '../../src/host/runner.ts';
import { findBootPartition } from '../../src/site/boot-partition.ts';

/** Takes the site file off a pulled card: another one is stamped only where there is none. */
export async function removeSite(card: string): Promise<void> {
  const { offset } = await findBootPartition(card);
  const options = { env: { MTOOLSRC: '/dev/null' }, timeout: 60 };
  await hostRunner.run(['mdel', '-i', `${card}@@${offset}`, '::site.yaml'], options);
}
