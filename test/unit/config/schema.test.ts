import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { optionsSchema } from '../../../src/config/schema.ts';
import { stages } from '../../../stages/index.ts';

describe('the schema of the options', () => {
  it('is a valid one, which is not looked at again when a configuration is checked', () => {
    const ajv = new Ajv();
    const schema = optionsSchema(stages);
    expect(ajv.validateSchema(schema), ajv.errorsText()).toBe(true);
    expect(ajv.validateSchema({ ...schema, properties: { name: { type: 'txet' } } })).toBe(false);
  });
});
