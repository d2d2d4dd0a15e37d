import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { StepError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Namespace } from '../host/namespace.ts';
import { explain } from './apt-refusals.ts';
import { COMPONENTS, findMirrors, type Mirrors, SUITES } from './archive.ts';
import {
  HOST_ARCHITECTURES,
  type HostArchitecture,
  type Lock,
  type LockedIndex,
  type LockedPackage,
  type LockedSet,
  type ToolboxName,
} from './lock.ts';

export interface ResolveOptions {
  /** Packages to ask for, beside the essential ones. Absent: toolboxes only, since the image starts from another one. */
  readonly packages?: readonly string[];
  /** Those of them that make the lowest layer. Absent: there is none. */
  readonly base?: readonly string[];
  readonly toolboxes: Readonly<Record<ToolboxName, readonly string[]>>;
  /** As in the configuration: an URL or a path. Absent: this host's own mirror. */
  readonly mirror?: string;
  /** File with the keys that indexes must be signed with. */
  readonly keyring?: string;
  readonly signal?: AbortSignal;
}

export const DEBIAN_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

interface Wish {
  readonly label: string;
  readonly architecture: HostArchitecture;
  readonly packages: readonly string[];
}

/** deb822 sources for apt; `keyring` is a path as apt will see it. */
export function sourcesText(mirrors: Mirrors, keyring: string): string {
  return (['debian', 'security'] as const)
    .map((archive) => {
      const suites = SUITES.filter((suite) => suite.archive === archive).map((suite) => suite.suite);
      return `Types: deb\nURIs: ${mirrors[archive]}\nSuites: ${suites.join(' ')}\nComponents: ${COMPONENTS.join(' ')}\nSigned-By: ${keyring}\n`;
    })
    .join('\n');
}

/** What every resolution has in common: signatures and dates are checked, nothing of the host's own settings counts. */
export const COMMON_CONFIG = `APT::Sandbox::User "root";
APT::Install-Recommends "false";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::Check-Valid-Until "true";
Acquire::Languages "none";
Acquire::ForceHash "SHA256";
Acquire::Retries "3";
Dir::Etc::parts "/dev/null";
Dir::Etc::main "/dev/null";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::trusted "/dev/null";
Dir::Etc::trustedparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
`;

function aptConfig(architecture: HostArchitecture, name: string = architecture, sources = 'debian.sources'): string {
  return `${COMMON_CONFIG}APT::Architecture "${architecture}";
APT::Architectures { "${architecture}"; };
Dir::Etc::sourcelist "/tmp/wish/${sources}";
Dir::State "/tmp/apt/${name}";
Dir::State::status "/tmp/apt/${name}/status";
Dir::Cache "/tmp/apt/${name}/cache";
`;
}

// One namespace for all: indexes are fetched once for each architecture, and nothing of it is kept but what is printed.
const SCRIPT = `set -eu
for arch in "$@"; do
  export APT_CONFIG=/tmp/wish/$arch.conf
  mkdir -p /tmp/apt/$arch/lists/partial /tmp/apt/$arch/cache/archives/partial; : >/tmp/apt/$arch/status
  apt-get --quiet=2 --error-on=any update 1>&2
  for list in /tmp/wish/*.$arch.list; do
    echo "set $(basename "$list" .$arch.list) $arch"
    xargs apt-get --quiet=2 --print-uris install <"$list"
  done
done
# What the lowest layer needs, of the chosen packages and no others: alternatives must not be decided another way for it.
if [ -f /tmp/wish/base-layer ]; then
  export APT_CONFIG=/tmp/wish/arm64.conf
  mkdir -p /tmp/chosen /tmp/apt/chosen/lists/partial /tmp/apt/chosen/cache/archives/partial; : >/tmp/apt/chosen/status
  xargs apt-get --quiet=2 --print-uris install </tmp/wish/image.arm64.list |
    sed -n "s/^'[^']*' \\([^_]*\\)_\\([^_]*\\)_.*/\\1=\\2/p" | sed 's/%3a/:/g' |
    xargs apt-cache --no-all-versions show >/tmp/chosen/Packages
  export APT_CONFIG=/tmp/wish/chosen.conf
  apt-get --quiet=2 --error-on=any update 1>&2
  xargs apt-get --quiet=2 --print-uris install </tmp/wish/base-layer | sed -n "s/^'[^']*' \\([^_]*\\)_.*/base \\1/p"
fi
for index in /tmp/apt/"$1"/lists/*InRelease; do
  echo "index $(sha256sum <"$index" | cut -d' ' -f1) $(sed -n 's/^Codename: //p' "$index" | head -n 1) $(sed -n 's/^Date: //p' "$index" | head -n 1)"
done
`;

/** `'URL' file size SHA256:hash`, as apt prints it. */
export function parseUri(line: string, mirrors: Mirrors): LockedPackage | undefined {
  const match = /^'([^']+)' (\S+) (\d+) SHA256:([0-9a-f]{64})/.exec(line);
  if (match === null) return undefined;
  const [, url = '', file = '', size = '', sha256 = ''] = match;
  const [name = '', version = '', architecture = ''] = decodeURIComponent(basename(file, '.deb')).split('_');
  const plain = (one: string): string => one.replace(/^(file|copy):\/\/\//, '$1:/');
  const inside = Object.entries(mirrors).filter(([, mirror]) => plain(url).startsWith(`${plain(mirror)}/`));
  const [archive, mirror] = inside.sort(([, a], [, b]) => b.length - a.length)[0] ?? [];
  if (archive === undefined || mirror === undefined) return undefined;
  const path = decodeURIComponent(plain(url).slice(plain(mirror).length + 1));
  return { name, version, architecture, size: Number(size), sha256, archive, path };
}

