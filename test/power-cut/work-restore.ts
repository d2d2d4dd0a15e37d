import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { doneInGuest, quiet, type Session, type Work } from './work.ts';
import { archives, fetched, HEALTHY } from './work-backup.ts';

const PATIENCE = 1800;

/** A database, a file of the application on the same partition, and its configuration, which is on root. */
const PLACES = `
import glob, json, os, sqlite3, sys
BASES = glob.glob('/var/lib/amslpr/data/*.db')
FILES = ['/var/lib/amslpr/config/mark.json', '/etc/amslpr/config.json']
`;

/** Writes one word into each of them. */
const mark = (word: string): string => `python3 - <<'END' && chown amslpr: /var/lib/amslpr/config/mark.json && sync
${PLACES}
for path in BASES:
    base = sqlite3.connect(path)
    base.execute('CREATE TABLE IF NOT EXISTS power_cut (word TEXT)')
    base.execute('DELETE FROM power_cut')
    base.execute('INSERT INTO power_cut VALUES (?)', ('${word}',))
    base.commit()
for path in FILES:
    found = json.load(open(path)) if os.path.exists(path) else {}
    with open(path, 'w') as file:
        json.dump({**found, 'power_cut': '${word}'}, file)
END`;

const MARKS = `python3 - <<'END'
${PLACES}
for path in BASES:
    print('mark', sqlite3.connect(path).execute('SELECT word FROM power_cut').fetchone()[0])
for path in FILES:
    print('mark', json.load(open(path))['power_cut'])
END`;

/** A restore that is streamed over SSH, of a backup that was made before the data changed. */
export async function restoreWork(folder: string): Promise<Work> {
  const clear = join(folder, 'backup.tar.gz');

  async function run({ device }: Session): Promise<void> {
    const input = (await readFile(clear)).toString('base64');
    await device.sudo(['sh', '-c', 'base64 -d | amslpr-device restore -'], { input, timeout: PATIENCE });
  }

  /** The words of all places: one, unless they are a mixture. */
  const words = async (session: Session): Promise<string> => {
    const said = await doneInGuest(session, MARKS, PATIENCE);
    return [...new Set([...said.matchAll(/^mark (\w+)$/gm)].map(([, word]) => word))].join(' and ');
  };

  return {
    async prepare(session) {
      await quiet(session);
      await doneInGuest(session, `${mark('backup')}\nsystemctl start amslpr-backup.service`, PATIENCE);
      await fetched(session, (await archives(session)).at(-1) ?? '', join(folder, 'admin'), clear);
      await doneInGuest(session, mark('later'), PATIENCE);
    },
    run,
    async finish(session) {
      const wrong: string[] = [];
      const healthy = await doneInGuest(session, HEALTHY, PATIENCE);
      if (!/\.db ok/.test(healthy) || /\.db (?!ok)/.test(healthy)) wrong.push(`the database: ${healthy}`);
      const found = await words(session);
      if (found !== 'backup' && found !== 'later') wrong.push(`the data is a mixture: ${found}`);
      await run(session);
      const again = await words(session);
      if (again !== 'backup') wrong.push(`after another restore: ${again}`);
      return wrong;
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}
