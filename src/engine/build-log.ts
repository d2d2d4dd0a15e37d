import { createWriteStream } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { Log, LogEntry } from '../core/log.ts';
import type { Cache } from '../host/cache.ts';

export interface KeptLog {
  readonly file: string;
  /** Passes entries on, and writes them down. */
  readonly log: Log;
  text(): Promise<string>;
  close(): Promise<void>;
  /** The file has been put elsewhere and is not needed here. */
  drop(): Promise<void>;
}

function line(entry: LogEntry): string {
  if (entry.kind === 'output') return entry.text;
  if (entry.kind === 'step-start') return `\n== ${entry.step}\n`;
  if (entry.kind === 'step-end')
    return `== ${entry.step}: ${entry.seconds.toFixed(1)} s${entry.ok ? '' : ', failed'}\n`;
  if (entry.kind === 'notice' || entry.kind === 'warning') return `${entry.kind}: ${entry.text}\n`;
  return '';
}

/** How many logs of builds that failed are kept. */
const KEPT = 20;

async function dropOldLogs(folder: string): Promise<void> {
  const logs: { readonly path: string; readonly time: number }[] = [];
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && name.endsWith('.log')) logs.push({ path, time: found.mtimeMs });
  }
  for (const { path } of logs.sort((a, b) => b.time - a.time).slice(KEPT)) await rm(path, { force: true });
}

/** A log that is also kept in a file of the cache, where it can be read after a failure. */
export async function keepLog(cache: Cache, name: string, tell: Log): Promise<KeptLog> {
  const folder = join(cache.root, 'logs');
  await mkdir(folder, { recursive: true });
  await dropOldLogs(folder);
  const file = join(folder, `${name}.${process.pid}.log`);
  const stream = createWriteStream(file);
  // A full disk must not end the build by way of its log; what fills the disk fails by itself.
  stream.on('error', () => undefined);
  let dropped = false;
  const close = async (): Promise<void> => {
    if (!stream.writableEnded) stream.end();
    await finished(stream).catch(() => undefined);
    if (dropped) await rm(file, { force: true });
  };
  return {
    file,
    log: (entry) => {
      tell(entry);
      const text = line(entry);
      if (text !== '' && !stream.writableEnded) stream.write(text);
    },
    text: async () => {
      await new Promise<void>((resolve) => {
        stream.write('', () => resolve());
      });
      return readFile(file, 'utf8');
    },
    close,
    drop: async () => {
      dropped = true;
    },
  };
}
