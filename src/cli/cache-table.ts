import type { CacheEntry, EntryKind } from '../cache/entries.ts';
import { bytesText, type Paint } from '../ui/text.ts';

const TITLES: readonly (readonly [EntryKind, string])[] = [
  ['layer', 'layers'],
  ['toolbox', 'toolboxes'],
  ['package', 'package files'],
  ['log', 'logs'],
  ['other', 'other'],
];

const sum = (entries: readonly CacheEntry[]): number => entries.reduce((all, { bytes }) => all + bytes, 0);

export const total = (entries: readonly CacheEntry[]): string => bytesText(sum(entries));

/** How long ago, in the largest unit that is not zero. */
export function ageText(used: Date, now: Date): string {
  const minutes = Math.max(0, Math.round((now.getTime() - used.getTime()) / 60_000));
  if (minutes < 60) return `${minutes} min`;
  return minutes < 48 * 60 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1440)} d`;
}

const row = (name: string, size: string, age: string, note: string): string =>
  `${name.padEnd(46)} ${size.padStart(8)} ${age.padStart(7)}  ${note}`.trimEnd();

/** The cache by kind: size, time since the last use, and what would be dropped. Files are counted, folders listed. */
export function cacheTable(
  root: string,
  entries: readonly CacheEntry[],
  dropped: readonly CacheEntry[],
  now: Date,
  paint: Paint,
): string {
  const lines = [row(root, 'size', 'used', ''), ''];
  for (const [kind, title] of TITLES) {
    const found = entries.filter((entry) => entry.kind === kind);
    if (found.length === 0) continue;
    lines.push(paint('bold', row(`${title} (${found.length})`, total(found), '', '')));
    if (kind !== 'layer' && kind !== 'toolbox') continue;
    for (const entry of found) {
      const note = dropped.includes(entry) ? 'would be dropped' : entry.image;
      lines.push(row(`  ${entry.name}`, bytesText(entry.bytes), ageText(entry.used, now), note));
    }
  }
  lines.push('', row('all', total(entries), '', ''));
  const plan = dropped.length === 0 ? 'nothing' : `${dropped.length} entries, ${total(dropped)}`;
  return `${lines.join('\n')}\n\`cache prune\` would drop ${plan}.\n`;
}

/** A line for each kind of what is dropped; folders by name. */
export function prunedText(entries: readonly CacheEntry[]): string {
  return TITLES.flatMap(([kind, title]) => {
    const found = entries.filter((entry) => entry.kind === kind);
    if (found.length === 0) return [];
    const names = kind === 'layer' || kind === 'toolbox' ? `: ${found.map(({ name }) => name).join(', ')}` : '';
    return [`${found.length} ${title}, ${total(found)}${names}\n`];
  }).join('');
}
