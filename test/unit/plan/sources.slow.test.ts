import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configFromText } from '../../../src/config/load.ts';
import type { Plan } from '../../../src/core/plan.ts';
import { makePlan } from '../../../src/plan/plan.ts';
import { recordOf } from '../../../src/plan/record.ts';
import { sourceFiles } from '../../../src/plan/source-files.ts';
import { stages } from '../../../stages/index.ts';

const root = join(import.meta.dirname, '../../..');
const INCLUDE = ['src', 'config.json', 'models'];

let work: string;
let folder: string;

const put = (path: string, content: string | Uint8Array = path): void => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), content);
};
const run = (program: string, args: readonly string[], cwd = folder): string =>
  execFileSync(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] }).toString();
const git = (...args: string[]): string => run('git', ['-c', 'user.name=x', '-c', 'user.email=x@example.net', ...args]);
/** Makes an archive by a Python program, whose libraries write what no other program would. */
const python = (file: string, program: string): string => {
  const made = join(work, file);
  const head = 'import io, sys, stat, tarfile, zipfile\nout = sys.argv[1]\n';
  run('/usr/bin/python3', ['-c', `${head}${program}`, made], work);
  return made;
};
const read = (source: string) => sourceFiles(root, source, INCLUDE, /^(tests?|.*\.pyc|\..*)$/);

beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), 'sources-'));
  folder = join(work, 'AMSLPR');
  put('src/web/app.py', 'app = 1\n');
  put('src/tests/test_app.py');
  put('config.json', '{}');
  put('models/plates.hef', Buffer.from([0, 10, 255, 10, 0]));
  put('install.sh');
  put('VERSION', '1.4.2\n');
});
afterEach(() => rmSync(work, { recursive: true }));

/** The same application as everything that it may come as. */
function everyForm(): Record<string, string> {
  const tar = (name: string, ...args: string[]): string => {
    run('tar', [...args, '-cf', join(work, name), 'AMSLPR'], work);
    return join(work, name);
  };
  const flat = join(work, 'flat.tar');
  run('tar', ['-cf', flat, '.'], folder);
  const zip = python(
    'a.zip',
    'import os\nwith zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:\n' +
      '  z.writestr("__MACOSX/AMSLPR/._src", "x")\n' +
      '  [z.write(os.path.join(d, f)) for d, _, fs in os.walk("AMSLPR") for f in fs]',
  );
  const forms = {
    folder,
    tar: tar('a.tar'),
    gz: tar('a.tar.gz', '--gzip'),
    tgz: tar('a.tgz', '--gzip'),
    xz: tar('a.tar.xz', '--xz'),
    zst: tar('a.tar.zst', '--zstd'),
    flat,
    zip,
  };
  const clone = join(work, 'clone');
  run('cp', ['-r', folder, clone], work);
  run('git', ['-C', clone, 'init', '-q'], work);
  run('git', ['-C', clone, 'add', '.'], work);
  const who = ['-c', 'user.name=x', '-c', 'user.email=x@example.net'];
  run('git', [...who, '-C', clone, 'commit', '-qm', 'x'], work);
  run('git', [...who, '-C', clone, 'tag', '1.4.2'], work);
  return { ...forms, git: clone };
}

describe('the same application', () => {
  it('gives the same files, hash, version and plan in every form', () => {
    const planned = (source: string): Plan => {
      const text = `name: test\napplication:\n  source: ${JSON.stringify(source)}\n`;
      return makePlan(configFromText(text, 'test.yaml', stages), stages, root);
    };
    const all = Object.entries(everyForm());
    const first = read(folder);
    expect(first.files.map(({ path }) => path)).toEqual(['config.json', 'models/plates.hef', 'src/web/app.py']);
    for (const [form, source] of all) expect({ form, ...read(source) }).toEqual({ form, ...first });
    const { sources, ...expected } = recordOf(planned(folder));
    for (const [form, source] of all) {
      const plan = planned(source);
      expect({ form, ...recordOf(plan) }).toEqual({ form, sources, ...expected });
      // No file of the image tells where on this host it lay.
      expect(plan.files.filter(({ bytes }) => Buffer.from(bytes ?? []).includes(work))).toEqual([]);
    }
    expect(sources).toEqual([
      { name: 'application', origin: 'operator', version: '1.4.2', sha256: first.digest, files: 3 },
    ]);
  });

  it('is named in full by RELEASE and image.json', () => {
    const text = `name: test\napplication:\n  source: ${JSON.stringify(folder)}\n  version: "2.0-rc1"\n`;
    const plan = makePlan(configFromText(text, 'test.yaml', stages), stages, root);
    const content = (end: string): string =>
      Buffer.from(plan.files.find(({ path }) => path.endsWith(end))?.bytes ?? []).toString();
    const { digest } = read(folder);
    expect(content('/RELEASE')).toBe(`sha256: ${digest}\nversion: 2.0-rc1\nsource: operator\nfiles: 3\n`);
    expect(JSON.parse(content('/image.json')).sources).toEqual(plan.sources);
  });
});

