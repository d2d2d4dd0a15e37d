import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StepError } from '../../core/errors.ts';
import type { Plan } from '../../core/plan.ts';
import { newFolder, removeTree } from '../../host/folders.ts';
import type { Layer } from '../../host/layer.ts';
import type { Mount } from '../../host/namespace.ts';
import { explain } from '../apt-refusals.ts';
import type { Mirrors } from '../archive.ts';
import { type Lock, type LockedIndex, type LockedPackage, requestedPackages } from '../lock.ts';
import { COMMON_CONFIG, parseUri } from '../resolve.ts';
import type { BasePlace } from './layer.ts';
import { type ImageSource, imageSources } from './sources.ts';

/** What was found in a base image, and what apt makes of it. */
interface Resolved {
  readonly packages: readonly LockedPackage[];
  readonly indexes: readonly LockedIndex[];
  readonly base: Omit<NonNullable<Lock['base']>, 'sha256'>;
}

export interface ResolveInput extends BasePlace {
  readonly mirrors: () => Promise<Mirrors>;
  readonly project: string;
  /** Keys for Debian's indexes in the place of the image's own. */
  readonly keyring?: string;
}

interface Facts {
  readonly status: string;
  readonly architectures: readonly string[];
  readonly changed: readonly string[];
  readonly sources: ReadonlyMap<string, string>;
}

/** `name version architecture` of what a dpkg status lists as installed. */
export function installedIn(status: string): string[] {
  const field = (stanza: string, name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1] ?? '';
  return status
    .split('\n\n')
    .filter((stanza) => field(stanza, 'Status') === 'install ok installed')
    .map((stanza) => ['Package', 'Version', 'Architecture'].map((name) => field(stanza, name)).join(' '))
    .sort();
}

/**
 * Asks apt what has to be fetched and removed to make of the base what the plan wants: newest versions of all, what the
 * plan adds, again what the image changed files of; without what the plan removes and packages for another CPU.
 * @throws StepError as makeLock does
 */
export async function resolveOnBase(input: ResolveInput, layer: Layer, plan: Plan): Promise<Resolved> {
  const { cache, namespace } = input;
  const folder = await newFolder(cache, 'base-facts');
  try {
    const facts = await readFacts(input, layer, join(folder, 'fs'));
    return await ask(input, facts, join(folder, 'fs'), plan);
  } finally {
    await removeTree(cache, namespace, folder);
  }
}

async function readFacts({ toolbox, project, signal }: ResolveInput, layer: Layer, out: string): Promise<Facts> {
  await toolbox.run(['python3', '-I', '/native/base-facts.py', '/tmp/image', '/tmp/out'], {
    mounts: [
      { kind: 'bind', source: join(project, 'native'), target: '/native' },
      { kind: 'stack', lower: [layer.fs], target: '/tmp/image' },
      { kind: 'bind', source: out, target: '/tmp/out', write: true },
    ],
    ...(signal === undefined ? {} : { signal }),
  });
  const read = (name: string) => readFile(join(out, name), 'utf8');
  const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');
  const names = await readdir(join(out, 'sources'));
  const texts = await Promise.all(names.map(async (name) => [name, await read(join('sources', name))] as const));
  const architectures = lines(await read('arch'));
  return {
    status: await read('status'),
    architectures: [...new Set(['arm64', ...architectures])],
    changed: lines(await read('changed')),
    sources: new Map(texts),
  };
}

/** deb822 for apt in the namespace, where the image's records are at /tmp/facts. */
function sourceText(source: ImageSource, keyring: string | undefined): string {
  const { archive, url, suites, components, signedBy } = source;
  const key = signedBy.startsWith('/') ? `/tmp/keys/${signedBy.replaceAll('/', '_')}` : signedBy;
  const own = keyring !== undefined && (archive === 'debian' || archive === 'security');
  return [
    'Types: deb',
    `URIs: ${url}`,
    `Suites: ${suites.join(' ')}`,
    ...(components.length === 0 ? [] : [`Components: ${components.join(' ')}`]),
    'Architectures: arm64',
    ...(own ? [`Signed-By: ${keyring}`] : signedBy === '' ? [] : [`Signed-By: ${key}`]),
    '',
  ].join('\n');
}

// apt tells the forms of a key file by its name: armour is .asc, everything else is not.
const SCRIPT = `set -eu
mkdir -p /tmp/apt/lists/partial /tmp/apt/cache/archives/partial /tmp/keys
cp /tmp/facts/extended_states /tmp/apt/extended_states
cp /tmp/facts/status /tmp/apt/status
for file in /tmp/facts/keyrings/*; do
  [ -f "$file" ] || continue
  case $(head -c 10 "$file") in -----BEGIN*) form=asc ;; *) form=gpg ;; esac
  cp "$file" "/tmp/keys/\${file##*/}.$form"
done
printf '%s' "$1" > /tmp/wish.sources
for key in /tmp/keys/*; do
  [ -f "$key" ] || continue
  name=\${key%.*}
  sed -i "s|^Signed-By: $name\\$|Signed-By: $key|" /tmp/wish.sources
done
printf '%s' "$2" > /tmp/apt.conf
export APT_CONFIG=/tmp/apt.conf
apt-get --quiet=2 --error-on=any update 1>&2
wish=$3; again=$4
echo 'set image'
apt-get --quiet=2 --print-uris dist-upgrade $wish
[ -z "$again" ] || apt-get --quiet=2 --print-uris --reinstall install $again
echo 'removed'
apt-get --quiet=2 --simulate dist-upgrade $wish
for index in /tmp/apt/lists/*InRelease; do
  field() { sed -n "s/^$1: //p" "$index" | head -n 1; }
  printf 'index\\t%s\\t%s\\t%s\\t%s\\t%s\\t%s\\n' "\${index##*/}" "$(sha256sum < "$index" | cut -d' ' -f1)" "$(field Date)" "$(field Codename)" "$(field Origin)" "$(field Label)"
done
`;

