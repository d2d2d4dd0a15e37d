import type { LogEntry } from '../core/log.ts';
import { bytesText, secondsText } from './text.ts';

type Progress = Extract<LogEntry, { kind: 'progress' }>;

/** How far a step is, in words: "120 MB of 260 MB (46 %), 11.7 MB/s, 12 s left". `elapsed` counts seconds since its first report. */
export function progressText({ done, total, unit }: Progress, elapsed: number): string {
  const amount = (value: number): string => (unit === 'bytes' ? bytesText(value) : String(value));
  const noun = unit === 'bytes' ? '' : ` ${unit}`;
  if (total === undefined || total <= 0) return `${amount(done)}${noun}`;
  const share = Math.min(done / total, 1);
  const head = `${amount(done)} of ${amount(total)}${noun} (${Math.floor(share * 100)} %)`;
  // The first moments say nothing about the speed.
  if (elapsed < 1 || done <= 0 || share >= 1) return head;
  const rate = unit === 'bytes' ? `, ${bytesText(done / elapsed)}/s` : '';
  return `${head}${rate}, ${secondsText((elapsed / done) * (total - done))} left`;
}
