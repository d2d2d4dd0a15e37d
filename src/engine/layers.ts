import type { Layer } from '../host/layer.ts';
import { openLayer } from '../host/layer.ts';
import { digestOf } from '../plan/digest.ts';
import type { BuildContext } from './context.ts';
import { lockDigest } from './lock.ts';
import type { Step } from './step.ts';
import { applyFiles, filesKey, makeInitramfs } from './steps/files.ts';
import { installPackages, unwanted } from './steps/packages.ts';

/** Version of the steps' own code: raised when the same inputs have to give something else. */
const STEPS_VERSION = '2';

/**
 * The image's root as three layers. Each is made of the one below it and of inputs that are named here; a change of an
 * overlay file repeats the last one only, unless the initramfs reads the file. With `fresh`, which is another text each time, no layer of an earlier build fits.
 */
export async function buildLayers(context: BuildContext, step: Step, fresh?: string): Promise<Layer[]> {
  const { plan, lock, epoch, arm64 } = context;
  const always = {
    'the build steps': STEPS_VERSION,
    ...(fresh === undefined ? {} : { 'the wish for a fresh build': fresh }),
  };
  const open = (name: string, inputs: Readonly<Record<string, string>>, make: (upper: string) => Promise<void>) =>
    step(name, () => openLayer(context, name, { ...always, ...inputs }, make));
  const packages = await open(
    'packages',
    {
      'the locked packages': lockDigest(lock.image),
      'the dates of the indexes': String(epoch),
      'the packages to purge': unwanted(context).join(' '),
      'how arm64 programs are run': arm64.id,
    },
    (upper) => installPackages(context, upper),
  );
  const initramfs = await open(
    'initramfs',
    {
      'the packages': packages.key,
      'the files that the initramfs is made of': filesKey(plan.files.filter((file) => file.initramfs)),
    },
    (upper) => makeInitramfs(context, [packages], upper),
  );
  const files = await open(
    'files',
    { 'the initramfs': initramfs.key, 'the plan': plan.digest, 'the mirror': digestOf(await context.mirrors()) },
    (upper) => applyFiles(context, [packages, initramfs], upper),
  );
  return [packages, initramfs, files];
}
