import { lstatSync, readFileSync, realpathSync } from 'node:fs';
import { UserError } from '../core/errors.ts';
import { runSync } from '../host/run-sync.ts';
import type { Found, Wanted } from './source-files.ts';

/** The files of a checkout that git knows, as they lie there now: also changed ones, which the version tells of. */
export function readCheckout(base: string, wanted: Wanted): Found {
  const listed = git(base, ['ls-files', '-z', '--cached']);
  if (listed.code !== 0) {
    throw new UserError({
      message: `git cannot read the checkout ${base}: ${listed.said.split('\n')[0]}`,
      hint: listed.said.split('\n').slice(1).join(' ').trim() || 'Give an archive, or a folder without .git.',
    });
  }
  const real = realpathSync(base);
  const paths = listed.stdout.toString().split('\0').filter(wanted);
  const files = paths.flatMap((path) => {
    const file = `${base}/${path}`;
    const found = lstatSync(file, { throwIfNoEntry: false });
    // Removed in the checkout.
    if (found === undefined && !path.includes('\ufffd')) return [];
    if (found?.isFile() !== true || realpathSync(file) !== `${real}/${path}`) {
      throw new UserError({
        message: `${file} is a link, a submodule, or no file at all`,
        hint: 'Replace it by what it stands for, or give an archive that has it.',
      });
    }
    return [{ path, bytes: readFileSync(file) }];
  });
  const described = git(base, ['describe', '--tags', '--always', '--dirty']);
  return { files, version: described.code === 0 ? described.stdout.toString().trim() : undefined };
}

/** Without the checkout's own helper for changed files, which would be a program of somebody else. */
const git = (base: string, words: readonly string[]) =>
  runSync(['git', '-c', 'core.fsmonitor=false', '-C', base, ...words]);
