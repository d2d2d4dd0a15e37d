import type { AbsPath, BroughtSource, FileSpec } from '../../src/core/contribution.ts';
import { UserError } from '../../src/core/errors.ts';
import { folder, symlink } from '../../src/core/shorthand.ts';
import type { SourceFile, SourceFiles } from '../../src/core/stage.ts';
import { FORMS } from '../../src/core/values.ts';

const state = '/var/lib/amslpr';

/**
 * The application's files at their place in `release`, all 644, owned by root. What the application writes becomes links
 * into its state directory, because AMSLPR looks for all of it beside its code.
 */
export function releaseFiles(source: string, release: AbsPath, files: readonly SourceFile[]): readonly FileSpec[] {
  if (!files.some(({ path }) => path === 'src/web/app.py') || !files.some(({ path }) => path === 'config.json')) {
    throw new UserError({
      message: `${source} does not look like AMSLPR: src/web/app.py and config.json must both be there`,
      hint: 'Set application.source to the top folder of the application, or an archive of it.',
    });
  }
  const specs = files.map((file) => copy(release, file));
  const folders = new Set(specs.flatMap(({ path }) => parents(path, release)));
  return [
    folder(release),
    ...[...folders].sort().map((path) => folder(path as AbsPath)),
    ...specs,
    symlink(`${release}/config.json`, '/etc/amslpr/config.json'),
    symlink(`${release}/data`, `${state}/data`),
    symlink(`${release}/config`, `${state}/config`),
    symlink(`${release}/backups`, `${state}/backups`),
  ];
}

function copy(release: AbsPath, { path, bytes }: SourceFile): FileSpec {
  const content = { kind: 'bytes', bytes } as const;
  if (path === 'config.json') return { path: '/etc/amslpr/config.json', mode: '0640', owner: 'root:amslpr', content };
  // `config` is a link to what the application may change: what is there first is kept beside it, and copied on start.
  const place = path.startsWith('config/') ? `defaults/${path.slice('config/'.length)}` : path;
  return { path: `${release}/${place}`, mode: '0644', owner: 'root:root', content };
}

function parents(path: string, above: string): string[] {
  const parent = path.slice(0, path.lastIndexOf('/'));
  return parent.length > above.length && parent.startsWith(above) ? [...parents(parent, above), parent] : [];
}

/** What was taken, as the plan and the device name it. @throws UserError for a version that no file should hold */
export function broughtSource(
  { files, digest, version: found = 'unknown' }: SourceFiles,
  source: string | undefined,
  version = found,
): BroughtSource {
  if (!new RegExp(FORMS.version[0]).test(version)) {
    throw new UserError({
      message: `${source} says that its version is ${JSON.stringify(version.slice(0, 100))}`,
      hint: 'Set application.version: letters, digits and . _ + ~ / - only, 64 at most.',
    });
  }
  const origin = source === undefined ? 'stand-in' : 'operator';
  return { name: 'application', origin, version, sha256: digest, files: files.length };
}

/** The file RELEASE, which `amslpr-device app list` reads. */
export const releaseText = ({ sha256, version, origin, files }: BroughtSource): string =>
  `sha256: ${sha256}\nversion: ${version}\nsource: ${origin}\nfiles: ${files}\n`;
