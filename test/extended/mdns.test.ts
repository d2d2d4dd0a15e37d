import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { silent } from '../../src/core/log.ts';
import { build } from '../../src/engine/build.ts';
import { makePlan } from '../../src/plan/plan.ts';
import { score } from '../../src/score/score.ts';
import { stages } from '../../stages/index.ts';

// An image that announces its name, seen from a second guest on one cable: it answers to the name, by mDNS alone.

const folder = await mkdtemp(join(tmpdir(), 'amslpr-mdns-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

it('answers to its name over both versions, and to nothing else', async () => {
  const config = join(folder, 'mdns.yaml');
  const usual = await readFile('config/amslpr.yaml', 'utf8');
  await writeFile(config, usual.replace(/^ {2}announce: false$/m, '  announce: true'));
  const plan = makePlan(loadConfig(config, stages), stages, process.cwd());
  // The package that does it is not in the lock of the default image.
  const options = { out: folder, lockFile: join(folder, 'mdns.lock.yaml'), project: process.cwd() };
  const { image } = await build(plan, options, silent);
  const { figures } = await score(image, { project: process.cwd(), only: ['ports'], log: silent });
  expect(figures.filter(({ met }) => !met)).toEqual([]);
  const answers = figures.filter(({ id }) => id.startsWith('ports/mdns-'));
  expect(answers.map(({ figure }) => figure)).toEqual([expect.stringMatching(/^10\.213\.0\.1$/), expect.any(String)]);
  expect(answers.map(({ goal }) => goal)).toEqual(['one, as configured', 'one, as configured']);
});
