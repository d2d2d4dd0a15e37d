import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Config } from '../core/config.ts';
import { UserError } from '../core/errors.ts';
import type { AnyStage } from '../core/stage.ts';
import { validateConfig } from './validate.ts';
import { decode, parseYaml } from './yaml.ts';

/** Reads and checks a configuration; every option has a value afterwards. @throws UserError with every problem found. */
export function loadConfig(file: string, stages: readonly AnyStage[]): Config {
  const text = decode(readConfig(file), file);
  return validateConfig(parseYaml(text, file), text, file, stages);
}

function readConfig(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why = code === 'ENOENT' ? 'does not exist' : code === 'EISDIR' ? 'is a folder' : `cannot be read (${code})`;
    throw new UserError(
      {
        message: `${file} ${why}`,
        hint: `\`amslpr-image init ${resolve(dirname(file)) === process.cwd() ? file : 'FILE'}\` writes a new one.`,
      },
      { cause: error },
    );
  }
}
