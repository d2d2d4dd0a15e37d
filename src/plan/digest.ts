import { createHash } from 'node:crypto';

export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** JSON with sorted keys, so that equal values have equal text. Bytes become their SHA-256, expressions their source. */
export const canonicalJson = (value: unknown): string => JSON.stringify(canonical(value));

/** Before JSON sees it: a Buffer would turn itself into a list of numbers, which takes a hundred times as long. */
function canonical(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value;
  if (value instanceof RegExp) return `/${value.source}/${value.flags}`;
  if (value instanceof Uint8Array) return { sha256: sha256(value) };
  if (Array.isArray(value)) return value.map(canonical);
  const sorted = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return Object.fromEntries(sorted.map(([key, inner]) => [key, canonical(inner)]));
}

export const digestOf = (value: unknown): string => sha256(canonicalJson(value));
