import { closeSync, openSync, readSync } from 'node:fs';
import type { Config } from '../core/config.ts';
import { UserError } from '../core/errors.ts';
import type { AnyStage } from '../core/stage.ts';
import { validateConfig } from './validate.ts';
import { decode, MAX_BYTES, parseYaml } from './yaml.ts';

/** Reads and checks a configuration; every option has a value afterwards. @throws UserError with every problem found. */
export function loadConfig(file: string, stages: readonly AnyStage[]): Config {
  return configFromText(decode(readConfig(file), file), file, stages);
}

/** As `loadConfig`, for a text that `file` holds or will hold. */
export function configFromText(text: string, file: string, stages: readonly AnyStage[]): Config {
  return validateConfig(parseYaml(text, file), text, file, stages);
}

/** The first bytes of a file, one more than allowed at most: enough to refuse it, whatever its size. */
function readConfig(file: string): Uint8Array {
  try {
    const descriptor = openSync(file, 'r');
    try {
      const bytes = Buffer.alloc(MAX_BYTES + 1);
      let length = 0;
      for (;;) {
        const read = readSync(descriptor, bytes, length, bytes.length - length, null);
        length += read;
        if (read === 0 || length === bytes.length) return bytes.subarray(0, length);
      }
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    const why =
      { ENOENT: 'does not exist', EISDIR: 'is a folder', EACCES: 'may not be read' }[code] ??
      `cannot be read (${code})`;
    const hint = code === 'ENOENT' ? { hint: `\`amslpr-image init ${file}\` writes a new one.` } : {};
    throw new UserError({ message: `${file} ${why}`, ...hint }, { cause: error });
  }
}
