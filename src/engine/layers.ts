import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { PlannedFile } from '../core/plan.ts';
import { type Inputs, keyOf } from '../host/inputs.ts';
import { type Layer, type LayerSpec, lookTogether, openLayer } from '../host/layer.ts';
import { digestOf } from '../plan/digest.ts';
import { openToolbox } from '../toolbox/toolbox.ts';
import { baseInputs, unpackBase } from './base/layer.ts';
import type { BuildContext } from './context.ts';
import { basePackages, packageInputs } from './lock.ts';
import type { Step } from './step.ts';
import { installOnBase } from './steps/base-packages.ts';
import { diskId } from './steps/disk-id.ts';
import { applyFiles, fileInputs, makeInitramfs } from './steps/files.ts';
import { installBase, installPackages, unwanted } from './steps/packages.ts';

/** Version of the steps' own code: raised when the same inputs have to give something else. */
const STEPS_VERSION = '9';

/**
 * The image's root as layers. Each is made of those below it and of inputs that are named here; a change of an overlay
 * file repeats the last one only, unless the initramfs reads the file. With `fresh`, which is another text each time, no
 * layer of an earlier build fits.
 */
export async function buildLayers(context: BuildContext, step: Step, fresh?: string): Promise<Layer[]> {
  const specs = await layerSpecs(context, fresh);
  await lookTogether(context, specs);
  const layers: Layer[] = [];
  for (const { make, ...spec } of specs) {
    const below = [...layers];
    layers.push(
      await step(spec.name, () => openLayer(context, { ...spec, make: (upper) => make(context, below, upper) })),
    );
  }
  return layers;
}

interface Spec extends Omit<LayerSpec, 'make'> {
  /** Fills `upper`, on top of the layers before it. */
  readonly make: (context: BuildContext, below: readonly Layer[], upper: string) => Promise<void>;
}

/** The layers from the lowest up. The key of one is an input of the next. */
async function layerSpecs(context: BuildContext, fresh: string | undefined): Promise<Spec[]> {
  const { plan, lock, epoch, arm64 } = context;
  const label = overlayLabel(context);
  const always = { 'build steps': STEPS_VERSION, ...(fresh === undefined ? {} : { 'fresh build': fresh }) };
  const spec = (name: string, inputs: Inputs, make: Spec['make']): Spec => ({
    ...{ name, make, label },
    inputs: { ...inputs, ...always },
  });
  const running = { 'dates of the indexes': String(epoch), 'how arm64 programs are run': arm64.id };
  const base =
    lock.base === undefined
      ? spec('base', { packages: packageInputs(basePackages(lock)), ...running }, (_, __, upper) =>
          installBase(context, upper),
        )
      : baseSpec(context, label);
  const packages = spec(
    'packages',
    {
      'the base below': keyOf(base.inputs),
      packages: packageInputs(lock.image.packages),
      'packages to purge': (lock.base?.removed ?? unwanted(context)).join(' '),
      ...running,
    },
    lock.base === undefined ? installPackages : installOnBase,
  );
  const initramfs = spec(
    'initramfs',
    { 'the packages below': keyOf(packages.inputs), files: fileInputs(plan.files.filter((file) => file.initramfs)) },
    makeInitramfs,
  );
  const files = spec(
    'files',
    {
      'the initramfs below': keyOf(initramfs.inputs),
      files: fileInputs(plan.files),
      'accounts and groups': digestOf([plan.accounts, plan.groups]),
      units: plan.units,
      'modes of packaged files': digestOf(plan.statOverrides),
      diversions: plan.diversions.join(' '),
      ...(plan.base.kind === 'debian'
        ? {}
        : { 'what the base may keep': digestOf([plan.allowed, plan.configTxt, plan.base.mirror, lock.base?.origins]) }),
      'the mirror': digestOf(await context.mirrors()),
      'disk signature': diskId(plan),
    },
    applyFiles,
  );
  return [base, packages, initramfs, files];
}

/** The tree of the base image, the same for all plans. */
function baseSpec(context: BuildContext, label: Spec['label']): Spec {
  const { plan, lock } = context;
  if (lock.base === undefined) throw new TypeError('a lock without a base');
  const { base } = lock;
  return {
    name: 'base',
    inputs: baseInputs(base),
    make: async (_, __, upper) => {
      await openToolbox('build', context);
      await unpackBase(context, plan.base, base.sha256, upper);
    },
    ...(label === undefined ? {} : { label }),
  };
}

/** A planned file as people know it: the overlay that it comes from, or its path in the image. */
function overlayLabel({ plan, project }: BuildContext): (path: string) => string {
  const stages = new Map<string, PlannedFile['stage']>(plan.files.map(({ path, stage }) => [path, stage]));
  return (path) => {
    const overlay = `overlays/${stages.get(path)}${path}`;
    return [overlay, `${overlay}.hbs`].find((file) => existsSync(join(project, file))) ?? path;
  };
}
