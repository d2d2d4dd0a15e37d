import type {
  AbsentCheck,
  DirectoryCheck,
  FileCheck,
  LinkCheck,
  PackageCheck,
  RunCheck,
  ScanCheck,
  UnitCheck,
} from './check.ts';
import type { AbsPath, FileSpec, Mode, Owner } from './contribution.ts';
import type { GuideAnswer } from './stage.ts';

// Shorthand that lets a stage read like a page: one fact a line, its title first.

type Rest<C> = Omit<C, 'kind' | 'title'>;

/** A fact about one file of the image; `path` may hold `*`. */
export const file = (title: string, path: AbsPath, rest: Omit<Rest<FileCheck>, 'path'> = {}): FileCheck => ({
  kind: 'file',
  title,
  path,
  ...rest,
});
export const link = (title: string, path: AbsPath, target: string, rest: Partial<Rest<LinkCheck>> = {}): LinkCheck => ({
  kind: 'link',
  title,
  ...rest,
  path,
  target,
});
export const directory = (title: string, path: AbsPath, rest: Omit<Rest<DirectoryCheck>, 'path'>): DirectoryCheck => ({
  kind: 'directory',
  title,
  path,
  ...rest,
});
export const absent = (
  title: string,
  path: AbsPath | readonly AbsPath[],
  rest: Omit<Rest<AbsentCheck>, 'path'> = {},
): AbsentCheck => ({ kind: 'absent', title, path, ...rest });
export const unit = (
  title: string,
  name: string,
  is: UnitCheck['is'],
  rest: Omit<Rest<UnitCheck>, 'unit' | 'is'> = {},
): UnitCheck => ({ kind: 'unit', title, unit: name, is, ...rest });
export const installed = (
  title: string,
  name: string,
  rest: Omit<Rest<PackageCheck>, 'package' | 'is'> = {},
): PackageCheck => ({ kind: 'package', title, package: name, is: 'installed', ...rest });
export const scan = (title: string, name: string, rest: Omit<Rest<ScanCheck>, 'scan'> = {}): ScanCheck => ({
  kind: 'scan',
  title,
  scan: name,
  ...rest,
});
/** A fact about the booted device. `command` is split at spaces: no argument of it may hold one. */
export const run = (title: string, command: string, rest: Omit<Rest<RunCheck>, 'run'>): RunCheck => ({
  kind: 'run',
  title,
  run: command.split(' '),
  ...rest,
});

/** An item of the guide that the image itself meets. `oneKind`: why it has checks of one kind alone. */
export const built = (how: string, oneKind?: string): GuideAnswer => ({
  by: 'built',
  how,
  ...(oneKind === undefined ? {} : { oneKind }),
});
/** An item of the guide that people meet, by docs/runbooks/<name>.md. */
export const runBook = (name: string, how: string): GuideAnswer => ({ by: 'run-book', runBook: name, how });

export const text = (path: AbsPath, content: string, mode: Mode = '0644', owner: Owner = 'root:root'): FileSpec => ({
  path,
  mode,
  owner,
  content: { kind: 'text', text: content },
});
export const folder = (path: AbsPath, mode: Mode = '0755', owner: Owner = 'root:root'): FileSpec => ({
  path,
  mode,
  owner,
  content: { kind: 'directory' },
});
export const symlink = (path: AbsPath, target: string): FileSpec => ({
  path,
  mode: '0777',
  owner: 'root:root',
  content: { kind: 'symlink', target },
});

/** A text as a regular expression matches it, letter by letter. */
export const literal = (plain: string): string => plain.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');

/** The words of one text, so that long lists of names stay short to read. */
export const words = (list: string): string[] => list.split(/\s+/).filter((word) => word !== '');
