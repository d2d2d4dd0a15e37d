import { createHash } from 'node:crypto';

/** What an entry of the cache is made of: digests or short texts by name, or a list of things with what each is. */
export type Inputs = Readonly<Record<string, string | Readonly<Record<string, string>>>>;

const sorted = (value: Inputs[string]): unknown =>
  typeof value === 'string' ? value : Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));

/** SHA-256 of the inputs, whatever their order. */
export function keyOf(inputs: Inputs): string {
  const pairs = Object.entries(inputs)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => [name, sorted(value)]);
  return createHash('sha256').update(JSON.stringify(pairs)).digest('hex');
}

/** Digests and values that are too long say nothing to a reader. */
const isShort = (text: string): boolean => text.length <= 40 && !/[0-9a-f]{16}/.test(text);

const SHOWN = 5;

/**
 * Which inputs differ, a line each: `packages: nginx 1.26-1 -> 1.26-2`, `files: /etc/issue changed`. Of a long list the
 * first few are named, as `label` says (default: by their names).
 */
export function inputChanges(before: Inputs, now: Inputs, label: (key: string) => string = (key) => key): string[] {
  const names = [...new Set([...Object.keys(now), ...Object.keys(before)])];
  return names.flatMap((name) => {
    const [old, found] = [before[name], now[name]];
    if (typeof old === 'object' && typeof found === 'object') return listChanges(name, old, found, label);
    if (old === found) return [];
    if (typeof old !== 'string' || typeof found !== 'string') return [`${name}: changed`];
    return [isShort(old) && isShort(found) ? `${name}: ${old || 'none'} -> ${found || 'none'}` : `${name}: changed`];
  });
}

function listChanges(
  name: string,
  before: Readonly<Record<string, string>>,
  now: Readonly<Record<string, string>>,
  label: (key: string) => string,
): string[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(now)])].sort();
  const words = keys.flatMap((key) => {
    const [old, found] = [before[key], now[key]];
    if (old === found) return [];
    if (old === undefined) return [`${label(key)} is new`];
    if (found === undefined) return [`${label(key)} is gone`];
    const [a = '', b = ''] = [old, found].map((text) => text.split(' ')[0]);
    return [a !== b && isShort(a) && isShort(b) ? `${label(key)} ${a} -> ${b}` : `${label(key)} changed`];
  });
  if (words.length === 0) return [];
  const more = words.length > SHOWN ? `, and ${words.length - SHOWN} more` : '';
  return [`${name}: ${words.slice(0, SHOWN).join(', ')}${more}`];
}
