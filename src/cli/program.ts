import { Command, CommanderError } from 'commander';
import { mostSimilar } from '../config/similar.ts';
import { EXIT, type ExitCode, UserError } from '../core/errors.ts';
import { auditVerb } from './audit.ts';
import { bootVerb } from './boot.ts';
import { buildVerb } from './build.ts';
import { cacheVerb } from './cache.ts';
import { doctorVerb } from './doctor.ts';
import { enrollVerb } from './enroll.ts';
import { explainVerb } from './explain.ts';
import { flashVerb } from './flash.ts';
import { initVerb } from './init.ts';
import { initSiteVerb } from './init-site.ts';
import { lockVerb } from './lock.ts';
import { personalizeVerb } from './personalize.ts';
import { planVerb } from './plan.ts';
import { recoverVerb } from './recover.ts';
import type { Tool } from './tool.ts';
import { validateVerb } from './validate.ts';

/** A verb adds itself to the program; `run` wraps its action. */
export type Verb = (run: RunAction, tool: Tool) => Command;
export type RunAction = <A extends unknown[]>(
  action: (...args: A) => Promise<ExitCode | undefined>,
) => (...args: A) => Promise<void>;

const verbs: readonly Verb[] = [
  initVerb,
  initSiteVerb,
  validateVerb,
  planVerb,
  lockVerb,
  buildVerb,
  cacheVerb,
  auditVerb,
  bootVerb,
  personalizeVerb,
  flashVerb,
  enrollVerb,
  recoverVerb,
  explainVerb,
  doctorVerb,
];

const EXIT_CODES = `
Exit codes:
  0    all went well
  1    a step failed
  2    the configuration or the command line is wrong
  3    an audit check failed
  130  interrupted
`;

/**
 * Runs one command line (without node and script) and gives the exit code.
 * @throws UserError for a wrong command line, and whatever the verb throws
 */
export async function runProgram(argv: readonly string[], tool: Tool): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok;
  const run: RunAction =
    (action) =>
    async (...args) => {
      code = (await action(...args)) ?? EXIT.ok;
    };
  const program = new Command('amslpr-image')
    .description('Builds, audits, boots and stamps a hardened Raspberry Pi image for an AMSLPR site.')
    .version(tool.version)
    .option('-v, --verbose', 'show commands and all of their output')
    .addHelpText('after', `${EXIT_CODES}\nExample:\n  amslpr-image plan config/amslpr.yaml`);
  for (const verb of verbs) program.addCommand(verb(run, tool));
  prepare(program, tool);
  try {
    if (argv.length === 0) {
      throw new UserError({
        message: 'A verb is missing',
        hint: `One of: ${program.commands.map((c) => c.name()).join(', ')}. \`amslpr-image --help\` tells what they do.`,
      });
    }
    const [first, topic] = argv;
    // commander would show the page of all verbs and call it an error without words.
    if (first === 'help' && topic !== undefined && !program.commands.some((c) => c.name() === topic)) {
      const near = mostSimilar(
        topic,
        program.commands.map((c) => c.name()),
      );
      const hint = near === undefined ? '`amslpr-image --help` shows what is allowed.' : `Did you mean ${near}?`;
      throw new UserError({ message: `unknown command '${topic}'`, hint });
    }
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return EXIT.ok;
    throw usageError(error, program, argv);
  }
  return code;
}

function prepare(command: Command, tool: Tool): void {
  command
    .exitOverride()
    .configureHelp({ helpWidth: 80, showGlobalOptions: true })
    .configureOutput({ writeOut: tool.print, writeErr: () => undefined, outputError: () => undefined });
  for (const inner of command.commands) prepare(inner, tool);
}

/** commander's own message, "error: unknown option '--jsn'\n(Did you mean --json?)", in our form. */
function usageError(error: CommanderError, program: Command, argv: readonly string[]): UserError {
  const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const suggestion = rest
    .join(' ')
    .replace(/^\((.*)\)$/, '$1')
    .trim();
  const words = argv.filter((word) => !word.startsWith('-'));
  const verb = program.commands.find((command) => command.name() === words[0]);
  const parts = verb?.commands.map((command) => command.name()) ?? [];
  if (error.code === 'commander.excessArguments' && verb !== undefined && parts.length > 0) {
    // `cache` works alone too, so that commander takes a misspelt word behind it for an argument.
    const near = mostSimilar(words[1] ?? '', parts);
    const hint = near === undefined ? `One of: ${parts.join(', ')}.` : `Did you mean ${near}?`;
    return new UserError({ message: `unknown command '${verb.name()} ${words[1] ?? ''}'`, hint }, { cause: error });
  }
  const help = `\`amslpr-image ${verb === undefined ? '' : `${verb.name()} `}--help\` shows what is allowed.`;
  return new UserError({ message: first, hint: suggestion === '' ? help : `${suggestion} ${help}` }, { cause: error });
}
