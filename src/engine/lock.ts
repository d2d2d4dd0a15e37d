import { createHash } from 'node:crypto';
import { dump, load } from 'js-yaml';
import { UserError } from '../core/errors.ts';
import type { Plan } from '../core/plan.ts';
import type { ArchiveName } from './archive.ts';

/** One package file, exactly. `path` is relative to its archive. */
export interface LockedPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** Bytes. */
  readonly size: number;
  readonly sha256: string;
  readonly archive: ArchiveName;
  readonly path: string;
}

/** What was asked for, and all that came of it; sorted by name. */
export interface LockedSet {
  readonly requested: readonly string[];
  readonly packages: readonly LockedPackage[];
}

export interface LockedIndex {
  readonly archive: ArchiveName;
  readonly suite: string;
  /** The index's own date, ISO 8601. */
  readonly date: string;
  readonly sha256: string;
}

export const HOST_ARCHITECTURES = ['amd64', 'arm64'] as const;
export type HostArchitecture = (typeof HOST_ARCHITECTURES)[number];
export type ToolboxName = 'build' | 'boot';

/** A base image as the lock was made for it. */
export interface LockedBase {
  /** Of the image file, as it is given or downloaded. */
  readonly sha256: string;
  /** Archives beside Debian's that the image takes packages from: name to URL. */
  readonly archives: Readonly<Record<ArchiveName, string>>;
  /** Patterns of unattended-upgrades for these archives, from the fields of their indexes. */
  readonly origins: readonly string[];
  /** What the image has installed: `name version architecture`, sorted. */
  readonly installed: readonly string[];
  /** Names of what is removed from it; with `:architecture` when that is a foreign one. */
  readonly removed: readonly string[];
}

export interface Lock {
  readonly format: 1;
  /** When it was made, ISO 8601. */
  readonly made: string;
  readonly indexes: readonly LockedIndex[];
  readonly image: LockedSet;
  /** Of the image's packages, the names of those in its lowest layer: BASE_PACKAGES and what they need. None on a base image. */
  readonly baseLayer: readonly string[];
  /** Only with the base `raspios`; `image` is then what is installed on top of it. */
  readonly base?: LockedBase;
  readonly toolboxes: Readonly<Record<HostArchitecture, Readonly<Record<ToolboxName, LockedSet>>>>;
}

const LINE = /^(\S+) (\S+) (\S+) (\d+) ([0-9a-f]{64}) ([a-z][a-z0-9.-]*) (\S+)$/;

/** One package as a lock file writes it. */
export const toLine = (p: LockedPackage): string =>
  `${p.name} ${p.version} ${p.architecture} ${p.size} ${p.sha256} ${p.archive} ${p.path}`;

/** Reads what toLine wrote. @throws UserError naming `file` */
export function fromLine(line: unknown, file: string): LockedPackage {
  const match = typeof line === 'string' ? LINE.exec(line) : null;
  if (match === null) throw damaged(file, `not a package: ${JSON.stringify(line)}`);
  const [, name = '', version = '', architecture = '', size = '', sha256 = '', archive = '', path = ''] = match;
  return { name, version, architecture, size: Number(size), sha256, archive: archive as ArchiveName, path };
}

const damaged = (file: string, what: string): UserError =>
  new UserError({
    message: `The lock file cannot be used: ${what}`,
    where: { file },
    hint: 'Make it again with the verb `lock`.',
  });

function setToYaml(set: LockedSet): object {
  return { requested: set.requested, packages: set.packages.map(toLine) };
}

function setFromYaml(value: unknown, file: string): LockedSet {
  const { requested, packages } = record(value, file);
  if (!Array.isArray(requested) || !Array.isArray(packages))
    throw damaged(file, 'a set lacks `requested` or `packages`');
  return { requested: requested.map(String), packages: packages.map((line) => fromLine(line, file)) };
}

function record(value: unknown, file: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw damaged(file, 'a mapping was expected');
  return value as Record<string, unknown>;
}

/** The text of a lock file: one package a line, so that a change of versions reads well as a diff. */
export function formatLock(lock: Lock): string {
  const toolboxes = Object.fromEntries(
    HOST_ARCHITECTURES.map((arch) => [
      arch,
      { build: setToYaml(lock.toolboxes[arch].build), boot: setToYaml(lock.toolboxes[arch].boot) },
    ]),
  );
  const head = '# Made by the verb `lock`; a package line is: name version architecture size sha256 archive path\n';
  const { base } = lock;
  const body = {
    ...{ format: 1, made: lock.made, indexes: lock.indexes },
    ...(base === undefined ? {} : { base }),
    ...{ baseLayer: lock.baseLayer, image: setToYaml(lock.image), toolboxes },
  };
  return head + dump(body, { lineWidth: -1, noRefs: true });
}

