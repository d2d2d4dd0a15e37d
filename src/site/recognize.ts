import { closeSync, openSync, readSync, statSync } from 'node:fs';

/** Keys at the left margin that every site file has and no configuration. */
const KEYS = /^(format|admins|unlock)[ ]*:/m;

/** Whether a file is meant as a site file, however broken. Pipes are not looked at: they can be read only once. */
export function isSiteFile(file: string): boolean {
  try {
    return statSync(file).isFile() && KEYS.test(start(file));
  } catch {
    // Whoever reads it next says why it cannot be read.
    return false;
  }
}

function start(file: string): string {
  const descriptor = openSync(file, 'r');
  try {
    const bytes = Buffer.alloc(64 * 1024);
    const text = bytes.subarray(0, readSync(descriptor, bytes, 0, bytes.length, 0)).toString('latin1');
    // Without its zeros, UTF-16 is legible enough to have the validator of site files refuse it.
    return text.replaceAll('\0', '').replace(/^[^\w#]+/, '');
  } finally {
    closeSync(descriptor);
  }
}
