import { join } from 'node:path';
import { runProgram } from '../../../src/cli/program.ts';
import type { Tool } from '../../../src/cli/tool.ts';
import type { Prompts } from '../../../src/core/prompts.ts';
import { describeError } from '../../../src/ui/errors.ts';
import { plainLog } from '../../../src/ui/log.ts';
import { paintWith } from '../../../src/ui/text.ts';
import { stages } from '../../../stages/index.ts';

export const root = join(import.meta.dirname, '../../..');

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line as build.ts does, in this process. */
export async function run(argv: readonly string[], prompts?: Prompts): Promise<Outcome> {
  let [stdout, stderr] = ['', ''];
  const paint = paintWith(false);
  const tool: Tool = {
    root,
    version: '1.2.3',
    stages,
    log: plainLog({ write: (text) => (stderr += text), width: 80 }, { paint }),
    signal: new AbortController().signal,
    print: (text) => {
      stdout += text;
    },
    paint,
    prompts: async () => prompts,
  };
  try {
    return { code: await runProgram(argv, tool), stdout, stderr };
  } catch (error) {
    const { text, code } = describeError(error, { paint, width: 80 });
    return { code, stdout, stderr: stderr + text };
  }
}
