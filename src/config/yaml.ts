import { EVENT_ID, getScalarValue, parseEvents, SCALAR_STYLE, YAMLException } from 'js-yaml';
import { codeFrame } from '../core/code-frame.ts';
import { type Problem, UserError } from '../core/errors.ts';

/** A place in the source: offset of the first character of a key or value. */
export interface Places {
  /** JSON pointer (as Ajv writes it) to the offset of the value; '' is the document. */
  readonly values: ReadonlyMap<string, number>;
  /** JSON pointer to the offset of the key. */
  readonly keys: ReadonlyMap<string, number>;
  /** JSON pointer to the text of a plain scalar as it stands in the file. */
  readonly plain: ReadonlyMap<string, string>;
}

export interface Parsed extends Places {
  readonly value: unknown;
}

/** A configuration is a page or two. */
export const MAX_BYTES = 256 * 1024;
const MAX_DEPTH = 100;
/** More than anybody reads, and few enough to be told at once whatever the file holds. */
export const MAX_PROBLEMS = 50;
const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor', 'prototype']);
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is looked for
const CONTROL = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/;

/** Turns offsets of one source into problems with line, column and code frame. */
export function problemAt(file: string, source: string, offset: number, message: string, hint?: string): Problem {
  let line = 1;
  let start = 0;
  for (let end = source.indexOf('\n'); end >= 0 && end < offset; end = source.indexOf('\n', start)) {
    line += 1;
    start = end + 1;
  }
  const column = offset - start + 1;
  const frame = codeFrame(source, line, column);
  return { message, where: { file, line, column }, frame, ...(hint === undefined ? {} : { hint }) };
}

/** The text of a file. @throws UserError for what is no text of a sensible size. */
export function decode(bytes: Uint8Array, file: string): string {
  const fail = (message: string, hint: string): never => {
    throw new UserError({ message, where: { file }, hint });
  };
  if (bytes.length > MAX_BYTES) {
    fail('The file has more than 256 KiB', 'A configuration is a page or two: is this the right file?');
  }
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
    fail('The file is UTF-16, not UTF-8', 'Save it again as UTF-8.');
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return fail('The file is not valid UTF-8', 'Save it again as UTF-8.');
  }
  const control = CONTROL.exec(text);
  if (control !== null) {
    const code = control[0].charCodeAt(0).toString(16).padStart(2, '0');
    throw new UserError(
      problemAt(file, text, control.index, `The file holds the control character 0x${code}`, 'Remove it.'),
    );
  }
  return text;
}

/**
 * Reads one YAML document with its places. Only what a configuration needs is accepted: maps, lists and scalars. A plain
 * scalar is null, true, false or a decimal number, and text otherwise: `no`, `0600` and `12:30:00` are text.
 * @throws UserError with every anchor, alias, tag, repeated key and further document; a syntax error comes alone.
 */
export function parseYaml(text: string, file: string): Parsed {
  const problems: Problem[] = [];
  const values = new Map<string, number>();
  const keys = new Map<string, number>();
  const plain = new Map<string, string>();
  const say = (offset: number, message: string, hint: string): void => {
    if (problems.length < MAX_PROBLEMS) problems.push(problemAt(file, text, Math.max(offset, 0), message, hint));
  };
  const events = eventsOf(text, file);
  let at = 0;
  let documents = 0;
  let value: unknown = null;
  while (at < events.length) {
    const event = events[at];
    at += 1;
    if (event?.type !== EVENT_ID.DOCUMENT) continue;
    documents += 1;
    if (documents === 1) {
      for (const directive of event.directives) say(0, `The directive %${directive.kind} is not allowed`, 'Remove it.');
      value = events[at]?.type === EVENT_ID.POP ? null : node('');
    } else if (documents === 2) {
      const place = text.search(/\n(---|\.\.\.)/) + 1;
      say(place, 'The file holds more than one document', 'Remove everything from the second --- on.');
    }
  }
  if (problems.length > 0) throw new UserError(problems);
  return { value, values, keys, plain };

  function node(pointer: string): unknown {
    const event = events[at];
    at += 1;
    if (event === undefined) return null;
    if ('anchorStart' in event && event.anchorStart >= 0) {
      const kind = event.type === EVENT_ID.ALIAS ? 'An alias' : 'An anchor';
      say(event.anchorStart, `${kind} is not allowed`, 'Write the value out in each place.');
    }
    if ('tagStart' in event && event.tagStart >= 0) {
      const tag = text.slice(event.tagStart, event.tagEnd);
      say(event.tagStart, `The tag ${tag} is not allowed`, 'Write the plain value; text goes in quotes.');
    }
    switch (event.type) {
      case EVENT_ID.SCALAR: {
        values.set(pointer, Math.max(event.valueStart, 0));
        const content = getScalarValue(text, event);
        // Quoted and block text is text, whatever it holds.
        if (event.style !== SCALAR_STYLE.PLAIN || content.includes('\n')) return content;
        plain.set(pointer, content);
        return plainValue(content);
      }
      case EVENT_ID.SEQUENCE: {
        values.set(pointer, event.start);
        const list: unknown[] = [];
        while (at < events.length && events[at]?.type !== EVENT_ID.POP) list.push(node(`${pointer}/${list.length}`));
        at += 1;
        return list;
      }
      case EVENT_ID.MAPPING:
        values.set(pointer, event.start);
        return mapping(pointer);
      default:
        return null;
    }
  }

  function mapping(pointer: string): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    while (at < events.length && events[at]?.type !== EVENT_ID.POP) {
      const event = events[at];
      const offset = event !== undefined && 'valueStart' in event ? Math.max(event.valueStart, 0) : 0;
      const isText = event?.type === EVENT_ID.SCALAR;
      const name = isText ? getScalarValue(text, event) : '';
      node(`${pointer}/?`);
      const inner = `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
      const content = node(inner);
      if (!isText) say(offset, 'A key must be a plain word', 'Write `key: value`.');
      else if (FORBIDDEN_KEYS.has(name) || name === '<<') say(offset, `The key ${name} is not allowed`, 'Remove it.');
      else if (Object.hasOwn(map, name)) say(offset, `The key ${name} stands here twice`, 'Keep one of the two.');
      else {
        keys.set(inner, offset);
        map[name] = content;
      }
    }
    at += 1;
    return map;
  }
}

function eventsOf(text: string, file: string): ReturnType<typeof parseEvents> {
  try {
    return parseEvents(text, { filename: file, maxDepth: MAX_DEPTH });
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    const offset = error.mark?.position ?? 0;
    const tab = /\t/.test(text.slice(text.lastIndexOf('\n', offset - 1) + 1, offset + 1));
    const hint = tab
      ? 'Indent with spaces, not tabs.'
      : 'Look at the line and the one above it: indentation, a missing colon or quote.';
    throw new UserError(problemAt(file, text, offset, `This is not valid YAML: ${error.reason}`, hint));
  }
}

function plainValue(content: string): unknown {
  if (content === '' || content === '~' || content === 'null') return null;
  if (content === 'true') return true;
  if (content === 'false') return false;
  if (/^-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,15})?$/.test(content)) return Number(content);
  return content;
}
