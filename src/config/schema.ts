import { type TSchema, Type } from 'typebox';
import type { AnyStage } from '../core/stage.ts';
import { BASE_IMAGE, textOf } from '../core/values.ts';

const BASE = Type.Object(
  {
    kind: Type.Union([Type.Literal('debian'), Type.Literal('raspios')], {
      default: 'debian',
      description: "Bootstrapped from Debian's arm64 packages, or an image file of Raspberry Pi OS.",
    }),
    image: Type.Optional(
      Type.String({
        pattern: BASE_IMAGE,
        examples: ['2026-06-18-raspios-trixie-arm64-lite.img.xz'],
        description:
          'With `raspios`: the image of Raspberry Pi OS Lite (trixie, 64 bits): a path, from the folder of this file on, or a URL; .img, .img.xz or .img.zst.',
      }),
    ),
    sha256: Type.Optional(
      textOf('sha256', {
        description: 'With `raspios`: SHA-256 of that file as it is downloaded. Needed for a URL.',
      }),
    ),
    mirror: Type.Optional(
      textOf('archiveUrl', {
        description: "Package archive to take instead of the host's own: a URL whose dists/ holds trixie.",
      }),
    ),
  },
  { additionalProperties: false, default: {}, description: 'Where the root file system starts.' },
);

const NAME = textOf('imageName', {
  default: 'amslpr',
  description: "Stem of the output files' names.",
});

/** What a configuration must look like once stages that are `false` are taken out: every key has a default. */
export function optionsSchema(stages: readonly AnyStage[]): TSchema {
  const properties: Record<string, TSchema> = { name: NAME, base: BASE };
  for (const stage of stages) properties[stage.name] = { ...stage.options, default: {} } as TSchema;
  return Type.Object(properties, { additionalProperties: false });
}

/** The JSON Schema for editors (config/amslpr.schema.json): nothing that has a default is required, stages may be false. */
function editorSchema(stages: readonly AnyStage[]): Record<string, unknown> {
  const properties: Record<string, unknown> = { name: NAME, base: withoutDefaulted(BASE) };
  for (const stage of stages) {
    properties[stage.name] = {
      description: `${stage.title}. ${stage.about}`,
      anyOf: [withoutDefaulted(stage.options), { const: false, description: 'Leave this stage out.' }],
    };
  }
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'amslpr-image configuration',
    type: 'object',
    additionalProperties: false,
    properties,
  };
}

/** Takes keys with a default out of `required`, everywhere inside. */
function withoutDefaulted(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutDefaulted);
  if (schema === null || typeof schema !== 'object') return schema;
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, withoutDefaulted(value)]));
  const { properties, required } = copy as { properties?: Record<string, object>; required?: string[] };
  if (required === undefined || properties === undefined) return copy;
  const left = required.filter((name) => !('default' in (properties[name] ?? {})));
  const { required: _all, ...rest } = copy;
  return left.length === 0 ? rest : { ...rest, required: left };
}

/** The file config/amslpr.schema.json. */
export const schemaText = (stages: readonly AnyStage[]): string => `${JSON.stringify(editorSchema(stages), null, 2)}\n`;
