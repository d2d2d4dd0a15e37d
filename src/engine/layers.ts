import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { PlannedFile } from '../core/plan.ts';
import type { Inputs } from '../host/inputs.ts';
import { type Layer, openLayer } from '../host/layer.ts';
import { digestOf } from '../plan/digest.ts';
import type { BuildContext } from './context.ts';
import { packageInputs } from './lock.ts';
import type { Step } from './step.ts';
import { diskId } from './steps/disk-id.ts';
import { applyFiles, fileInputs, makeInitramfs } from './steps/files.ts';
import { installPackages, unwanted } from './steps/packages.ts';

/** Version of the steps' own code: raised when the same inputs have to give something else. */
const STEPS_VERSION = '3';

/**
 * The image's root as layers. Each is made of those below it and of inputs that are named here; a change of an overlay
 * file repeats the last one only, unless the initramfs reads the file. With `fresh`, which is another text each time, no
 * layer of an earlier build fits.
 */
export async function buildLayers(context: BuildContext, step: Step, fresh?: string): Promise<Layer[]> {
  const { plan, lock, epoch, arm64 } = context;
  const label = overlayLabel(context);
  const always = { 'build steps': STEPS_VERSION, ...(fresh === undefined ? {} : { 'fresh build': fresh }) };
  const open = (name: string, inputs: Inputs, make: (upper: string) => Promise<void>) =>
    step(name, () => openLayer(context, { name, inputs: { ...inputs, ...always }, make, label }));
  const packages = await open(
    'packages',
    {
      packages: packageInputs(lock.image.packages),
      'dates of the indexes': String(epoch),
      'packages to purge': unwanted(context).join(' '),
      'how arm64 programs are run': arm64.id,
    },
    (upper) => installPackages(context, upper),
  );
  const initramfs = await open(
    'initramfs',
    { 'the packages below': packages.key, files: fileInputs(plan.files.filter((file) => file.initramfs)) },
    (upper) => makeInitramfs(context, [packages], upper),
  );
  const files = await open(
    'files',
    {
      'the initramfs below': initramfs.key,
      files: fileInputs(plan.files),
      'accounts and groups': digestOf([plan.accounts, plan.groups]),
      units: plan.units,
      'modes of packaged files': digestOf(plan.statOverrides),
      diversions: plan.diversions.join(' '),
      'the mirror': digestOf(await context.mirrors()),
      'disk signature': diskId(plan),
    },
    (upper) => applyFiles(context, [packages, initramfs], upper),
  );
  return [packages, initramfs, files];
}

/** A planned file as people know it: the overlay that it comes from, or its path in the image. */
function overlayLabel({ plan, project }: BuildContext): (path: string) => string {
  const stages = new Map<string, PlannedFile['stage']>(plan.files.map(({ path, stage }) => [path, stage]));
  return (path) => {
    const overlay = `overlays/${stages.get(path)}${path}`;
    return [overlay, `${overlay}.hbs`].find((file) => existsSync(join(project, file))) ?? path;
  };
}
