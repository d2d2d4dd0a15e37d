import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { codeFrame } from '../core/code-frame.ts';
import { type Problem, StepError, UserError } from '../core/errors.ts';
import { hostRunner } from '../host/runner.ts';

export interface Site {
  readonly name: string;
  readonly hostname: string;
  readonly admins: readonly { readonly name: string; readonly keys: readonly string[] }[];
  readonly network?: { readonly wired?: { readonly address?: string } };
  readonly unlock: { readonly method: string; readonly pin?: boolean };
  readonly data?: { readonly existing: 'keep' | 'erase' | 'adopt' };
}

export interface ValidSite {
  readonly site: Site;
  /** What goes onto the card: the same facts in one fixed spelling. */
  readonly canonical: string;
  /** SHA-256 of `canonical`, in hex. */
  readonly digest: string;
}

interface Answer {
  readonly ok: boolean;
  readonly site?: Site;
  readonly canonical?: string;
  readonly digest?: string;
  readonly problems: readonly { line?: number; column?: number; message: string; hint?: string }[];
}

/** pyenv and virtual environments may put another python3 on PATH; the device's code is tried with the system's. */
const PYTHON = '/usr/bin/python3';
const HERE = dirname(fileURLToPath(import.meta.url));
/** No site is this big; more would only be a way to keep the host busy. */
const MAX_SIZE = 1024 * 1024;

/** The project's folder, also when this runs bundled in dist/. */
async function deviceFolder(): Promise<string> {
  for (const up of ['../..', '..']) {
    const folder = join(HERE, up, 'device');
    if (await stat(join(folder, 'amslpr_device/site_file.py')).catch(() => undefined)) return folder;
  }
  throw new StepError({ message: 'device/amslpr_device/site_file.py is missing: the installation is not complete' });
}

/**
 * Judges a site file with the very validator that the device uses.
 * @throws UserError with every problem of the file at once, each at its line
 */
export async function validateSite(file: string): Promise<ValidSite> {
  const found = await stat(file).catch(() => undefined);
  if (found === undefined || !found.isFile()) {
    throw new UserError({ message: `${file}: there is no such site file`, hint: 'Make one with: init-site' });
  }
  if (found.size > MAX_SIZE)
    throw new UserError(`${file} has ${found.size} bytes; a site file has at most ${MAX_SIZE}`);
  return validateSiteText(await readFile(file), file);
}

/** The same for text in memory; `shown` is the name in messages. */
export async function validateSiteText(text: string | Uint8Array, shown: string): Promise<ValidSite> {
  const { stdout } = await hostRunner.run([PYTHON, '-B', '-m', 'amslpr_device.site_file', '-', '--json'], {
    env: { PYTHONPATH: await deviceFolder() },
    input: text,
    okCodes: [0, 1, 2],
    timeout: 20,
  });
  const answer = parseAnswer(stdout);
  const { site, canonical, digest } = answer;
  if (answer.ok && site !== undefined && canonical !== undefined && digest !== undefined) {
    return { site, canonical, digest };
  }
  const source = typeof text === 'string' ? text : Buffer.from(text).toString('utf8');
  throw new UserError(answer.problems.map((problem) => located(problem, shown, source)));
}

function parseAnswer(stdout: string): Answer {
  try {
    const answer: unknown = JSON.parse(stdout);
    if (typeof answer === 'object' && answer !== null && 'ok' in answer && 'problems' in answer)
      return answer as Answer;
  } catch {
    // Told below, with what came instead.
  }
  throw new StepError({ message: 'The site-file validator gave no answer', hint: stdout.slice(0, 500) });
}

function located(problem: Answer['problems'][number], file: string, source: string): Problem {
  const { line, column, message, hint } = problem;
  const where = { file, ...(line ? { line } : {}), ...(line && column ? { column } : {}) };
  return {
    message,
    where,
    ...(hint ? { hint } : {}),
    ...(line ? { frame: codeFrame(source, line, column) } : {}),
  };
}
