import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { EXIT, UserError } from '../src/core/errors.ts';
import { openCache } from '../src/host/cache.ts';
import { openNamespace } from '../src/host/namespace.ts';
import { readExceptions, tailoringFile } from '../src/score/exceptions.ts';
import { PROFILES } from '../src/score/measures/openscap.ts';
import { mergeReports, type StoredReport } from '../src/score/merge.ts';
import { MEASURES, score } from '../src/score/score.ts';
import { scorePage } from '../src/score/table.ts';
import { lockScanTools } from '../src/score/tools.ts';
import { describeError } from '../src/ui/errors.ts';
import { plainLog } from '../src/ui/log.ts';
import { paintWith } from '../src/ui/text.ts';

// What ci/score runs; its head says how.
const project = join(import.meta.dirname, '..');
const paint = paintWith(false);
const log = plainLog({ write: (text) => process.stderr.write(text), width: 100 }, { paint });
const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interrupt.abort());

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      lock: { type: 'boolean' },
      all: { type: 'boolean' },
      only: { type: 'string' },
      page: { type: 'string' },
      json: { type: 'string' },
      tailoring: { type: 'string' },
      plain: { type: 'string' },
      title: { type: 'string' },
      merge: { type: 'string' },
      devices: { type: 'string' },
    },
  });
  const { signal } = interrupt;
  if (values.lock === true) {
    const cache = await openCache();
    const place = { cache, namespace: await openNamespace(cache), log, signal };
    await lockScanTools(place, join(project, 'config', 'score.lock.yaml'));
    return EXIT.ok;
  }
  const exceptions = await readExceptions(join(project, 'config', 'score.yaml'));
  const day = new Date().toISOString().slice(0, 10);
  if (values.tailoring !== undefined) {
    const names = PROFILES.map(({ name }) => name);
    await writeFile(values.tailoring, tailoringFile(exceptions['openscap'] ?? [], names, `${day}T00:00:00`));
    return EXIT.ok;
  }
  if (values.merge !== undefined) {
    const devices = values.devices === undefined ? undefined : await readReport(values.devices);
    const merged = mergeReports(await Promise.all(values.merge.split(',').map(readReport)), devices);
    await put(scorePage({ ...merged, title: values.title ?? 'Scores', exceptions }), values.page);
    return EXIT.ok;
  }
  if (values.devices !== undefined) {
    throw new UserError({
      message: '--devices is for --merge alone',
      hint: 'ci/score --merge JSON,JSON --devices JSON',
    });
  }
  const image = positionals[0];
  if (image === undefined || positionals.length > 1 || !existsSync(image)) {
    throw new UserError({ message: 'One image is needed', hint: 'ci/score out/amslpr.img --page docs/scores.md' });
  }
  const only = values.all === true ? MEASURES.map(({ name }) => name) : values.only?.split(',');
  const report = await score(resolve(image), {
    ...{ project, log, signal },
    ...(only ? { only } : {}),
    ...(values.plain === undefined ? {} : { plain: resolve(values.plain) }),
  });
  const subject = await described(image);
  const title = values.title ?? 'Scores';
  const page = scorePage({ ...report, title, subject, day, exceptions });
  await put(page, values.page);
  if (values.json !== undefined) {
    await writeFile(values.json, `${JSON.stringify({ subject, day, ...report, exceptions }, undefined, 2)}\n`);
  }
  return report.figures.some(({ met }) => met === false) ? EXIT.audit : EXIT.ok;
}

async function put(page: string, file: string | undefined): Promise<void> {
  process.stdout.write(page);
  if (file !== undefined) await writeFile(file, page);
}

const readReport = async (file: string): Promise<StoredReport> =>
  JSON.parse(await readFile(file, 'utf8')) as StoredReport;

/** The image's name and the digest of the plan beside it, when that is there. */
async function described(image: string): Promise<string> {
  const text = await readFile(image.replace(/\.img(\.\w+)?$/, '.plan.json'), 'utf8').catch(() => '{}');
  const { digest } = JSON.parse(text) as { digest?: string };
  return `\`${basename(image)}\`${digest === undefined ? '' : ` (plan ${digest.slice(0, 16)})`}`;
}

try {
  process.exit(await main());
} catch (error) {
  const { text, code } = describeError(interrupt.signal.aborted ? interrupt.signal.reason : error, {
    paint,
    width: 100,
  });
  process.stderr.write(text);
  process.exit(code);
}
