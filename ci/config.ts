#!/usr/bin/env -S npx tsx
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configText } from '../src/config/init.ts';
import { schemaText } from '../src/config/schema.ts';
import { stages } from '../stages/index.ts';

// Writes the JSON Schema of configurations and the default profile, which are made from the stages. A unit test fails
// while they differ from what this would write.
const config = join(import.meta.dirname, '..', 'config');
writeFileSync(join(config, 'amslpr.schema.json'), schemaText(stages));
writeFileSync(join(config, 'amslpr.yaml'), configText(stages, { name: 'amslpr', options: {} }, './amslpr.schema.json'));
