import { type Deb, pathOf } from './archive-deb.ts';

/** What a newer version of a package has behind its version. */
export const NEWER = '+test1';
const MARK = '# Changed in the newer version of this package.\n';

/** Whether a line that starts with `#` would be no comment there. */
const noComments = (path: string, text: string): boolean =>
  /\.(asc|json|xml)$/.test(path) || /^\s*<(\?xml|!DOCTYPE|busconfig)/.test(text);

/** A configuration file with another content and the same meaning. */
export function changedText(path: string, text: string): string {
  if (noComments(path, text)) return `${text}\n`;
  return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${MARK}`;
}

/**
 * The next version of a package: all its configuration files are changed. `bumped` are the versions that packages of the
 * archive replace, by name: who needs exactly one of those needs its next version from now on.
 */
export function newerDeb(deb: Deb, bumped: ReadonlyMap<string, string>): Deb {
  const control = new Map(deb.control);
  control.set('Version', `${control.get('Version')}${NEWER}`);
  for (const field of ['Depends', 'Pre-Depends', 'Recommends']) {
    const relations = control.get(field);
    if (relations !== undefined) control.set(field, newerRelations(relations, bumped));
  }
  const configuration = new Set(deb.conffiles);
  const data = deb.data.map((entry) =>
    entry.header.type === 'file' && configuration.has(pathOf(entry))
      ? { ...entry, bytes: Buffer.from(changedText(pathOf(entry), entry.bytes.toString('latin1')), 'latin1') }
      : entry,
  );
  return { ...deb, control, data };
}

function newerRelations(relations: string, bumped: ReadonlyMap<string, string>): string {
  return relations.replace(/([a-z0-9][a-z0-9+.-]+)((?::\w+)? \(= )([^)]+)\)/g, (whole, name, middle, version) =>
    bumped.get(name) === version ? `${name}${middle}${version}${NEWER})` : whole,
  );
}

/** Names of packages that a relation field asks for in exactly one version. */
export function exactRelations(relations: string): { readonly name: string; readonly version: string }[] {
  return [...relations.matchAll(/([a-z0-9][a-z0-9+.-]+)(?::\w+)? \(= ([^)]+)\)/g)].map(
    ([, name = '', version = '']) => ({ name, version }),
  );
}

/** The release that follows: 6.12.118+deb13-arm64 to 6.12.119+deb13-arm64, always of the same length. */
export function nextRelease(release: string): string {
  const next = release.replace(/(\d+)(\+)/, (_, number, plus) => `${Number(number) + 1}${plus}`);
  if (next.length === release.length && next !== release) return next;
  return release.replace(/(\+deb)(\d+)/, (_, name, number) => `${name}${Number(number) + 1}`);
}

/** Folders of modules that an emulated machine has no device for; without them the upgrade takes half as long. */
const UNUSED =
  /\/kernel\/(sound|drivers\/(accel|bluetooth|comedi|gpu|hwmon|iio|infiniband|isdn|media|staging|net\/(can|ethernet|wireless)))\//;
const OTHER_BOARDS = /^\/usr\/lib\/linux-image-[^/]+\/(?!broadcom(\/|$))[^/]+/;

/**
 * The same kernel as a newer release: package, paths, scripts, and what the kernel itself says that it is. The modules
 * stay as they are: with symbol versions, the kernel does not look at their release.
 */
export function newerKernel(deb: Deb, release: string): Deb {
  const next = nextRelease(release);
  const renamed = (text: string): string => text.replaceAll(release, next);
  const control = new Map([...deb.control].map(([key, value]) => [key, renamed(value)]));
  const version = control.get('Version') ?? '';
  control.set('Version', version.replace(/^[^-]+/, next.replace(/\+.*/, '')));
  const kept = deb.data.filter((entry) => !UNUSED.test(pathOf(entry)) && !OTHER_BOARDS.test(pathOf(entry)));
  return {
    control,
    conffiles: deb.conffiles,
    scripts: deb.scripts.map((entry) => ({ ...entry, bytes: Buffer.from(renamed(entry.bytes.toString())) })),
    data: kept.map((entry) => ({
      header: {
        ...entry.header,
        name: renamed(entry.header.name),
        ...(entry.header.linkname ? { linkname: renamed(entry.header.linkname) } : {}),
      },
      bytes: pathOf(entry).startsWith('/boot/vmlinuz-') ? renamedKernel(entry.bytes, release, next) : entry.bytes,
    })),
  };
}

/** @throws Error when the kernel is compressed, or does not say its release */
export function renamedKernel(image: Buffer, release: string, next: string): Buffer {
  const changed = Buffer.from(image);
  let found = 0;
  for (let at = changed.indexOf(release); at >= 0; at = changed.indexOf(release, at + 1)) {
    changed.write(next, at, 'latin1');
    found += 1;
  }
  if (found === 0) throw new Error(`the kernel image does not say ${release}`);
  return changed;
}

/** The package that always depends on the newest kernel. */
export function newerKernelMeta(deb: Deb, release: string): Deb {
  const control = new Map(
    [...deb.control].map(([key, value]) => [key, value.replaceAll(release, nextRelease(release))]),
  );
  const next = nextRelease(release).replace(/\+.*/, '');
  const version = (control.get('Version') ?? '').replace(/^[^-]+/, next);
  control.set('Version', version);
  control.set('Depends', (control.get('Depends') ?? '').replace(/\(= [^)]+\)/, `(= ${version})`));
  return { ...deb, control };
}
