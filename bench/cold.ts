import { join } from 'node:path';
import { build } from '../src/engine/build.ts';
import { makeRepository } from '../src/engine/repository.ts';
import { bootstrapCommand } from '../src/toolbox/toolbox.ts';
import { withOutput } from './again.ts';
import { defaultPlan, lockFile, openBuild, project, withFolder } from './context.ts';
import { alternate, seconds, timing } from './measure.ts';
import type { Row } from './row.ts';

/** Steps that do not count, since the goal is for .img, SHA-256 and block map. They run beside each other. */
const APART = ['audit', 'companions'];

/** Builds from empty layers; gives the seconds of each step. */
export async function coldBuild(out: string): Promise<Map<string, number>> {
  const steps = new Map<string, number>();
  await build(defaultPlan(), { out, lockFile, project, fresh: true }, (entry) => {
    if (entry.kind === 'step-end') steps.set(entry.step, (steps.get(entry.step) ?? 0) + entry.seconds);
  });
  return steps;
}

export const cold: Row = {
  name: 'cold',
  work: 'from empty layers to .img, SHA-256 and block map',
  async run({ rounds, quick, tell }) {
    const context = await openBuild({ dispatch: false });
    const apart: Record<string, number[]> = {};
    const ours = () =>
      withOutput(async (out) => {
        let steps = new Map<string, number>();
        const all = await seconds(async () => {
          steps = await coldBuild(out);
        });
        for (const [name, taken] of steps) apart[name] = [...(apart[name] ?? []), taken];
        return all - Math.max(...APART.map((name) => steps.get(name) ?? 0));
      });
    const theirs = () =>
      withFolder(context, 'bench-repository', (repository) =>
        withFolder(context, 'bench-mmdebstrap', async (folder) => {
          await makeRepository(context.cache, context.namespace, context.lock.image.packages, join(repository, 'fs'));
          const command = bootstrapCommand('/tmp/image', 'arm64', context.lock.image.requested);
          const argv = command.map((word) => (word === '--variant=apt' ? '--variant=minbase' : word));
          const start = performance.now();
          await context.toolbox.run(argv, {
            mounts: [
              { kind: 'bind', source: join(repository, 'fs'), target: '/tmp/repository' },
              { kind: 'stack', lower: [], upper: folder, target: '/tmp/image' },
            ],
            ...(context.arm64.emulator === undefined ? {} : { emulator: context.arm64.emulator }),
            unsynced: true,
            env: { TMPDIR: '/tmp', DPKG_COLORS: 'never' },
          });
          return (performance.now() - start) / 1000;
        }),
      );
    const arms = await alternate(quick ? { ours } : { ours, mmdebstrap: theirs }, rounds, tell);
    const [own, other] = [arms['ours']?.median ?? Number.NaN, arms['mmdebstrap']?.median];
    const steps = Object.entries(apart).map(([name, taken]) => `${name} ${timing(taken).median.toFixed(1)} s`);
    return {
      arms,
      figures: [
        {
          name: 'mmdebstrap / ours',
          ...(other === undefined ? {} : { value: other / own }),
          unit: 'x',
          goal: { atLeast: 5 },
        },
      ],
      notes: [`steps: ${steps.join(', ')}; ${APART.join(' and ')} (compression) are not counted`, silentNote],
    };
  },
};

const silentNote = 'mmdebstrap makes a directory tree, and neither image, checksum nor block map';