async function ask(input: ResolveInput, facts: Facts, folder: string, plan: Plan): Promise<Resolved> {
  const { namespace, log, signal } = input;
  const sources = imageSources(facts.sources, await input.mirrors());
  if (sources.length === 0) throw new StepError('The base image names no package archive');
  const mirrors: Mirrors = {
    ...(await input.mirrors()),
    ...Object.fromEntries(sources.map((one) => [one.archive, one.url])),
  };
  const keyring =
    input.keyring === undefined ? undefined : `/tmp/keyring.${input.keyring.endsWith('.asc') ? 'asc' : 'gpg'}`;
  const installed = installedIn(facts.status);
  const foreign = installed
    .filter((line) => !/ (arm64|all)$/.test(line))
    .map((line) => line.replace(/^(\S+) \S+ (\S+)$/, '$1:$2'));
  const names = new Set(installed.map((line) => line.split(' ')[0] ?? ''));
  const unwanted = [...plan.purge.filter((name) => names.has(name)), ...foreign];
  const again = facts.changed.filter((name) => !unwanted.includes(name));
  const wish = [...requestedPackages(plan), ...unwanted.map((name) => `${name}-`)];
  const local = Object.values(mirrors).flatMap((url) =>
    /^(file|copy):/.test(url) ? [url.replace(/^\w+:(\/\/)?/, '')] : [],
  );
  const mounts: Mount[] = [
    { kind: 'bind', source: folder, target: '/tmp/facts' },
    ...(keyring === undefined || input.keyring === undefined
      ? []
      : [{ kind: 'bind' as const, source: input.keyring, target: keyring }]),
    ...[...new Set(local)].map((path) => ({ kind: 'bind' as const, source: path, target: path })),
  ];
  const text = sources.map((source) => sourceText(source, keyring)).join('\n');
  const { stdout } = await namespace
    .run(['sh', '-c', SCRIPT, 'sh', text, aptConfig(facts.architectures), wish.join(' '), again.join(' ')], {
      root: { kind: 'host' },
      network: true,
      mounts,
      onOutput: (chunk) => log({ kind: 'output', text: chunk }),
      ...(signal === undefined ? {} : { signal }),
    })
    .catch((failure: unknown) => {
      throw failure instanceof StepError ? explain(failure) : failure;
    });
  const packages = new Map<string, LockedPackage>();
  for (const line of stdout.split('\n')) {
    const found = parseUri(line, mirrors);
    if (found !== undefined) packages.set(found.name, found);
  }
  const removed = [...stdout.matchAll(/^(?:Remv|Purg) (\S+) /gm)].map((match) => match[1] ?? '');
  const kept = removed.filter((name) => /^(linux-image-(rpi-|arm64$)|raspi-firmware$|initramfs-tools$)/.test(name));
  if (kept.length > 0) {
    throw new StepError({
      message: `What the plan removes would take ${kept.join(', ')} along, without which the image does not start`,
      hint: 'Leave the stage out that removes it, or use another base image.',
    });
  }
  const { indexes, origins } = readIndexes(stdout, sources);
  const archives = Object.fromEntries(
    sources
      .filter(({ archive }) => archive !== 'debian' && archive !== 'security')
      .map(({ archive, url }) => [archive, url]),
  );
  return {
    packages: [...packages.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
    indexes,
    base: { archives, origins, installed, removed: removed.sort() },
  };
}

const aptConfig = (architectures: readonly string[]): string => `${COMMON_CONFIG}
APT::Architecture "arm64";
APT::Architectures { ${architectures.map((name) => `"${name}";`).join(' ')} };
APT::Get::Purge "true";
APT::Get::AutomaticRemove "true";
Dir::Etc::sourcelist "/tmp/wish.sources";
Dir::State "/tmp/apt";
Dir::State::status "/tmp/apt/status";
Dir::Cache "/tmp/apt/cache";
`;

/** As apt names the index of an archive: the URL without its scheme, with what means something to it escaped. */
const listName = (url: string): string =>
  url
    .replace(/^\w+:(\/\/)?/, '')
    .replace(/[\\|{}[\]<>"^~_=!@#$%&*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).padStart(2, '0')}`)
    .replaceAll('/', '_');

/** Of the archives that are not Debian's: the index, and how unattended-upgrades tells the archive from others. */
function readIndexes(output: string, sources: readonly ImageSource[]): { indexes: LockedIndex[]; origins: string[] } {
  const indexes: LockedIndex[] = [];
  const origins = new Set<string>();
  for (const line of output.split('\n')) {
    if (!line.startsWith('index\t')) continue;
    const [, file = '', sha256 = '', date = '', codename = '', origin = '', label = ''] = line.split('\t');
    const source = sources.find(({ url }) => file.startsWith(`${listName(url)}_`));
    if (source === undefined || source.archive === 'debian' || source.archive === 'security') continue;
    indexes.push({ archive: source.archive, suite: codename, date: new Date(date).toISOString(), sha256 });
    const fields = Object.entries({ origin, label, codename }).filter(([, value]) => value !== '');
    // A comma would end the value; unattended-upgrades knows no way to write one.
    origins.add(
      fields
        .filter(([, value]) => !/[,"]/.test(value))
        .map(([name, value]) => `${name}=${value}`)
        .join(','),
    );
  }
  return { indexes, origins: [...origins].sort() };
}
