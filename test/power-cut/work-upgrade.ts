import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseLock } from '../../src/engine/lock.ts';
import { endArchiveKey, serveArchives, sourceFor } from '../helpers/archive.ts';
import { makeKernelUpgrade } from '../helpers/archive-upgrade.ts';
import { doneInGuest, quiet, type Session, type Work } from './work.ts';

const lockFile = fileURLToPath(new URL('../../config/amslpr.lock.yaml', import.meta.url));
const SOURCE = '/etc/apt/sources.list.d/upgrade-test.sources';
const OWN_CONF = '/etc/apt/apt.conf.d/99upgrade-test';
/** Seconds. */
const PATIENCE = 5000;

/** `unattended-upgrade` of a newer kernel from a local signed archive, which is made in `folder`. */
export async function upgradeWork(folder: string): Promise<Work> {
  const place = join(folder, 'archive');
  await rm(place, { recursive: true, force: true });
  const upgrade = await makeKernelUpgrade(place, parseLock(await readFile(lockFile, 'utf8'), lockFile));
  const server = await serveArchives(place);
  const source = sourceFor(`http://10.0.2.2:${server.port}/good`, upgrade.key.publicKey);

  const only = `-o Dir::Etc::sourcelist=${SOURCE} -o Dir::Etc::sourceparts=-`;

  async function prepare(session: Session): Promise<void> {
    await quiet(session);
    await session.device.sudo(['tee', SOURCE], { input: source, timeout: 900 });
    const once = `echo 'Unattended-Upgrade::MinimalSteps "false";' > ${OWN_CONF}`;
    const update = `${once}; rm -rf /var/lib/apt/lists/*; apt-get -q update --error-on=any ${only} && sync`;
    await doneInGuest(session, update, 900);
  }

  async function run(session: Session): Promise<void> {
    const said = await doneInGuest(session, 'unattended-upgrade -v; dpkg-query --show linux-image-arm64', PATIENCE);
    const version = upgrade.versions.get('linux-image-arm64');
    if (!said.includes(`linux-image-arm64\t${version}`)) throw new Error(`nothing was upgraded: ${said.slice(-2000)}`);
  }

  return {
    prepare,
    run,
    async finish(session) {
      await doneInGuest(session, 'dpkg --audit || true; dpkg --configure -a', PATIENCE);
      await prepare(session);
      await run(session);
      const said = await doneInGuest(
        session,
        'if [ -z "$(dpkg --audit)" ]; then echo audit clean; else dpkg --audit || true; fi',
        900,
      );
      return said.includes('audit clean') ? [] : [`dpkg --audit: ${said}`];
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await endArchiveKey(join(place, 'gpg'));
    },
  };
}
