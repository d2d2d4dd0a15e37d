import { readFile } from 'node:fs/promises';
import { lastLines } from './overlay.ts';

/** How often the console told that an SSH server was started. */
export async function sshAnnouncements(consoleLog: string): Promise<number> {
  const text = await readFile(consoleLog, 'latin1').catch(() => '');
  return text.match(/Started [^\n]*(?:ssh\.service|Secure Shell server)/g)?.length ?? 0;
}

/** What a person is shown when SSH does not answer: the console's end and STATUS.TXT. */
export async function lastWords(consoleLog: string, status: Buffer | undefined): Promise<string> {
  const text = status?.toString('utf8').trim() ?? '';
  const lines = [`Last lines of the console:\n${await lastLines(consoleLog, 30)}`];
  return [...lines, ...(text === '' ? [] : [`STATUS.TXT:\n${text}`])].join('\n\n');
}