describe('the version', () => {
  const tarAs = (name: string, top = '.'): string => {
    const made = join(work, name);
    run('tar', ['-czf', made, top], top === '.' ? folder : work);
    return made;
  };

  it('is that of the file VERSION, else of the name of the archive or its folder', () => {
    expect(read(tarAs('amslpr-9.tar.gz')).version).toBe('1.4.2');
    rmSync(join(folder, 'VERSION'));
    expect(read(folder).version).toBeUndefined();
    expect(read(tarAs('app.tgz')).version).toBeUndefined();
    expect(read(tarAs('amslpr-image-v1.5.0-rc1.tar.gz')).version).toBe('v1.5.0-rc1');
    expect(read(tarAs('AMSLPR-47eefaf.tar.gz')).version).toBe('47eefaf');
    run('mv', ['AMSLPR', 'AMSLPR-1.6'], work);
    expect(read(tarAs('main.tar.gz', 'AMSLPR-1.6')).version).toBe('1.6');
  });

  it('is what git says of a checkout, whose files are taken as they lie there', () => {
    git('init', '-q');
    git('add', 'src', 'config.json', 'VERSION');
    expect(read(folder).version).toBe('1.4.2');
    git('commit', '-qm', 'one');
    git('tag', 'v2.0');
    expect(read(folder).version).toBe('v2.0');
    const clean = read(folder);
    // The model lies there, but git does not know it.
    expect(clean.files.map(({ path }) => path)).toEqual(['config.json', 'src/web/app.py']);
    put('src/web/app.py', 'app = 2\n');
    expect(read(folder).version).toBe('v2.0-dirty');
    expect(read(folder).digest).not.toBe(clean.digest);
    git('commit', '-qam', 'two');
    expect(read(folder).version).toMatch(/^v2\.0-1-g[0-9a-f]+$/);
    rmSync(join(folder, 'config.json'));
    expect(read(folder).files.map(({ path }) => path)).toEqual(['src/web/app.py']);
  });

  it('may hold nothing that a file gives a meaning to', () => {
    put('VERSION', '1.0 $(reboot)\n');
    const plan = (more: string) => () => {
      const text = `name: test\napplication:\n  source: ${JSON.stringify(folder)}\n${more}`;
      return makePlan(configFromText(text, 'test.yaml', stages), stages, root);
    };
    expect(plan('')).toThrow(/says that its version is/);
    expect(plan('  version: "1.0"\n')().sources[0]?.version).toBe('1.0');
    expect(plan('  version: "1 0"\n')).toThrow(/application\.version/);
  });
});

describe('a checkout', () => {
  it('leads nowhere else by a link, and runs no program of its own', () => {
    git('init', '-q');
    git('add', '.');
    git('commit', '-qm', 'one');
    git('config', 'core.fsmonitor', `touch ${join(work, 'ran')}; false`);
    read(folder);
    expect(() => readFileSync(join(work, 'ran'))).toThrow();
    run('mv', ['src', join(work, 'elsewhere')]);
    symlinkSync(join(work, 'elsewhere'), join(folder, 'src'));
    expect(() => read(folder)).toThrow(/is a link/);
    rmSync(join(folder, 'src'));
    put('src/web/app.py');
    symlinkSync('/etc/passwd', join(folder, 'src/users'));
    git('add', '.');
    expect(() => read(folder)).toThrow(/src\/users is a link/);
  });

  it('that git cannot read is told of', () => {
    mkdirSync(join(folder, '.git'));
    expect(() => read(folder)).toThrow(/git cannot read the checkout/);
  });
});

const tarWith = (entry: string): string =>
  `t = tarfile.open(out, "w")\ni = tarfile.TarInfo("src/web/app.py")\n${entry}\nt.addfile(i, io.BytesIO(b"x" * i.size))\nt.close()`;
const zipWith = (entry: string): string =>
  `z = zipfile.ZipFile(out, "w")\ni = zipfile.ZipInfo("src/web/app.py")\ni.create_system = 3\ndata = "x"\n${entry}\nz.writestr(i, data)\nz.close()`;

