import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');

interface Import {
  /** Relative to the project. */
  readonly file: string;
  /** A path relative to the project, or the name of a package. */
  readonly from: string;
}

const filesBelow = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));

const files = ['build.ts', ...filesBelow('src'), ...filesBelow('stages')];
const text = (file: string): string => readFileSync(join(root, file), 'utf8');

const imports: readonly Import[] = files.flatMap((file) =>
  [...text(file).matchAll(/(?:\bfrom\s+|\bimport\s*\(?\s*)'([^']+)'/g)].map(([, from = '']) => ({
    file,
    from: from.startsWith('.') ? join(dirname(file), from) : from,
  })),
);

/** Imports that `wrong` says must not be, as "file -> from". */
const offences = (wrong: (one: Import) => boolean): string[] =>
  imports.filter(wrong).map(({ file, from }) => `${file} -> ${from}`);

/** The folder below src/, or the top folder. */
const part = (path: string): string => path.split('/')[path.startsWith('src/') ? 1 : 0] ?? '';

describe('imports', () => {
  it('are found', () => {
    expect(imports).toContainEqual({ file: 'build.ts', from: 'stages/index.ts' });
    expect(imports).toContainEqual({ file: 'src/cli/audit.ts', from: 'src/audit/report.ts' });
  });

  it('of the engine never lead to stages', () => {
    expect(offences(({ file, from }) => file.startsWith('src/') && from.startsWith('stages'))).toEqual([]);
  });

  it('of stages lead to src/core and to other files of stages only', () => {
    const allowed = (from: string): boolean => from.startsWith('src/core/') || from.startsWith('stages/');
    expect(offences(({ file, from }) => file.startsWith('stages/') && !allowed(from))).toEqual([]);
  });

  it('of src/core lead to nothing of ours', () => {
    expect(
      offences(({ file, from }) => part(file) === 'core' && from.startsWith('src/') && part(from) !== 'core'),
    ).toEqual([]);
  });

  it.each([
    ['config', ['core']],
    ['plan', ['core', 'host']],
    ['host', ['core']],
    ['report', ['core']],
    ['cache', ['core', 'host']],
    ['ui', ['core', 'host']],
    ['toolbox', ['core', 'host', 'engine', 'plan']],
    ['engine', ['core', 'host', 'plan', 'toolbox', 'audit']],
    ['audit', ['core', 'host', 'toolbox']],
    ['site', ['core', 'host', 'toolbox', 'audit']],
    ['score', ['core', 'host', 'engine', 'qemu', 'toolbox', 'audit']],
  ])('of src/%s go down only', (folder, below) => {
    const wrong = ({ file, from }: Import): boolean =>
      part(file) === folder && from.startsWith('src/') && ![folder, ...below].includes(part(from));
    expect(offences(wrong)).toEqual([]);
  });

  it('of plan lead to programs only where sources are read', () => {
    const host = ({ file, from }: Import): boolean => part(file) === 'plan' && from.startsWith('src/host/');
    expect(offences((one) => host(one) && !/^src\/plan\/source-/.test(one.file))).toEqual([]);
  });

  it('of the terminal are not found below src/ui and src/cli', () => {
    const terminal = (from: string): boolean => ['src/ui/', 'src/cli/'].some((folder) => from.startsWith(folder));
    const allowed = (file: string): boolean => file === 'build.ts' || ['ui', 'cli'].includes(part(file));
    expect(offences(({ file, from }) => terminal(from) && !allowed(file))).toEqual([]);
  });

  it('of libraries are where those belong', () => {
    const homes: Readonly<Record<string, RegExp>> = {
      execa: /^src\/host\//,
      zx: /^build\.ts$/,
      'zx/core': /^build\.ts$/,
      commander: /^src\/cli\//,
      '@clack/prompts': /^src\/ui\//,
      handlebars: /^src\/plan\//,
      ajv: /^src\/config\//,
    };
    expect(offences(({ file, from }) => homes[from]?.test(file) === false)).toEqual([]);
  });

  it('of stages, core and the pure parts of config reach no file and no process', () => {
    const pure = (file: string): boolean =>
      file.startsWith('stages/') || part(file) === 'core' || (part(file) === 'config' && !file.endsWith('/load.ts'));
    expect(offences(({ file, from }) => pure(file) && /^node:(fs|child_process|net|os|process)/.test(from))).toEqual(
      [],
    );
  });
});

describe('the source', () => {
  it('exits in build.ts only', () => {
    expect(files.filter((file) => /\bprocess\.(exit|abort)\(/.test(text(file)))).toEqual(['build.ts']);
  });

  it('starts programs in src/host only', () => {
    expect(files.filter((file) => /'(node:)?child_process'/.test(text(file)) && part(file) !== 'host')).toEqual([]);
  });

  it('keeps its files short', () => {
    const lines = (file: string): number => text(file).split('\n').length - 1;
    const limit = (file: string): number => (/^stages\/[^/]+\.ts$/.test(file) ? 100 : 250);
    expect(files.filter((file) => lines(file) > limit(file)).map((file) => `${file} ${lines(file)}`)).toEqual([]);
  });
});
