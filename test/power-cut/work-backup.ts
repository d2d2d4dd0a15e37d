import { rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { hostRunner } from '../../src/host/runner.ts';
import { doneInGuest, quiet, type Session, type Work } from './work.ts';

const PATIENCE = 1800;
const FOLDER = '/var/backups/amslpr';
const SUFFIX = '.tar.gz.age';

/** The application runs, and SQLite finds its data whole. */
export const HEALTHY = [
  'systemctl start amslpr.service',
  `python3 -c "
import glob, sqlite3
for path in glob.glob('/var/lib/amslpr/data/*.db'):
    print(path, sqlite3.connect('file:' + path + '?mode=ro', uri=True).execute('PRAGMA integrity_check').fetchone()[0])
"`,
].join(' && ');

/** The nightly backup. `identity`: the administrator's key, for which the archives are. */
export async function backupWork(folder: string): Promise<Work> {
  const identity = join(folder, 'admin');

  async function run(session: Session): Promise<void> {
    await doneInGuest(session, 'systemctl start amslpr-backup.service', PATIENCE);
  }

  return {
    async prepare(session) {
      await quiet(session);
      // An earlier one, which must stay good.
      await run(session);
    },
    run,
    async finish(session) {
      const wrong: string[] = [];
      const healthy = await doneInGuest(session, HEALTHY, PATIENCE);
      if (!/\.db ok/.test(healthy) || /\.db (?!ok)/.test(healthy)) wrong.push(`the database: ${healthy}`);
      await doneInGuest(session, 'amslpr-device backup verify', PATIENCE);
      const before = await archives(session);
      await run(session);
      await doneInGuest(session, 'amslpr-device backup verify', PATIENCE);
      const after = await archives(session);
      if (after.length !== before.length + 1)
        wrong.push(`${before.length} archives, ${after.length} after another backup`);
      for (const name of after) {
        const problem = await problemOf(session, name, identity);
        if (problem !== '') wrong.push(`${name}: ${problem}`);
      }
      return wrong;
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** Everything that has the name of an archive, whether the device lists it or not. */
export async function archives({ device }: Session): Promise<string[]> {
  const listed = await device.sudo(['find', FOLDER, '-name', `amslpr-*${SUFFIX}`], { timeout: 600 });
  return listed
    .split('\n')
    .flatMap((line) => /\/([^/]+)\.tar\.gz\.age$/.exec(line)?.[1] ?? [])
    .sort();
}

/** Fetches an archive as the operator does, and decrypts it into `out`. */
export async function fetched({ device }: Session, name: string, identity: string, out: string): Promise<void> {
  const script = `amslpr-device backup cat ${name} | base64 -w 0`;
  const text = await device.sudo(['sh', '-c', script], { timeout: 900 });
  await writeFile(`${out}.age`, Buffer.from(text, 'base64'));
  await hostRunner.run(['age', '-d', '-i', identity, '-o', out, `${out}.age`], { timeout: 60 });
  await rm(`${out}.age`);
}

/** What keeps an archive from being a whole backup; empty when nothing does. */
async function problemOf(session: Session, name: string, identity: string): Promise<string> {
  const out = join(dirname(session.console), 'archive.tar.gz');
  try {
    await rm(out, { force: true });
    await fetched(session, name, identity, out);
    const { stdout } = await hostRunner.run(['tar', '-tzf', out], { timeout: 60 });
    return /^manifest\.json$/m.test(stdout) ? '' : 'it has no manifest';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await rm(out, { force: true });
  }
}
