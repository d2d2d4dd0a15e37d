import type { Check } from '../../src/core/check.ts';
import type { AbsPath, Contribution } from '../../src/core/contribution.ts';
import { file, text } from '../../src/core/shorthand.ts';
import type { StageContext } from '../../src/core/stage.ts';

/** raspi-firmware's own: it copies over the files that the board starts from. */
export const BOOT_HOOK: AbsPath = '/etc/kernel/postinst.d/z50-raspi-firmware';

/** Folders of the boot partition, each for all that belongs to one kernel: written, started from, and the next one. */
const SETS = ['set-a', 'set-b', 'set-c'] as const;
const ABOUT =
  'A kernel and what belongs to it; config.txt names the folder that is started from. When that kernel does not start, copy\nprevious.txt from its folder over config.txt: the device starts with the one before.\n';

/** What writes a kernel beside the one that the board starts from, and the folders for it. */
export const bootSetFiles = (overlay: StageContext['overlay']): NonNullable<Contribution['files']> => [
  overlay(BOOT_HOOK, { mode: '0755', initramfs: true }),
  overlay('/usr/lib/amslpr/boot-set', { mode: '0755', initramfs: true }),
  ...SETS.map((name) => text(`/boot/firmware/${name}/about.txt`, ABOUT)),
];

export const bootSetChecks: Record<string, Check> = {
  sets: file('A kernel upgrade writes beside what the board starts from', BOOT_HOOK, {
    guide: [2],
    matches: /^exec \/usr\/lib\/amslpr\/boot-set$/m,
    why: 'A power cut while the kernel or config.txt is written over leaves a board that does not start.',
  }),
};