interface Answer {
  readonly sets: Map<string, LockedPackage[]>;
  readonly baseLayer: string[];
  readonly indexes: LockedIndex[];
}

function parse(output: string, mirrors: Mirrors): Answer {
  const sets = new Map<string, LockedPackage[]>();
  const indexes: LockedIndex[] = [];
  const baseLayer: string[] = [];
  let current: LockedPackage[] = [];
  for (const line of output.split('\n')) {
    const [word, first = '', second = ''] = line.split(' ');
    if (word === 'set') {
      current = [];
      sets.set(`${first} ${second}`, current);
    }
    const found = parseUri(line, mirrors);
    if (found !== undefined) current.push(found);
    if (word === 'base') baseLayer.push(first);
    if (word === 'index') {
      const suite = SUITES.find((known) => known.suite === second);
      const date = new Date(line.split(' ').slice(3).join(' '));
      if (suite !== undefined) indexes.push({ ...suite, date: date.toISOString(), sha256: first });
    }
  }
  return { sets, baseLayer: baseLayer.sort(), indexes };
}

/**
 * Asks apt which packages make up the image and the toolboxes, with signatures and dates of the indexes checked.
 *
 * @throws StepError when an index is unsigned, expired or out of reach, or when packages do not fit together.
 */
export async function makeLock(ns: Namespace, options: ResolveOptions, log: Log): Promise<Lock> {
  const mirrors = await findMirrors(options.mirror);
  const wishes: Wish[] = [];
  if (options.packages !== undefined)
    wishes.push({ label: 'image', architecture: 'arm64', packages: options.packages });
  for (const architecture of HOST_ARCHITECTURES) {
    for (const label of ['build', 'boot'] as const)
      wishes.push({ label, architecture, packages: options.toolboxes[label] });
  }
  const folder = await mkdtemp(join(tmpdir(), 'amslpr-lock-'));
  try {
    await chmod(folder, 0o755);
    const trusted = options.keyring ?? DEBIAN_KEYRING;
    // apt tells the two forms of a keyring by the name.
    const keyring = trusted.endsWith('.asc') ? '/tmp/keyring.asc' : '/tmp/keyring.gpg';
    await writeFile(join(folder, 'debian.sources'), sourcesText(mirrors, keyring));
    for (const architecture of HOST_ARCHITECTURES)
      await writeFile(join(folder, `${architecture}.conf`), aptConfig(architecture));
    for (const wish of wishes) {
      const words = ['?essential', ...wish.packages];
      await writeFile(join(folder, `${wish.label}.${wish.architecture}.list`), `${words.join('\n')}\n`);
    }
    if (options.base !== undefined) {
      await writeFile(join(folder, 'base-layer'), `${['?essential', ...options.base].join('\n')}\n`);
      await writeFile(join(folder, 'chosen.list'), 'deb [trusted=yes] copy:/tmp/chosen ./\n');
      await writeFile(join(folder, 'chosen.conf'), aptConfig('arm64', 'chosen', 'chosen.list'));
    }
    const local = [mirrors.debian, mirrors.security].flatMap((url) =>
      /^(file|copy):/.test(url) ? [url.replace(/^\w+:(\/\/)?/, '')] : [],
    );
    const result = await ns
      .run(['sh', '-c', SCRIPT, 'sh', ...HOST_ARCHITECTURES], {
        root: { kind: 'host' },
        network: true,
        mounts: [
          { kind: 'bind', source: folder, target: '/tmp/wish' },
          { kind: 'bind', source: trusted, target: keyring },
          ...local.map((path) => ({ kind: 'bind' as const, source: path, target: path })),
        ],
        onOutput: (text) => log({ kind: 'output', text }),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      })
      .catch((failure: unknown) => {
        throw failure instanceof StepError ? explain(failure) : failure;
      });
    const { sets, baseLayer, indexes } = parse(result.stdout, mirrors);
    if (options.base !== undefined && baseLayer.length === 0)
      throw new StepError('apt chose no package for the lowest layer');
    if (indexes.length !== SUITES.length)
      throw new StepError(`Only ${indexes.length} of ${SUITES.length} package indexes were found`);
    const setOf = (label: string, architecture: HostArchitecture, requested: readonly string[]): LockedSet => {
      const packages = sets.get(`${label} ${architecture}`) ?? [];
      if (packages.length === 0) throw new StepError(`apt chose no package for ${label} on ${architecture}`);
      return { requested: [...requested].sort(), packages: packages.sort((a, b) => (a.name < b.name ? -1 : 1)) };
    };
    const boxes = (arch: HostArchitecture) => ({
      build: setOf('build', arch, options.toolboxes.build),
      boot: setOf('boot', arch, options.toolboxes.boot),
    });
    return {
      format: 1,
      made: new Date().toISOString(),
      indexes,
      baseLayer,
      image:
        options.packages === undefined ? { requested: [], packages: [] } : setOf('image', 'arm64', options.packages),
      toolboxes: { amd64: boxes('amd64'), arm64: boxes('arm64') },
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
