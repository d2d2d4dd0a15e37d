import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silent } from '../src/core/log.ts';
import type { PlannedFile } from '../src/core/plan.ts';
import { build } from '../src/engine/build.ts';
import type { BuildContext } from '../src/engine/context.ts';
import { packageFile } from '../src/engine/download.ts';
import type { LockedPackage } from '../src/engine/lock.ts';
import { bootstrap } from '../src/engine/steps/packages.ts';
import { hostRunner } from '../src/host/runner.ts';
import { digestOf, sha256 } from '../src/plan/digest.ts';
import { withOutput } from './again.ts';
import { defaultPlan, lockFile, openBuild, project, withFolder } from './context.ts';
import { alternate, seconds } from './measure.ts';
import type { Row } from './row.ts';

const [FEW, MANY] = [250, 1000] as const;
const FILES = 10_000;
/** As trees of files are. */
const PER_FOLDER = 100;

/** Packages of three files each, put into the cache as if they had been fetched. */
async function generate(context: BuildContext, count: number): Promise<LockedPackage[]> {
  const folder = await mkdtemp(join(tmpdir(), 'amslpr-growth-'));
  try {
    const made: LockedPackage[] = [];
    for (let number = 0; number < count; number += 1) {
      const name = `amslpr-growth-${number}`;
      const root = join(folder, name);
      await mkdir(join(root, 'DEBIAN'), { recursive: true });
      await mkdir(join(root, 'usr/share', name), { recursive: true });
      const control = `Package: ${name}\nVersion: 1\nArchitecture: all\nMaintainer: bench <bench@example.org>\nDescription: ${name}\n`;
      await writeFile(join(root, 'DEBIAN/control'), control);
      for (const file of ['a', 'b', 'c']) await writeFile(join(root, 'usr/share', name, file), `${name} ${file}\n`);
      await hostRunner.run(['dpkg-deb', '--root-owner-group', '-Znone', '--build', root, `${root}.deb`]);
      const bytes = await readFile(`${root}.deb`);
      const one = { name, version: '1', architecture: 'all', archive: 'debian', path: `pool/${name}.deb` } as const;
      const locked = { ...one, size: bytes.length, sha256: sha256(bytes) };
      await writeFile(packageFile(context.cache, locked), bytes);
      made.push(locked);
    }
    return made;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What the arm before left to be written, or removed, is not the next one's to pay for. */
const written = () => hostRunner.run(['sync']);

/** Seconds to install the essential packages and the first `count` of the generated ones. */
const installing = (context: BuildContext, generated: readonly LockedPackage[], count: number) => () =>
  withFolder(context, 'bench-growth', async (folder) => {
    const some = generated.slice(0, count);
    // Without passwd there is no /etc/shadow, which the step looks through.
    const names = ['apt', 'passwd', ...some.map(({ name }) => name)];
    await written();
    return seconds(() => bootstrap(context, [...context.lock.image.packages, ...some], names, folder));
  });

/** Seconds of a build whose packages and initramfs are cached, with more files in its last layer, so many to a folder. */
function building(extra: number, folder = PER_FOLDER): () => Promise<number> {
  let turn = 0;
  return () =>
    withOutput(async (out) => {
      turn += 1;
      const plan = defaultPlan();
      const base = plan.files.find((file) => file.type === 'file' && !file.initramfs);
      if (base === undefined) throw new Error('the plan has no file');
      const files: PlannedFile[] = Array.from({ length: extra + 1 }, (_, number) => ({
        ...base,
        path: `/usr/share/amslpr-growth/${Math.floor(number / folder)}/${number}`,
        bytes: Buffer.from(`${number} ${extra} ${folder} ${turn} ${process.pid}\n`),
      }));
      const digest = digestOf([plan.digest, extra, folder, turn, process.pid]);
      const more = { ...plan, digest, files: [...plan.files, ...files] };
      await written();
      return seconds(() => build(more, { out, lockFile, project, compress: false }, silent));
    });
}

export const growth: Row = {
  name: 'growth',
  work: `${FEW} and ${MANY} more packages of three files; ${FILES} more overlay files`,
  extra: true,
  async run({ rounds, tell }) {
    const context = await openBuild({ dispatch: true });
    const generated = await generate(context, MANY);
    try {
      const none = 'no more packages';
      const [few, many] = [`${FEW} packages`, `${MANY} packages`];
      const [fewFiles, manyFiles] = ['one more file', `${FILES} more files`];
      const together = 'as many in one folder';
      await building(0)();
      // Files first: ext4 goes round the inodes of a tree that was just removed, as those of the packages are.
      const files = {
        [fewFiles]: building(0),
        [manyFiles]: building(FILES),
        [together]: building(FILES, Number.POSITIVE_INFINITY),
      };
      const packages = {
        [none]: installing(context, generated, 0),
        [few]: installing(context, generated, FEW),
        [many]: installing(context, generated, MANY),
      };
      const arms = { ...(await alternate(files, rounds, tell)), ...(await alternate(packages, rounds, tell)) };
      const median = (name: string): number => arms[name]?.median ?? Number.NaN;
      const each = (name: string, count: number): number => (median(name) - median(none)) / count;
      return {
        arms,
        figures: [
          {
            name: `a package at ${MANY} / at ${FEW}`,
            value: each(many, MANY) / each(few, FEW),
            unit: 'x',
            goal: { atMost: 1.3 },
          },
          { name: `${FILES} files add`, value: median(manyFiles) - median(fewFiles), unit: 's', goal: { atMost: 5 } },
          { name: 'in one folder', value: median(together) - median(fewFiles), unit: 's' },
        ],
        notes: ['mke2fs looks through a whole folder for each new name in it'],
      };
    } finally {
      for (const one of generated) await rm(packageFile(context.cache, one), { force: true });
    }
  },
};
