import { readdirSync, readFileSync, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import Handlebars from 'handlebars';
import type { AbsPath, FileSpec } from '../core/contribution.ts';
import type { PlannedFile } from '../core/plan.ts';

/** What of a source folder is not for the device. */
const LEFT_OUT = /^(__pycache__|tests|.*\.pyc)$/;

/** Renders with an error for every name that is not given; nothing is escaped, since no target is HTML. */
export function render(template: string, data: Readonly<Record<string, unknown>>): string {
  return Handlebars.compile(template, { strict: true, noEscape: true })(data);
}

/**
 * Settles the bytes of a contributed file: reads or renders the overlay, reads the source. A source folder becomes its
 * files. `root` is the project's folder.
 */
export function resolveFile(file: FileSpec, stage: string, root: string): PlannedFile[] {
  const { path, mode, owner, content, capabilities, initramfs = false } = file;
  const common = { path, mode, owner, initramfs, stage, ...(capabilities === undefined ? {} : { capabilities }) };
  switch (content.kind) {
    case 'directory':
      return [{ ...common, type: 'directory' }];
    case 'symlink':
      return [{ ...common, type: 'symlink', target: content.target }];
    case 'text':
      return [{ ...common, type: 'file', bytes: Buffer.from(content.text) }];
    case 'bytes':
      return [{ ...common, type: 'file', bytes: content.bytes }];
    case 'overlay':
      return [{ ...common, type: 'file', bytes: overlayBytes(join(root, 'overlays', stage, path), content.data) }];
    case 'source': {
      const source = isAbsolute(content.source) ? content.source : join(root, content.source);
      if (statSync(source).isDirectory()) return folderFiles(source, path, common);
      return [{ ...common, type: 'file', bytes: readFileSync(source) }];
    }
  }
}

function overlayBytes(file: string, data: Readonly<Record<string, unknown>> | undefined): Uint8Array {
  if (data === undefined) return readFileSync(file);
  return Buffer.from(render(readFileSync(`${file}.hbs`, 'utf8'), data));
}

function folderFiles(
  source: string,
  path: AbsPath,
  common: Pick<PlannedFile, 'owner' | 'stage' | 'initramfs'>,
): PlannedFile[] {
  const { owner, stage, initramfs } = common;
  const below = readdirSync(source, { withFileTypes: true })
    .filter((entry) => !LEFT_OUT.test(entry.name))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const self: PlannedFile = { path, mode: '0755', owner, stage, initramfs, type: 'directory' };
  return [
    self,
    ...below.flatMap((entry): PlannedFile[] => {
      const inner: AbsPath = `${path}/${entry.name}`;
      const file = join(source, entry.name);
      if (entry.isDirectory()) return folderFiles(file, inner, common);
      const mode = (statSync(file).mode & 0o111) === 0 ? '0644' : '0755';
      return [{ path: inner, mode, owner, stage, initramfs, type: 'file', bytes: readFileSync(file) }];
    }),
  ];
}