/** @throws UserError naming `file` when the text is no lock of this format. */
export function parseLock(text: string, file: string): Lock {
  let raw: unknown;
  try {
    raw = load(text);
  } catch (cause) {
    throw damaged(file, cause instanceof Error ? cause.message : String(cause));
  }
  const top = record(raw, file);
  if (top['format'] !== 1) throw damaged(file, `format ${JSON.stringify(top['format'])} is not known`);
  if (!Array.isArray(top['indexes'])) throw damaged(file, '`indexes` is missing');
  const indexes = top['indexes'].map((entry: unknown): LockedIndex => {
    const { archive, suite, date, sha256 } = record(entry, file);
    if (typeof archive !== 'string') throw damaged(file, `archive ${String(archive)} is not known`);
    return { archive, suite: String(suite), date: iso(date, file), sha256: String(sha256) };
  });
  const { baseLayer } = top;
  if (!Array.isArray(baseLayer)) throw damaged(file, '`baseLayer` is missing');
  const toolboxes = record(top['toolboxes'], file);
  const boxesOf = (arch: HostArchitecture): Record<ToolboxName, LockedSet> => {
    const boxes = record(toolboxes[arch], file);
    return { build: setFromYaml(boxes['build'], file), boot: setFromYaml(boxes['boot'], file) };
  };
  return {
    format: 1,
    made: iso(top['made'], file),
    indexes,
    image: setFromYaml(top['image'], file),
    baseLayer: baseLayer.map(String),
    ...(top['base'] === undefined ? {} : { base: baseFromYaml(top['base'], file) }),
    toolboxes: { amd64: boxesOf('amd64'), arm64: boxesOf('arm64') },
  };
}

function baseFromYaml(value: unknown, file: string): LockedBase {
  const { sha256, archives, ...rest } = record(value, file);
  const lists = ['origins', 'installed', 'removed'].map((name) => rest[name]);
  if (typeof sha256 !== 'string' || !lists.every(Array.isArray)) throw damaged(file, '`base` is not complete');
  const [origins = [], installed = [], removed = []] = lists.map((list) => (list as unknown[]).map(String));
  const urls = Object.entries(record(archives, file)).map(([name, url]) => [name, String(url)] as const);
  return { sha256, archives: Object.fromEntries(urls), origins, installed, removed };
}

function iso(value: unknown, file: string): string {
  const date = value instanceof Date ? value : new Date(String(value));
  if (Number.isNaN(date.getTime())) throw damaged(file, `${String(value)} is no date`);
  return date.toISOString();
}

/** Seconds since 1970 that every time in the image is set to: the newest date among the locked indexes. */
export const sourceDateEpoch = (lock: Lock): number =>
  Math.floor(Math.max(...lock.indexes.map((index) => Date.parse(index.date))) / 1000);

/** Days since the lock was made. */
export const lockAge = (lock: Lock, now: Date = new Date()): number =>
  (now.getTime() - Date.parse(lock.made)) / 86_400_000;

export const lockDigest = (set: LockedSet): string =>
  createHash('sha256').update(set.packages.map(toLine).join('\n')).digest('hex');

/** The packages of a set by name, for the inputs of what is made of them; versions come first, to be told by themselves. */
export const packageInputs = (packages: readonly LockedPackage[]): Record<string, string> =>
  Object.fromEntries(packages.map((one) => [one.name, `${one.version} ${one.architecture} ${one.sha256}`]));

/**
 * Packages that the engine itself needs in every image of the `debian` base: a kernel, firmware, what starts them, and the
 * language of the device's own code. They and what they need are the lowest layer, which all images share.
 */
export const BASE_PACKAGES: readonly string[] = [
  'apt',
  'dbus',
  'debian-archive-keyring',
  'e2fsprogs',
  'initramfs-tools',
  'linux-image-arm64',
  'python3',
  'raspi-firmware',
  'systemd-sysv',
  'zstd',
];

/** The same for `raspios`, whose kernels and firmware are the image's own. */
const ON_RASPIOS = BASE_PACKAGES.filter((name) => name !== 'linux-image-arm64' && name !== 'raspi-firmware');

/** The packages of the lowest layer. */
export const basePackages = ({ image, baseLayer }: Pick<Lock, 'image' | 'baseLayer'>): LockedPackage[] =>
  image.packages.filter(({ name }) => baseLayer.includes(name));

/** Everything to ask apt for, sorted. */
export const requestedPackages = ({ packages, base }: Pick<Plan, 'packages' | 'base'>): string[] =>
  [...new Set([...(base.kind === 'debian' ? BASE_PACKAGES : ON_RASPIOS), ...packages])].sort();

/** Packages that the plan asks for and the lock was not made for, and the reverse. */
export function lockDifference(
  lock: Lock,
  plan: Pick<Plan, 'packages' | 'base'>,
): { missing: string[]; extra: string[] } {
  const wanted = requestedPackages(plan);
  return {
    missing: wanted.filter((name) => !lock.image.requested.includes(name)),
    extra: lock.image.requested.filter((name) => !wanted.includes(name)),
  };
}
