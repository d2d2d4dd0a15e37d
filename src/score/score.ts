import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { openCache } from '../host/cache.ts';
import { openNamespace } from '../host/namespace.ts';
import { PATIENCE, untilAborted } from '../qemu/check.ts';
import { type Device, openDevice } from '../qemu/device.ts';
import { ephemeralSite } from '../qemu/ephemeral-site.ts';
import { type Guest, startGuest } from '../qemu/guest.ts';
import { readExceptions } from './exceptions.ts';
import type { Figure, Measure, Scene } from './figure.ts';
import { bans } from './measures/bans.ts';
import { cost } from './measures/cost.ts';
import { files } from './measures/files.ts';
import { headers } from './measures/headers.ts';
import { lynis } from './measures/lynis.ts';
import { openscap } from './measures/openscap.ts';
import { ports } from './measures/ports.ts';
import { ssh } from './measures/ssh.ts';
import { tls } from './measures/tls.ts';
import { units } from './measures/units.ts';
import { updates } from './measures/updates.ts';
import { CABLE, connectDevice, type Neighbour, startNeighbour } from './neighbour.ts';
import { openScanTools } from './tools.ts';

/** In their order: what disturbs others comes last. */
export const MEASURES: readonly Measure[] = [
  cost,
  units,
  files,
  ssh,
  tls,
  updates,
  ...openscap,
  lynis,
  ports,
  headers,
  bans,
];

export interface ScoreOptions {
  /** Folder of the project. */
  readonly project: string;
  /** Names of measures. Default: those that are not slow. */
  readonly only?: readonly string[];
  /** As in Scene. */
  readonly plain?: string;
  readonly log: Log;
  readonly signal?: AbortSignal;
}

export interface ScoreReport {
  readonly figures: readonly Figure[];
  /** Kernel and operating system of the guest, as it tells them. */
  readonly system: string;
  readonly machine: string;
}

/**
 * Boots a view of the image with a site of its own, waits until its data is open, and lets scanners judge it that nobody
 * here wrote. They are on a second disk: nothing is installed. @throws StepError when the device does not come so far
 */
export async function score(image: string, options: ScoreOptions): Promise<ScoreReport> {
  const { project, log, signal } = options;
  const plain = options.plain === undefined ? {} : { plain: options.plain };
  const wanted = chosen(options.only);
  const exceptions = await readExceptions(join(project, 'config', 'score.yaml'));
  const cache = await openCache();
  const place = { cache, namespace: await openNamespace(cache), log, ...(signal ? { signal } : {}) };
  const tools = await openScanTools(place, join(project, 'config', 'score.lock.yaml'));
  const folder = await mkdtemp(join(tmpdir(), 'amslpr-score-'));
  try {
    const site = await ephemeralSite(folder);
    const more = { machine: 'virt' as const, disk: tools.disk, log, ...(signal ? { signal } : {}) };
    const socket = join(folder, 'cable');
    const board = { cable: { socket, end: 'listen', mac: CABLE.device } as const };
    await using guest = await startGuest(image, { site: site.site, board, ...more });
    await guest.waitForSsh(PATIENCE.virt.ssh);
    await using device = await openDevice(guest, site);
    await device.waitFor('ready', PATIENCE.virt.ready);
    const root = asRoot(device);
    await root(MOUNT);
    await root(SETTLED, 1800);
    const start = async (): Promise<Neighbour> => {
      await root(connectDevice);
      return startNeighbour(image, folder, socket, more, asRoot, MOUNT);
    };
    await using second = onceStarted(start);
    const scene: Scene = { guest, device, tools, exceptions, root, neighbour: second.get, ...plain };
    const system = (await scene.root('. /etc/os-release; echo "$PRETTY_NAME, Linux $(uname -r)"')).trim();
    const figures: Figure[] = [];
    for (const measure of wanted) figures.push(...(await timed(measure, scene, guest, options)));
    return { figures, system, machine: guest.machine.name };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Starts it when it is first asked for, and ends it when it was. */
function onceStarted<T extends AsyncDisposable>(start: () => Promise<T>): AsyncDisposable & { get: () => Promise<T> } {
  let started: Promise<T> | undefined;
  return {
    get: () => {
      started ??= start();
      return started;
    },
    [Symbol.asyncDispose]: async () => {
      const one = await started?.catch(() => undefined);
      await one?.[Symbol.asyncDispose]();
    },
  };
}

const MOUNT = 'mkdir -p /run/score; mountpoint -q /run/score || mount -o ro,nodev,nosuid /dev/vdb /run/score';

// AIDE's record is made two minutes after the start, and scanners ask for it; asked for earlier it would be part of the start.
const SETTLED = 'systemctl is-system-running --wait >/dev/null; systemctl start amslpr-aide.service || true';

// What nmap needs of libblas is in a folder that ldconfig would be told of.
const PRELUDE = `FOLDER=/run/score/usr/lib/aarch64-linux-gnu
LIBRARIES=$FOLDER:$FOLDER/blas:$FOLDER/lapack
LOADER=$FOLDER/ld-linux-aarch64.so.1
tool() { program=$1; shift; "$LOADER" --library-path "$LIBRARIES" "/run/score/usr/bin/$program" "$@"; }
`;

export const asRoot =
  (device: Pick<Device, 'sudo'>) =>
  (script: string, seconds = 120, input = ''): Promise<string> =>
    device.sudo(['sh', '-c', `${PRELUDE}${script}`], { timeout: seconds, input });

function chosen(only: readonly string[] | undefined): readonly Measure[] {
  if (only === undefined) return MEASURES.filter(({ slow }) => slow !== true);
  const unknown = only.filter((name) => !MEASURES.some((measure) => measure.name === name));
  if (unknown.length > 0) {
    throw new UserError({
      message: `There is no measure ${unknown.join(', ')}`,
      hint: `There are ${MEASURES.map(({ name }) => name).join(', ')}.`,
    });
  }
  return MEASURES.filter(({ name }) => only.includes(name));
}

/** What could not be measured is below its goal, and keeps nothing else from being measured. */
const notMeasured = (name: string, why: string): Figure => ({
  id: name,
  title: `Everything of \`${name}\``,
  figure: 'not measured',
  goal: 'measured',
  met: false,
  tool: '',
  below: [why.split('\n')[0] ?? ''],
});

async function timed(
  measure: Measure,
  scene: Scene,
  guest: Guest,
  { log, signal }: Pick<ScoreOptions, 'log' | 'signal'>,
): Promise<readonly Figure[]> {
  const started = Date.now();
  const step = measure.name;
  let ok = false;
  log({ kind: 'step-start', step });
  try {
    const figures = await untilAborted(signal, async () => measure.run(scene));
    ok = true;
    return figures;
  } catch (error) {
    if (signal?.aborted === true) throw error;
    const hint = error instanceof UserError ? (error.problems[0]?.hint ?? '') : '';
    const text = [error instanceof Error ? error.message : String(error), hint.trim().split('\n').at(-1)]
      .filter(Boolean)
      .join(': ');
    log({ kind: 'warning', text: `${step}: ${text}. The console of the guest is in ${guest.console} until it ends.` });
    return [notMeasured(step, text)];
  } finally {
    log({ kind: 'step-end', step, seconds: (Date.now() - started) / 1000, ok });
  }
}
