import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PlannedFile } from '../../core/plan.ts';
import { COMPONENTS, type Mirrors, SUITES } from '../archive.ts';
import { SECURITY_NAME, withMirrors, withSecurityName } from '../base/sources.ts';
import type { BuildContext } from '../context.ts';

const LIST = 'etc/apt/sources.list';
const COMMON = { type: 'file', mode: '0644', owner: 'root:root', initramfs: false, stage: 'engine' } as const;
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/**
 * The image's own package sources, from the mirror that it was built from. A mirror that only the build host can reach
 * (a path, a loopback address) would be of no use on the device; `build` warns of it.
 */
function sourcesFor(mirrors: Mirrors): PlannedFile {
  const stanzas = (['debian', 'security'] as const).map((archive) => {
    const suites = SUITES.filter((suite) => suite.archive === archive).map(({ suite }) => suite);
    const title = archive === 'security' ? SECURITY_NAME : 'Debian';
    return `X-Repolib-Name: ${title}\nTypes: deb\nURIs: ${mirrors[archive]}\nSuites: ${suites.join(' ')}\nComponents: ${COMPONENTS.join(' ')}\nSigned-By: ${KEYRING}\n`;
  });
  return {
    ...COMMON,
    path: '/etc/apt/sources.list.d/debian.sources',
    bytes: Buffer.from(stanzas.join('\n')),
  };
}

/** unattended-upgrades makes an empty one, which would then be a file that the image does not know. */
function listFile(roots: readonly string[]): PlannedFile[] {
  const top = roots
    .map((root) => lstatSync(join(root, LIST), { throwIfNoEntry: false }))
    .find((one) => one !== undefined);
  if (top?.isFile() === true) return [];
  return [{ ...COMMON, path: `/${LIST}`, bytes: Buffer.from('# The sources of packages are in sources.list.d.\n') }];
}

/** Our settings of unattended-upgrades end in 52amslpr-updates. */
const ORIGINS = '/etc/apt/apt.conf.d/53amslpr-origins';

/**
 * What tells apt on the device where packages come from. A base image keeps its own sources, but for Debian's mirror when
 * the configuration names one, and a name for Debian's security updates; its other archives are added to those that
 * updates are taken from.
 */
export async function sourceFiles(context: BuildContext, roots: readonly string[]): Promise<PlannedFile[]> {
  const mirrors = await context.mirrors();
  const { plan, lock } = context;
  if (plan.base.kind === 'debian') return [sourcesFor(mirrors), ...listFile(roots)];
  const { origins = [] } = lock.base ?? {};
  const text = `// The archives of the base image that are not Debian's, by the fields of their indexes.\nUnattended-Upgrade::Origins-Pattern {\n${origins.map((one) => `  "${one}";\n`).join('')}};\n`;
  const files: PlannedFile[] = [{ ...COMMON, path: ORIGINS, bytes: Buffer.from(text) }, ...listFile(roots)];
  const folder = 'etc/apt/sources.list.d';
  const names = new Set(
    roots
      .filter((root) => existsSync(join(root, folder)))
      .flatMap((root) =>
        readdirSync(join(root, folder), { withFileTypes: true })
          .filter((one) => one.isFile())
          .map(({ name }) => name),
      ),
  );
  for (const name of [...names].filter((one) => one.endsWith('.sources'))) {
    const root = roots.find((one) => existsSync(join(one, folder, name)));
    const old = readFileSync(join(root ?? '', folder, name), 'utf8');
    const changed = withSecurityName(plan.base.mirror === undefined ? old : withMirrors(old, mirrors));
    if (changed !== old) files.push({ ...COMMON, path: `/${folder}/${name}`, bytes: Buffer.from(changed) });
  }
  return files;
}

export const isLocal = (url: string): boolean => /^(file|copy):|^https?:\/\/(127\.|localhost|\[::1\])/.test(url);
