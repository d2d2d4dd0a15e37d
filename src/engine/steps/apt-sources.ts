import type { PlannedFile } from '../../core/plan.ts';
import { COMPONENTS, type Mirrors, SUITES } from '../archive.ts';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/**
 * The image's own package sources, from the mirror that it was built from. A mirror that only the build host can reach
 * (a path, a loopback address) would be of no use on the device; `build` warns of it.
 */
export function sourcesFor(mirrors: Mirrors): PlannedFile {
  const stanzas = (['debian', 'security'] as const).map((archive) => {
    const suites = SUITES.filter((suite) => suite.archive === archive).map(({ suite }) => suite);
    return `Types: deb\nURIs: ${mirrors[archive]}\nSuites: ${suites.join(' ')}\nComponents: ${COMPONENTS.join(' ')}\nSigned-By: ${KEYRING}\n`;
  });
  return {
    path: '/etc/apt/sources.list.d/debian.sources',
    type: 'file',
    mode: '0644',
    owner: 'root:root',
    initramfs: false,
    stage: 'engine',
    bytes: Buffer.from(stanzas.join('\n')),
  };
}

export const isLocal = (url: string): boolean => /^(file|copy):|^https?:\/\/(127\.|localhost|\[::1\])/.test(url);
