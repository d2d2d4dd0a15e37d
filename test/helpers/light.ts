import type { Device } from '../../src/qemu/device.ts';
import { read } from './run-books.ts';

// The light by which a device without SSH is still understood: what people are told of it, and what the kernel does.

/** Root's words on the board: the trigger in use, with its times in milliseconds where it has some. */
export const SEEN =
  "cd /sys/class/leds/ACT && echo $(sed 's/.*\\[\\(.*\\)\\].*/\\1/' trigger) $(cat delay_on delay_off 2> /dev/null)";

/** The kernel's trigger of a light that docs/first-boot.md describes. @throws Error for other words */
function triggerOf(words: string): string {
  const times = /: ([\d.]+) s on, ([\d.]+) s off$/.exec(words);
  if (times !== null)
    return ['timer', ...times.slice(1).map((seconds) => Math.round(Number(seconds) * 1000))].join(' ');
  if (words.startsWith('beats like a heart')) return 'heartbeat';
  if (words === 'on, steady') return 'default-on';
  throw new Error(`docs/first-boot.md has a light that is not known here: ${words}`);
}

/** What `SEEN` gives in each state, by the table that people print. */
export const documentedLights = (): ReadonlyMap<string, string> =>
  new Map(
    [...read('docs/first-boot.md').matchAll(/^\| ([^|]+) \| (working|waiting|failed|rescue|ready) \|/gm)].map(
      ([, words = '', state = '']) => [state, triggerOf(words)],
    ),
  );

/** What the light of a device does now. */
export const lightOf = async (device: Pick<Device, 'sudo'>): Promise<string> =>
  (await device.sudo(['sh', '-c', SEEN])).trim();
