import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StepError } from '../core/errors.ts';

/** The two archives that Debian publishes packages in. */
export type DebianArchive = 'debian' | 'security';
/** One of these, or an archive that a base image brings, by the name of its sources file. Paths in a lock are relative to it. */
export type ArchiveName = string;

/** Where each archive is: an http(s) URL, or `file:`/`copy:` and a path; without a slash at the end. */
export type Mirrors = Readonly<Record<DebianArchive, string> & Record<ArchiveName, string>>;

export interface Suite {
  readonly archive: DebianArchive;
  readonly suite: string;
}

export const SUITES: readonly Suite[] = [
  { archive: 'debian', suite: 'trixie' },
  { archive: 'debian', suite: 'trixie-updates' },
  { archive: 'security', suite: 'trixie-security' },
];

/** firmware that Debian ships is in a component of its own; the Pi does not start without it. */
export const COMPONENTS = ['main', 'contrib', 'non-free', 'non-free-firmware'] as const;

const trim = (url: string): string => url.replace(/\/+$/, '');

/** The security archive beside a mirror: `…/debian` has `…/debian-security` next to it. */
export function mirrorsOf(mirror: string): Mirrors {
  const debian = trim(mirror.startsWith('/') ? `file:${mirror}` : mirror);
  return { debian, security: `${debian}-security` };
}

/** URLs of Debian archives in the text of apt sources, deb822 or one-line. */
export function mirrorsIn(text: string): string[] {
  const uris = [...text.matchAll(/^URIs:(.*)$/gm)].flatMap((match) => (match[1] ?? '').trim().split(/\s+/));
  const lines = [...text.matchAll(/^deb\s+(?:\[[^\]]*\]\s*)?(\S+)/gm)].map((match) => match[1] ?? '');
  return [...uris, ...lines].map(trim);
}

async function aptSources(): Promise<string> {
  const folder = '/etc/apt/sources.list.d';
  const names = await readdir(folder).catch(() => []);
  const files = [
    '/etc/apt/sources.list',
    ...names.filter((name) => /\.(list|sources)$/.test(name)).map((name) => join(folder, name)),
  ];
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')));
  return texts.join('\n');
}

function pick(urls: readonly string[]): Mirrors | undefined {
  const debian = urls.find((url) => /\/debian$/.test(url));
  if (debian === undefined) return undefined;
  const security = urls.find((url) => /\/debian-security$/.test(url));
  return { debian, security: security ?? `${debian}-security` };
}

/** The mirrors to use: the given one, else those of this host's apt, else the one that mmdebstrap falls back to. */
export async function findMirrors(given?: string): Promise<Mirrors> {
  if (given !== undefined) return mirrorsOf(given);
  const fromHost = pick(mirrorsIn(await aptSources()));
  if (fromHost !== undefined) return fromHost;
  const program = await readFile('/usr/bin/mmdebstrap', 'utf8').catch(() => '');
  const built = pick(
    [...program.matchAll(/https?:\/\/[\w.-]+\/debian(?:-security)?(?=["'\s])/g)].map((match) => match[0]),
  );
  if (built !== undefined) return built;
  throw new StepError({
    message: 'No Debian mirror is known: the apt sources of this host name none, and mmdebstrap is not installed',
    hint: 'Name one in the configuration: base: { kind: debian, mirror: URL }',
  });
}
