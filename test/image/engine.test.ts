import { existsSync, readFileSync } from 'node:fs';
import { chmod, link, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { capabilityText } from '../../src/audit/capability.ts';
import { readImage } from '../../src/audit/image.ts';
import { silent } from '../../src/core/log.ts';
import type { Plan, PlannedFile } from '../../src/core/plan.ts';
import { build } from '../../src/engine/build.ts';
import type { BuildContext } from '../../src/engine/context.ts';
import { packageFile } from '../../src/engine/download.ts';
import { type LockedPackage, parseLock } from '../../src/engine/lock.ts';
import { openContext } from '../../src/engine/open-context.ts';
import { bootstrap } from '../../src/engine/steps/packages.ts';
import { type Cache, openCache } from '../../src/host/cache.ts';
import { newFolder, removeTree } from '../../src/host/folders.ts';
import { type Namespace, openNamespace } from '../../src/host/namespace.ts';
import { hostRunner } from '../../src/host/runner.ts';
import { sha256 } from '../../src/plan/digest.ts';
import { builtImage } from './built-image.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const lockFile = join(project, 'config', 'amslpr.lock.yaml');
let plan: Plan;
let image: string;
let cache: Cache;
let namespace: Namespace;
let scratch: string;

beforeAll(async () => {
  ({ plan, image } = await builtImage());
  cache = await openCache();
  namespace = await openNamespace(cache);
  scratch = await mkdtemp(join(tmpdir(), 'amslpr-engine-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const options = (out: string) => ({ out: join(scratch, out), lockFile, project });
const leftovers = async (): Promise<string[]> =>
  (await readdir(cache.layers)).filter((name) => name.includes(`.${process.pid}.`));
const mounts = (): string => readFileSync('/proc/self/mountinfo', 'utf8');

/** The essential packages of the lock, and one more that is made now from a script. */
async function contextWith(name: string, postinst: string): Promise<BuildContext> {
  const folder = join(scratch, name);
  await mkdir(join(folder, 'DEBIAN'), { recursive: true });
  const control = `Package: ${name}\nVersion: 1\nArchitecture: all\nMaintainer: t <t@example.org>\nDescription: t\n`;
  await writeFile(join(folder, 'DEBIAN', 'control'), control);
  await writeFile(join(folder, 'DEBIAN', 'postinst'), `#!/bin/sh\nset -e\n${postinst}\n`);
  await chmod(join(folder, 'DEBIAN', 'postinst'), 0o755);
  await hostRunner.run(['dpkg-deb', '--root-owner-group', '--build', folder, `${folder}.deb`]);
  const bytes = await readFile(`${folder}.deb`);
  const one: LockedPackage = {
    name,
    version: '1',
    architecture: 'all',
    size: bytes.length,
    sha256: sha256(bytes),
    archive: 'debian',
    path: `pool/${name}.deb`,
  };
  const target = packageFile(cache, one);
  await rm(target, { force: true });
  await link(`${folder}.deb`, target).catch(() => writeFile(target, bytes));
  const lock = parseLock(await readFile(lockFile, 'utf8'), lockFile);
  const small = { requested: ['apt', name], packages: [...lock.image.packages, one] };
  return openContext(plan, { ...lock, image: small }, options('none'), silent);
}

describe('a package that writes to the kernel of the host', () => {
  it('fails the build and changes nothing', async () => {
    const before = readFileSync('/proc/sys/kernel/core_pattern', 'utf8');
    // The shell would go on after an error of the redirection only.
    const context = await contextWith('meddler', 'echo meddled > /proc/sys/kernel/core_pattern');
    const { packages, requested } = context.lock.image;
    const upper = await newFolder(cache, 'meddler');
    const output: string[] = [];
    const log: BuildContext['log'] = (entry) => {
      if (entry.kind === 'output') output.push(entry.text);
    };
    try {
      await expect(bootstrap({ ...context, log }, packages, requested, upper)).rejects.toThrow(/exit code/);
    } finally {
      await removeTree(cache, namespace, upper);
      await rm(packageFile(cache, context.lock.image.packages.at(-1) as LockedPackage), { force: true });
    }
    expect(output.join('')).toMatch(/core_pattern: (Permission denied|Read-only file system)/);
    expect(output.join('')).toMatch(/installed meddler package post-installation script subprocess returned error/);
    expect(readFileSync('/proc/sys/kernel/core_pattern', 'utf8')).toBe(before);
  });
});

describe('a plan that replaces a configuration file of a package', () => {
  it('is refused, naming package, stage and the way out', async () => {
    const path = '/etc/nginx/nginx.conf';
    const file: PlannedFile = {
      path,
      type: 'file',
      mode: '0644',
      owner: 'root:root',
      bytes: Buffer.from('#\n'),
      initramfs: false,
      stage: 'nginx',
    };
    const files = [...plan.files.filter((one) => one.path !== path), file];
    const changed = {
      ...plan,
      files,
      diversions: plan.diversions.filter((one) => one !== path),
      digest: sha256('conffile'),
    };
    const failure = await build(changed, options('conffile'), silent).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      problems: [
        {
          message: `stage nginx replaces ${path}, a configuration file of package nginx-common`,
          hint: expect.stringContaining('drop-in'),
        },
      ],
    });
    expect(existsSync(join(scratch, 'conffile', `${plan.name}.img`))).toBe(false);
    expect(await leftovers()).toEqual([]);
  });
});

describe('an interrupted build', () => {
  it('leaves no output, folder, mount or process, and the next one works', async () => {
    const table = mounts();
    const file: PlannedFile = {
      path: '/usr/lib/amslpr/capable',
      type: 'file',
      mode: '0750',
      owner: 'root:amslpr-admins',
      bytes: Buffer.from('#!/bin/sh\n'),
      capabilities: 'cap_net_raw+ep',
      initramfs: false,
      stage: 'test',
    };
    const changed = { ...plan, files: [...plan.files, file], digest: sha256('interrupted') };
    for (const at of ['files', 'image', 'companions']) {
      const abort = new AbortController();
      const running = build(changed, { ...options('interrupted'), signal: abort.signal }, (entry) => {
        if (entry.kind === 'step-start' && entry.step === at) setTimeout(() => abort.abort(), 300);
      });
      await expect(running, at).rejects.toThrow();
      expect(existsSync(join(scratch, 'interrupted')), at).toBe(false);
      expect(await leftovers(), at).toEqual([]);
      expect(mounts(), at).toBe(table);
    }
    const { stdout } = await hostRunner.run(['ps', '-eo', 'pid,ppid,args']);
    expect(stdout.split('\n').filter((line) => line.includes(cache.skeleton))).toEqual([]);
    const result = await build(changed, options('interrupted'), silent);
    const entry = (await readImage(result.image)).get(file.path);
    expect(entry).toMatchObject({ mode: 0o750, uid: 0, gid: 960 });
    const capability = entry?.xattrs?.['security.capability'];
    // Version 3 would hold the id of the build's namespace and mean nothing on the device.
    expect(capability && capabilityText(capability)).toEqual({ text: 'cap_net_raw=ep', version: 2 });
  });
});

describe('two builds from one lock', () => {
  it('give the same bytes, from nothing but packages and toolbox', async () => {
    const again = await build(plan, { ...options('again'), fresh: true }, silent);
    const { stdout } = await hostRunner.run(['cmp', image, again.image], { okCodes: [0, 1] });
    expect(stdout).toBe('');
    // Other builds may go on beside this one, so only layers that were made for it are looked for.
    const inputs = await Promise.all(
      (await readdir(cache.layers)).map((name) =>
        readFile(join(cache.layers, name, 'inputs.json'), 'utf8').catch(() => ''),
      ),
    );
    expect(inputs.filter((text) => text.includes('fresh build'))).toEqual([]);
  });
});
