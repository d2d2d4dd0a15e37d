import * as clack from '@clack/prompts';
import { EXIT, UserError } from '../core/errors.ts';
import type { Prompts } from '../core/prompts.ts';

/** Asks on the terminal; everything goes to stderr, since stdout is for data. */
export function terminalPrompts(): Prompts {
  const output = process.stderr;
  return {
    async text({ message, initial, check }) {
      const options = { message, output, ...(initial === undefined ? {} : { initialValue: initial }) };
      return answered(await clack.text({ ...options, validate: (answer) => check?.(answer ?? '') }));
    },
    async choose({ message, choices }) {
      const options = choices.map(({ value, label, hint }) => ({
        value,
        label,
        ...(hint === undefined ? {} : { hint }),
      }));
      return answered(await clack.select({ message, output, options }));
    },
    async confirm({ message, initial }) {
      return answered(await clack.confirm({ message, output, initialValue: initial }));
    },
    note(text) {
      clack.note(text, undefined, { output });
    },
  };
}

function answered<T>(answer: T): Exclude<T, symbol> {
  if (typeof answer === 'symbol')
    throw new UserError('Interrupted; nothing was written', { exitCode: EXIT.interrupted });
  return answer as Exclude<T, symbol>;
}
