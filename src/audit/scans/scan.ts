import type { Tree } from '../tree.ts';

interface ScanReport {
  /** What was looked at, in numbers: "41,201 files, 12 of them SUID". The evidence when nothing is wrong. */
  readonly looked: string;
  /** One sentence for each thing that is wrong, starting with its path. */
  readonly problems: readonly string[];
}

export type Parameters = Readonly<Record<string, unknown>>;

/** A look at a whole tree. Pure: the tree and the check's `with` in, findings out. */
export type Scan = (tree: Tree, parameters: Parameters) => ScanReport;

/** A check's `with` does not fit its scan. */
export class ParameterError extends Error {
  override readonly name = 'ParameterError';
}

/** Reads a scan's parameters and refuses what it does not know, so that a misspelt allow-list is no empty one. */
export function readParameters<K extends string>(parameters: Parameters, known: readonly K[]) {
  const names: readonly string[] = known;
  for (const name of Object.keys(parameters)) {
    if (!names.includes(name)) throw new ParameterError(`"${name}" is none of: ${known.join(', ') || 'no parameters'}`);
  }
  return {
    strings(name: K, fallback: readonly string[] = []): readonly string[] {
      const value = parameters[name];
      if (value === undefined) return fallback;
      if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
        throw new ParameterError(`"${name}" must be a list of texts`);
      }
      return value;
    },
    number(name: K, fallback: number): number {
      const value = parameters[name];
      if (value === undefined) return fallback;
      if (typeof value !== 'number') throw new ParameterError(`"${name}" must be a number`);
      return value;
    },
    record(name: K): Readonly<Record<string, string>> {
      const value = parameters[name] ?? {};
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        throw new ParameterError(`"${name}" must be a record of texts`);
      }
      return Object.fromEntries(Object.entries(value).map(([key, text]) => [key, String(text)]));
    },
  };
}

export const count = (number: number, singular: string, plural = `${singular}s`): string =>
  `${number} ${number === 1 ? singular : plural}`;
