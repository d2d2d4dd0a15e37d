import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { UserError } from '../core/errors.ts';
import type { SourceFile, SourceFiles } from '../core/stage.ts';

/**
 * Reads a source folder for `StageContext.sourceFiles`. A relative `folder` is below `root`. Links are refused: what they
 * point to is not what somebody who reads the folder would expect to find in the image.
 */
export function sourceFiles(root: string, folder: string, include: readonly string[], exclude?: RegExp): SourceFiles {
  const base = resolve(root, folder);
  if (!statSync(base, { throwIfNoEntry: false })?.isDirectory()) {
    throw new UserError({
      message: `The source folder ${folder} does not exist or is not a folder`,
      hint: 'Give the path of a folder that holds the application, with src/ in it.',
    });
  }
  const excluded = (path: string) => exclude !== undefined && path.split('/').some((part) => exclude.test(part));
  const found: SourceFile[] = [];
  walk(base, '', (path, executable) => {
    const wanted = include.some((entry) => path === entry || path.startsWith(`${entry}/`));
    if (!wanted || excluded(path)) return;
    found.push({ path, executable, sha256: sha256(readFileSync(`${base}/${path}`)) });
  });
  const files = found.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { files, digest: sha256(files.map((file) => `${file.sha256}  ${file.path}\n`).join('')) };

  function walk(directory: string, prefix: string, visit: (path: string, executable: boolean) => void): void {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = prefix + entry.name;
      const partOfInclude = include.some(
        (wanted) => path === wanted || path.startsWith(`${wanted}/`) || wanted.startsWith(`${path}/`),
      );
      if (!partOfInclude || excluded(path)) continue;
      if (entry.isDirectory()) walk(`${directory}/${entry.name}`, `${path}/`, visit);
      else if (entry.isFile()) visit(path, (statSync(`${directory}/${entry.name}`).mode & 0o111) !== 0);
      else
        throw new UserError({
          message: `${base}/${path} is neither a file nor a folder`,
          hint: 'Replace links in the application folder by what they point to.',
        });
    }
  }
}

function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}
