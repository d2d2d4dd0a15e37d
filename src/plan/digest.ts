import { createHash } from 'node:crypto';

export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** JSON with sorted keys, so that equal values have equal text. Bytes become their SHA-256, expressions their source. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (inner instanceof RegExp) return `/${inner.source}/${inner.flags}`;
    if (inner instanceof Uint8Array) return { sha256: sha256(inner) };
    if (inner === null || typeof inner !== 'object' || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  });
}

export const digestOf = (value: unknown): string => sha256(canonicalJson(value));
