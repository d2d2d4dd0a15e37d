import { appendFile, chmod, cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { silent } from '../src/core/log.ts';
import { build } from '../src/engine/build.ts';
import { buildLayers } from '../src/engine/layers.ts';
import { makeStep } from '../src/engine/step.ts';
import { hostRunner } from '../src/host/runner.ts';
import { compiled } from './compiled.ts';
import { defaultPlan, lockFile, openBuild, project, withFolder } from './context.ts';
import { alternate, seconds, timing } from './measure.ts';
import type { Row } from './row.ts';

/** A new folder in out/, where a build's files go by a rename; removed in the end. */
export async function withOutput<T>(work: (out: string) => Promise<T>): Promise<T> {
  const parent = join(project, 'out');
  await mkdir(parent, { recursive: true });
  const out = await mkdtemp(join(parent, 'bench-'));
  // The toolbox, which belongs to other ids, reads the image.
  await chmod(out, 0o755);
  try {
    return await work(out);
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}

/** The default image with its companions, built now. */
export const withImage = <T>(work: (image: string) => Promise<T>): Promise<T> =>
  withOutput(async (out) => {
    await build(defaultPlan(), { out, lockFile, project, compress: false }, silent);
    return work(join(out, 'amslpr.img'));
  });

/**
 * What a person types, as a process of its own. Its exit code is 0, or 3 where a check fails. Gives the seconds until
 * image, checksum and block map were there: the audit goes on after that.
 */
async function runBuild(root: string, out: string, ...flags: string[]): Promise<number> {
  const argv = ['node', join(root, 'dist/build.js'), 'build', join(root, 'config/amslpr.yaml'), '-o', out, ...flags];
  const start = performance.now();
  let [said, finished] = ['', Number.NaN];
  const onOutput = (chunk: string): void => {
    said += chunk;
    if (Number.isNaN(finished) && /^ok: checksums/m.test(said)) finished = (performance.now() - start) / 1000;
  };
  await hostRunner.run(argv, { okCodes: [0, 3], onOutput });
  return finished;
}

export const nothing: Row = {
  name: 'nothing',
  work: 'a build after which nothing has changed',
  async run({ rounds, tell }) {
    await compiled();
    return withOutput(async (out) => {
      await runBuild(project, out);
      await runBuild(project, out);
      const arms = await alternate(
        {
          again: async () => {
            await runBuild(project, out);
            return undefined;
          },
        },
        Math.max(rounds, 3),
        tell,
      );
      const value = arms['again']?.median ?? Number.NaN;
      return { arms, figures: [{ name: 'again', value, unit: 's', goal: { atMost: 1 } }] };
    });
  },
};

/** A file that only the image's last layer is made of, with comments that start with `#`. */
const CHANGED = 'overlays/backup/etc/systemd/system/amslpr-backup.service';

/** A copy of the project, so that one of its files can be changed. */
async function withProject<T>(work: (root: string) => Promise<T>): Promise<T> {
  return withOutput(async (root) => {
    const { stdout } = await hostRunner.run(['git', '-C', project, 'ls-files', '-z']);
    for (const file of stdout.split('\0').filter((name) => name !== '')) {
      await cp(join(project, file), join(root, file), { recursive: true, force: true }).catch(() => undefined);
    }
    await cp(join(project, 'dist'), join(root, 'dist'), { recursive: true });
    await symlink(join(project, 'node_modules'), join(root, 'node_modules'));
    return work(root);
  });
}

/** mke2fs -d of the image's own tree, then a checksum of the image: the least that making an image anew takes. */
async function floor(image: string): Promise<number> {
  const context = await openBuild({ dispatch: true });
  const layers = await buildLayers(context, makeStep(silent));
  return withFolder(context, 'bench-floor', async (folder) => {
    const lower = layers.map(({ fs }) => fs);
    const mounts = [
      { kind: 'stack', lower, target: '/tmp/image' },
      { kind: 'bind', source: join(folder, 'fs'), target: '/tmp/out', write: true },
      { kind: 'bind', source: dirname(image), target: '/tmp/built' },
    ] as const;
    const script = 'mke2fs -q -t ext4 -d /tmp/image /tmp/out/root.img "$2"; sha256sum "$1"';
    const { stdout } = await hostRunner.run(['stat', '-c', '%s', image]);
    const kib = Math.floor((Number(stdout) - 520 * 1024 * 1024) / 4096) * 4;
    const argv = ['sh', '-euc', script, 'sh', `/tmp/built/${image.split('/').at(-1)}`, `${kib}k`];
    return seconds(() => context.toolbox.run(argv, { mounts }));
  });
}

const digestIn = async (out: string): Promise<string> =>
  (/^([0-9a-f]{64}) {2}amslpr\.img$/m.exec(await readFile(join(out, 'amslpr.SHA256SUMS'), 'utf8')) ?? [])[1] ?? '';

export const overlay: Row = {
  name: 'overlay',
  work: 'one overlay file changed, to the finished .img',
  async run({ rounds, tell }) {
    await compiled();
    return withProject((root) =>
      withOutput(async (out) => {
        await runBuild(root, out, '--no-compress');
        let change = 0;
        const audited: number[] = [];
        const arms = await alternate(
          {
            build: async () => {
              change += 1;
              await appendFile(join(root, CHANGED), `# ${change}\n`);
              let finished = Number.NaN;
              const all = await seconds(async () => {
                finished = await runBuild(root, out, '--no-compress');
              });
              audited.push(all);
              return finished;
            },
            'mke2fs and sha256sum': () => floor(join(out, 'amslpr.img')),
          },
          rounds,
          tell,
        );
        const same = await withOutput(async (other) => {
          await runBuild(root, other, '--no-compress', '--fresh');
          return (await digestIn(out)) === (await digestIn(other));
        });
        const [own, least] = [arms['build']?.median ?? Number.NaN, arms['mke2fs and sha256sum']?.median ?? Number.NaN];
        const figures = [
          { name: 'beyond 1.2 times the least', value: own - 1.2 * least, unit: 's', goal: { atMost: 2 } },
        ] as const;
        const whole = `${timing(audited).median.toFixed(1)} s until the image is audited as well`;
        return { arms, figures, notes: [whole, `bytes ${same ? 'equal to' : 'DIFFER from'} those of a cold build`] };
      }),
    );
  },
};
