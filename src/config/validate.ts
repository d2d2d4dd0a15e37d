import { dirname, resolve } from 'node:path';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import type { Config } from '../core/config.ts';
import { type Problem, UserError } from '../core/errors.ts';
import type { BaseSpec } from '../core/plan.ts';
import type { AnyStage } from '../core/stage.ts';
import { optionsSchema } from './schema.ts';
import { mostSimilar } from './similar.ts';
import { MAX_PROBLEMS, type Parsed, problemAt } from './yaml.ts';

/**
 * Checks a parsed document against the stages' options and fills in defaults.
 * @throws UserError with every problem, each at its place in the file.
 */
export function validateConfig(parsed: Parsed, source: string, file: string, stages: readonly AnyStage[]): Config {
  const document = parsed.value ?? {};
  const at = (pointer: string, message: string, hint?: string): Problem =>
    problemAt(file, source, parsed.keys.get(pointer) ?? parsed.values.get(pointer) ?? 0, message, hint);
  if (typeof document !== 'object' || Array.isArray(document)) {
    throw new UserError(at('', `A configuration is a map of stages, found ${show(document)}`, 'Write `name: amslpr`.'));
  }
  const left = new Set(stages.map(({ name }) => name).filter((name) => Reflect.get(document, name) === false));
  const options: Record<string, unknown> = Object.fromEntries(
    Object.entries(document)
      .filter(([name]) => !left.has(name))
      // `sshd:` with nothing below it is what is left when all its lines are commented out.
      .map(([name, value]) => [name, value ?? {}]),
  );
  const check = validatorOf(stages);
  if (!check(options)) {
    const errors = withoutEchoes(check.errors ?? []);
    const problems = errors.slice(0, MAX_PROBLEMS).map((error) => explain(error, parsed, at));
    throw new UserError(problems.sort(byPlace));
  }
  checkNeeds(stages, left, at);
  const { name, base, ...rest } = options;
  return {
    name: name as string,
    base: baseOf(base as BaseOptions, file, at),
    stages: Object.fromEntries(
      stages.map((stage) => [stage.name, left.has(stage.name) ? false : (rest[stage.name] as Record<string, unknown>)]),
    ),
  };
}

/** The base, with a path from the folder of the configuration on. @throws UserError for options that do not go together */
function baseOf({ kind, mirror, image, sha256 }: BaseOptions, file: string, at: At): BaseSpec {
  const problems: Problem[] = [];
  const common = mirror === undefined ? {} : { mirror };
  if (kind === 'debian') {
    for (const [name, value] of Object.entries({ image, sha256 })) {
      if (value === undefined) continue;
      problems.push(
        at(`/base/${name}`, `base.${name} is for the base raspios only`, 'Set base.kind to raspios, or remove it.'),
      );
    }
    if (problems.length > 0) throw new UserError(problems.sort(byPlace));
    return { kind, ...common };
  }
  if (image === undefined) {
    const hint = 'Name the image of Raspberry Pi OS Lite: image: PATH, or image: URL with its sha256.';
    throw new UserError(at('/base', 'base lacks image, which the base raspios starts from', hint));
  }
  const remote = /^https?:\/\//.test(image);
  if (!remote && /^[a-z]+:\/\//.test(image)) {
    const hint = 'Give an http or https URL, or the path of a file on this host.';
    problems.push(at('/base/image', `base.image is neither a path nor an http URL; found ${show(image)}`, hint));
  }
  if (remote && sha256 === undefined) {
    const hint = 'Write the SHA-256 that is published beside the image: sha256: …';
    problems.push(at('/base/image', 'base.image is a URL, and base.sha256 is missing', hint));
  }
  if (problems.length > 0) throw new UserError(problems);
  const place = remote ? image : resolve(dirname(file), image);
  return { kind, image: place, ...(sha256 === undefined ? {} : { sha256 }), ...common };
}

interface BaseOptions {
  readonly kind: 'debian' | 'raspios';
  readonly mirror?: string;
  readonly image?: string;
  readonly sha256?: string;
}

/** A stage that another one needs cannot be left out; the place is where it is left out. */
function checkNeeds(stages: readonly AnyStage[], left: ReadonlySet<string>, at: At): void {
  const problems = [...left].flatMap((name) => {
    const users = stages
      .filter((stage) => !left.has(stage.name) && stage.needs?.includes(name))
      .map((stage) => stage.name);
    if (users.length === 0) return [];
    const message = `${users.length === 1 ? 'Stage' : 'Stages'} ${users.join(', ')} cannot do without ${name}, which is left out`;
    return [at(`/${name}`, message, `Keep ${name}, or leave out ${users.join(', ')} as well.`)];
  });
  if (problems.length > 0) throw new UserError(problems.sort(byPlace));
}

const byPlace = (a: Problem, b: Problem): number =>
  (a.where?.line ?? 0) - (b.where?.line ?? 0) || (a.where?.column ?? 0) - (b.where?.column ?? 0);

