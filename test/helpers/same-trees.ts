import { readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../src/config/load.ts';
import { silent } from '../../src/core/log.ts';
import { type BuildContext, inImage, inToolbox, onTop } from '../../src/engine/context.ts';
import { buildLayers } from '../../src/engine/layers.ts';
import { parseLock } from '../../src/engine/lock.ts';
import { openContext } from '../../src/engine/open-context.ts';
import { makeStep } from '../../src/engine/step.ts';
import { installBase, installMore } from '../../src/engine/steps/packages.ts';
import { newFolder, removeTree } from '../../src/host/folders.ts';
import type { Layer } from '../../src/host/layer.ts';
import { digestOf, sha256 } from '../../src/plan/digest.ts';
import { makePlan } from '../../src/plan/plan.ts';
import { stages } from '../../stages/index.ts';

export const project = fileURLToPath(new URL('../..', import.meta.url));

/** Path to what the node there is: see tree_manifest.py. */
export type Manifest = ReadonlyMap<string, string>;

/** Everything that a build of the default image needs, and nothing built yet. */
export async function openBuild({
  dispatch,
  from = project,
}: {
  dispatch: boolean;
  from?: string;
}): Promise<BuildContext> {
  const lockFile = join(project, 'config', 'amslpr.lock.yaml');
  const lock = parseLock(readFileSync(lockFile, 'utf8'), lockFile);
  const plan = makePlan(loadConfig(join(project, 'config', 'amslpr.yaml'), stages), stages, project);
  const options = { out: '/nowhere', lockFile, project: from, noDispatch: !dispatch };
  const context = await openContext(plan, lock, options, silent);
  await context.prepare();
  return context;
}

/** Folders of the cache that hold one tree, the lowest first, each with `fs` and `work`. */
export interface Trees {
  readonly folders: readonly string[];
  remove(): Promise<void>;
}

const layersOf = (folders: readonly string[]): Layer[] =>
  folders.map((folder) => ({ name: 'packages', key: '', fs: join(folder, 'fs'), hit: false }));

/** Few modules, so that an emulated initramfs is a matter of a minute; its hooks and programs are the same. */
const FEW_MODULES = `
sed -i 's/^MODULES=.*/MODULES=list/' /tmp/image/etc/initramfs-tools/initramfs.conf
printf 'ext4\\nvirtio_blk\\ndm_crypt\\n' >> /tmp/image/etc/initramfs-tools/modules
`;

/** What is installed, and on what. */
export interface Work {
  readonly requested: readonly string[];
  readonly modules: 'few' | 'all';
  /** A layer that is there already, to save time; without one the base is bootstrapped in the same way as the rest. */
  readonly base?: Layer;
}

/** The layer `base` as builds make it: with dispatch. */
export async function baseLayer(context: BuildContext): Promise<Layer> {
  const base = (await buildLayers(context, makeStep(silent))).find(({ name }) => name === 'base');
  if (base === undefined) throw new Error('a build has no layer "base"');
  return base;
}

/** Installs packages and makes the initramfs, as a build does. */
export async function buildTree(context: BuildContext, { requested, modules, base: given }: Work): Promise<Trees> {
  const own: string[] = [];
  const newOne = async (name: string): Promise<string> => {
    own.push(await newFolder(context.cache, name));
    return own.at(-1) ?? '';
  };
  const remove = async (): Promise<void> => {
    for (const folder of own) await removeTree(context.cache, context.namespace, folder);
  };
  try {
    const base = given === undefined ? await newOne('same-base') : dirname(given.fs);
    if (given === undefined) await installBase(context, base);
    const [more, top] = [await newOne('same'), await newOne('same-initramfs')];
    await installMore(context, layersOf([base]), more, { requested, purged: [] });
    const stack = onTop(layersOf([base, more]), top);
    if (modules === 'few') await inToolbox(context, FEW_MODULES, stack);
    await inImage(context, ['update-initramfs', '-c', '-k', 'all'], stack);
    await inToolbox(
      context,
      'cd /tmp/image; rm -rf tmp/* var/tmp/* var/lib/initramfs-tools/*.tmp; find var/log -type f -delete',
      stack,
    );
    return { folders: [base, more, top], remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Runs a program of the image on top of a tree; what it changes is in one more folder. */
export async function runOnTop(context: BuildContext, trees: Trees, argv: readonly string[]): Promise<Trees> {
  const top = await newFolder(context.cache, 'same-top');
  await inImage(context, argv, onTop(layersOf(trees.folders), top));
  return { folders: [...trees.folders, top], remove: () => removeTree(context.cache, context.namespace, top) };
}

export async function manifestOf(context: BuildContext, trees: Trees): Promise<Manifest> {
  const program = await readFile(join(project, 'test/helpers/tree_manifest.py'), 'utf8');
  const stack = { lower: trees.folders.map((folder) => join(folder, 'fs')) };
  const text = await inToolbox(context, 'cat > /tmp/list.py; python3 /tmp/list.py /tmp/image', stack, {
    input: program,
  });
  return parseManifest(text);
}

function parseManifest(text: string): Manifest {
  const lines = text.trim().split('\n');
  return new Map(lines.map((line) => [String((JSON.parse(line) as { path: unknown }).path), line]));
}

/** Times that a build made itself are the newest index's in an image; before that they are those of the run. */
function withoutNewTimes(line: string, epoch: number): string {
  return line.replace(/"time": (\d+)/, (all, time) => (Number(time) >= epoch ? '"time": "new"' : all));
}

/** Paths that differ, each with both sides. None is ignored. */
export function differences(one: Manifest, other: Manifest, epoch: number): string[] {
  const paths = [...new Set([...one.keys(), ...other.keys()])].sort();
  return paths.flatMap((path) => {
    const [a, b] = [one, other].map((side) => withoutNewTimes(side.get(path) ?? 'absent', epoch));
    return a === b ? [] : [`${path}\n  ${a}\n  ${b}`];
  });
}

/** Files whose code decides what an emulated build gives; a change of dispatch alone does not change it. */
const CODE = [
  'src/engine/steps/apt.ts',
  'src/engine/steps/packages.ts',
  'src/engine/lock.ts',
  'src/toolbox/toolbox.ts',
  'test/helpers/tree_manifest.py',
];

/**
 * The manifest of an emulated build, which takes minutes and depends neither on dispatch nor on its rules: kept in
 * work/ for the next run, under a name that says what it was made of.
 */
export async function emulatedManifest(work: Work): Promise<Manifest> {
  const { requested, modules, base } = work;
  const context = await openBuild({ dispatch: false });
  const code = CODE.map((file) => sha256(readFileSync(join(project, file))));
  const packages = [context.lock.baseLayer, context.lock.image.packages.map((one) => one.sha256)];
  const from = [context.toolbox.id, base?.key ?? packages, context.epoch];
  const key = digestOf([code, FEW_MODULES, from, requested, modules]).slice(0, 32);
  const file = join(project, 'work', 'emulated', `${key}.jsonl`);
  const kept = await readFile(file, 'utf8').catch(() => undefined);
  if (kept !== undefined) return parseManifest(kept);
  const trees = await buildTree(context, work);
  try {
    const manifest = await manifestOf(context, trees);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, [...manifest.values()].join('\n'));
    return manifest;
  } finally {
    await trees.remove();
  }
}