describe('a hostile archive is refused:', () => {
  it.each([
    ['an absolute name', 'a.tar', tarWith('i.name = "/src/x"'), /"\/src\/x" leads out of it/],
    ['a name with ..', 'a.tar', tarWith('i.name = "src/../../x"'), /leads out of it/],
    ['a name with .. where nothing is taken', 'a.tar', tarWith('i.name = "docs/../../x"'), /leads out of it/],
    ['a name with a backslash', 'a.tar', tarWith('i.name = "src\\\\..\\\\x"'), /leads out of it/],
    ['a name with a line break', 'a.tar', tarWith('i.name = "src/a\\nb"'), /none that a file should have/],
    ['a name that is no text', 'a.tar', tarWith('i.name = "src/a\\udcff"'), /none that a file should have/],
    ['a long name', 'a.tar', tarWith('i.name = "src/" + "a" * 250'), /more than 200 bytes/],
    ['a link that leads out', 'a.tar', tarWith('i.type = b"2"; i.linkname = "../../../etc"'), /the link .* leads out/],
    ['an absolute link', 'a.tar', tarWith('i.name = "docs/x"; i.type = b"2"; i.linkname = "/etc"'), /leads out/],
    ['a hard link that leads out', 'a.tar', tarWith('i.type = b"1"; i.linkname = "../etc/passwd"'), /leads out/],
    ['a link among the files', 'a.tar', tarWith('i.type = b"2"; i.linkname = "other.py"'), /is a link/],
    ['a device', 'a.tar', tarWith('i.type = b"3"; i.devmajor = 1'), /neither a file nor a folder/],
    ['a pipe', 'a.tar', tarWith('i.name = "docs/x"; i.type = b"6"'), /neither a file nor a folder/],
    ['a file twice', 'a.tar', tarWith('t.addfile(i)'), /has src\/web\/app\.py twice/],
    ['a file that is too large', 'a.tar', tarWith('i.size = 1 << 31\nt.addfile(i)\ni.size = 0'), /too large/],
    ['too many files', 'a.tar', tarWith('for n in range(20001): t.addfile(tarfile.TarInfo("d/%d" % n))'), /20000/],
    ['a name in a zip that leads out', 'a.zip', zipWith('i.filename = "../x"'), /leads out of it/],
    ['an absolute name in a zip', 'a.zip', zipWith('i.filename = "/etc/x"'), /leads out of it/],
    ['a drive in a zip', 'a.zip', zipWith('i.filename = "C:/x"'), /leads out of it/],
    [
      'a link in a zip',
      'a.zip',
      zipWith('i.external_attr = (stat.S_IFLNK | 0o777) << 16; data = "../../../etc"'),
      /leads out/,
    ],
    ['a device in a zip', 'a.zip', zipWith('i.external_attr = (stat.S_IFCHR | 0o600) << 16'), /neither a file/],
    [
      'a zip of many gigabytes',
      'a.zip',
      zipWith('z.writestr(zipfile.ZipInfo("z"), b"0" * (1 << 20)); i.file_size = 1').replace(
        'z.close()',
        'z.filelist[0].file_size = 1 << 31; z.close()',
      ),
      /too large/,
    ],
    [
      'an encrypted zip',
      'a.zip',
      `${zipWith('')}\nd = bytearray(open(out, "rb").read())\nd[d.index(b"PK\\x01\\x02") + 8] |= 1\nopen(out, "wb").write(d)`,
      /is encrypted/,
    ],
    ['what is no archive', 'a.tar.gz', 'open(out, "w").write("no")', /cannot be read/],
    ['what is no zstd', 'a.tar.zst', 'open(out, "w").write("no")', /cannot be read/],
    ['a zip that is cut short', 'a.zip', `${zipWith('')}\nopen(out, "r+b").truncate(40)`, /cannot be read/],
  ])('%s', (_, name, program, reason) => {
    expect(() => read(python(name, program))).toThrow(reason);
  });

  it('one that is cut short', () => {
    put('src/big', Buffer.alloc(100_000, 'x'));
    const made = join(work, 'cut.tar');
    run('tar', ['-cf', made, '.']);
    writeFileSync(made, readFileSync(made).subarray(0, 60_000));
    expect(() => read(made)).toThrow(/cannot be read/);
  });
});

describe('an archive', () => {
  it('may have links where nothing is taken, as long as they stay inside', () => {
    const made = python(
      'a.tar',
      `${tarWith('')}`.replace(
        't.close()',
        'i.name = "doc"; i.type = b"2"; i.linkname = "src"; t.addfile(i); t.close()',
      ),
    );
    expect(read(made).files.map(({ path }) => path)).toEqual(['src/web/app.py']);
  });

  it('keeps a single folder that is one of the application’s own', () => {
    expect(read(python('a.tar', tarWith(''))).files.map(({ path }) => path)).toEqual(['src/web/app.py']);
  });

  it('is known by its name', () => {
    const made = join(work, 'app.rar');
    writeFileSync(made, 'x');
    expect(() => read(made)).toThrow(/neither a folder nor an archive/);
    expect(() => read(join(work, 'none.zip'))).toThrow(/does not exist/);
  });
});