const validators = new WeakMap<readonly AnyStage[], ValidateFunction>();

/** Compiled once for each list of stages: that takes longer than everything else. */
function validatorOf(stages: readonly AnyStage[]): ValidateFunction {
  const compiled = validators.get(stages);
  if (compiled !== undefined) return compiled;
  const ajv = new Ajv({
    allErrors: true,
    strict: true,
    useDefaults: true,
    verbose: true,
    allowUnionTypes: true,
    // Our schema is the same each time: a test compares it with the meta-schema, which would be compiled here first.
    meta: false,
    validateSchema: false,
    // The code runs once: to make it shorter takes longer than to run it as it is.
    code: { optimize: false },
  });
  const check = ajv.compile(optionsSchema(stages));
  validators.set(stages, check);
  return check;
}

/** Of an alternative, Ajv reports each branch and then the whole: the branches say the same more confusingly. */
function withoutEchoes(errors: readonly ErrorObject[]): ErrorObject[] {
  const wholes = [...new Set(errors.filter(({ keyword }) => keyword === 'anyOf').map(({ schemaPath }) => schemaPath))];
  return errors.filter((error) => !wholes.some((whole) => error.schemaPath.startsWith(`${whole}/`)));
}

type At = (pointer: string, message: string, hint?: string) => Problem;

function explain(error: ErrorObject, parsed: Parsed, at: At): Problem {
  const pointer = error.instancePath;
  const name = pointer === '' ? 'The configuration' : pointer.slice(1).replaceAll('/', '.').replaceAll('~1', '/');
  const found = `found ${show(error.data, parsed.plain.get(pointer))}`;
  const schema = (error.parentSchema ?? {}) as {
    description?: string;
    examples?: unknown[];
    anyOf?: { const?: unknown }[];
  };
  const about = schema.description;
  switch (error.keyword) {
    case 'additionalProperties': {
      const key = String(error.params['additionalProperty']);
      const known = Object.keys((error.parentSchema?.['properties'] as object | undefined) ?? {});
      const near = mostSimilar(key, known);
      const allowed = known.length === 0 ? `${name} has no options.` : `Allowed here: ${known.join(', ')}.`;
      const hint = near === undefined ? allowed : `Did you mean ${near}?`;
      return at(
        `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`,
        `${key === '' ? 'An empty key' : key.slice(0, 80)} is not an option ${pointer === '' ? 'here' : `of ${name}`}`,
        hint,
      );
    }
    case 'anyOf':
    case 'const':
    case 'enum': {
      const allowed = (schema.anyOf?.map((one) => one.const) ??
        error.params['allowedValues'] ?? [error.params['allowedValue']]) as unknown[];
      const words = allowed.filter((one) => one !== undefined).map(String);
      const near = typeof error.data === 'string' ? mostSimilar(error.data, words) : undefined;
      const advice = near === undefined ? '' : ` Did you mean ${near}?`;
      return at(pointer, `${name} is one of ${words.join(', ')}; ${found}`, `${about ?? 'Take one of them.'}${advice}`);
    }
    case 'type': {
      const wanted = [error.params['type']].flat().join(' or ');
      return at(pointer, `${name} must be ${article(wanted)}; ${found}`, typeHint(wanted, about));
    }
    case 'pattern': {
      const example = schema.examples?.[0];
      const form =
        example === undefined ? `must match ${String(error.params['pattern'])}` : 'has not the form it needs';
      const hint = example === undefined ? about : [about, `For example: ${example}`].filter(Boolean).join(' ');
      return at(pointer, `${name} ${form}; ${found}`, hint);
    }
    case 'required':
      return at(pointer, `${name} lacks ${String(error.params['missingProperty'])}`, about);
    default:
      return at(pointer, `${name} ${error.message ?? 'is wrong'}; ${found}`, about);
  }
}

const article = (type: string): string =>
  ({
    integer: 'a whole number',
    number: 'a number',
    string: 'text',
    boolean: 'true or false',
    array: 'a list',
    object: 'a map',
  })[type] ?? type;

function typeHint(wanted: string, about: string | undefined): string {
  const how: Record<string, string> = {
    boolean: 'Write true or false; yes, no, on and off are text.',
    string: "Put the value in quotes: '…'.",
    array: 'Write one line with `- ` for each entry.',
    integer: 'Write a decimal number without quotes and leading zeros.',
    object: 'Write its options below it, each on a line of its own.',
  };
  return [how[wanted], about].filter((one) => one !== undefined).join(' ');
}

function show(value: unknown, plain?: string): string {
  if (plain !== undefined && typeof value === 'string') return `the text ${JSON.stringify(plain.slice(0, 80))}`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value !== null && typeof value === 'object') return 'a map';
  if (value === null) return 'nothing';
  return JSON.stringify(value)?.slice(0, 80) ?? 'nothing';
}
