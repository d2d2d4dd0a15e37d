import type { TSchema } from 'typebox';

interface Words {
  readonly description?: string;
  readonly type?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly anyOf?: readonly { readonly const?: unknown }[];
}

/** What an option means and takes, in a sentence or two. */
export function optionText(schema: TSchema): string {
  const { description = '', ...words } = schema as Words;
  const values = valuesText(words);
  return [description, values === '' ? '' : `${values}.`].filter((part) => part !== '').join(' ');
}

/** The values that an option takes, where its description need not say it: "1 to 65535", "off or low". */
function valuesText({ type, minimum, maximum, anyOf }: Words): string {
  if (anyOf !== undefined) return `One of ${anyOf.map((one) => String(one.const)).join(', ')}`;
  if (type === 'array') return 'A list: a line with `- ` for each entry';
  if (minimum !== undefined && maximum !== undefined) return `${minimum} to ${maximum}`;
  return '';
}
