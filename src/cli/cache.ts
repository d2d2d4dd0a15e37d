import { Command } from 'commander';
import type { CacheEntry } from '../cache/entries.ts';
import { choosePruned, type PruneRule, parseAge, parseSize, prune } from '../cache/prune.ts';
import { EXIT, UserError } from '../core/errors.ts';
import type { Cache } from '../host/cache.ts';
import type { Namespace } from '../host/namespace.ts';
import { cacheTable, prunedText, total } from './cache-table.ts';
import type { Verb } from './program.ts';
import type { Tool } from './tool.ts';

const DEFAULT_AGE = '30d';
const KINDS = ['layer', 'toolbox', 'package'] as const;

interface PruneFlags {
  readonly olderThan?: string;
  readonly maxSize?: string;
  readonly dryRun?: true;
}

interface Opened {
  readonly cache: Cache;
  readonly namespace: Namespace;
  readonly entries: readonly CacheEntry[];
}

async function open(): Promise<Opened> {
  const [{ openCache }, { openNamespace }, { listEntries }] = await Promise.all([
    import('../host/cache.ts'),
    import('../host/namespace.ts'),
    import('../cache/entries.ts'),
  ]);
  const cache = await openCache();
  const namespace = await openNamespace(cache);
  return { cache, namespace, entries: await listEntries(cache, namespace) };
}

const wrong = (option: string, value: string, examples: string): UserError =>
  new UserError({ message: `${option} ${value}: that cannot be read`, hint: `Examples: ${examples}.` });

function ruleOf({ olderThan, maxSize }: PruneFlags): PruneRule {
  const age = olderThan ?? (maxSize === undefined ? DEFAULT_AGE : undefined);
  const [milliseconds, bytes] = [age && parseAge(age), maxSize && parseSize(maxSize)];
  if (age !== undefined && milliseconds === undefined) throw wrong('--older-than', age, '12h, 30d, 2w');
  if (maxSize !== undefined && bytes === undefined) throw wrong('--max-size', maxSize, '800M, 4G');
  return {
    ...(typeof milliseconds === 'number' ? { olderThan: milliseconds } : {}),
    ...(typeof bytes === 'number' ? { maxSize: bytes } : {}),
  };
}

export const cacheVerb: Verb = (run, tool) =>
  new Command('cache')
    .summary('show, check, prune or move what builds keep')
    .description('Shows what builds keep for the next one, by kind and age, and what `cache prune` would drop.')
    .addHelpText('after', '\nExample:\n  amslpr-image cache prune --max-size 4G --dry-run')
    .action(
      run(async () => {
        const { cache, entries } = await open();
        const dropped = choosePruned(entries, ruleOf({}), new Date());
        tool.print(cacheTable(cache.root, entries, dropped, new Date(), tool.paint));
        return EXIT.ok;
      }),
    )
    .addCommand(pruneCommand(run, tool))
    .addCommand(verifyCommand(run, tool))
    .addCommand(exportCommand(run, tool))
    .addCommand(importCommand(run, tool));

const pruneCommand: Verb = (run, tool) =>
  new Command('prune')
    .description('Removes what was not used for long, or as much as is needed to keep the cache small.')
    .option(
      '--older-than <age>',
      `what was not used for longer: 12h, 30d, 2w (default: ${DEFAULT_AGE} without --max-size)`,
    )
    .option('--max-size <size>', 'what was used longest ago, until no more than this is left: 800M, 4G')
    .option('--dry-run', 'remove nothing')
    .action(
      run(async (flags: PruneFlags) => {
        const rule = ruleOf(flags);
        const { cache, namespace, entries } = await open();
        const chosen = choosePruned(entries, rule, new Date());
        if (flags.dryRun === true) {
          tool.print(`${prunedText(chosen)}Nothing was removed.\n`);
          return EXIT.ok;
        }
        const { removed, busy, leftovers } = await prune(cache, namespace, chosen, tool.signal);
        tool.print(`${prunedText(removed)}Removed: ${removed.length} entries, ${total(removed)}.\n`);
        if (leftovers.length > 0) tool.print(`Removed what killed builds had left: ${leftovers.join(', ')}\n`);
        if (busy.length > 0)
          tool.print(`Kept, since a build is using them: ${busy.map(({ name }) => name).join(', ')}\n`);
        return EXIT.ok;
      }),
    );

const verifyCommand: Verb = (run, tool) =>
  new Command('verify')
    .description('Reads and hashes everything in the cache, and drops what is damaged: builds will make it again.')
    .action(
      run(async () => {
        const { cache, namespace, entries } = await open();
        const { verifyEntries } = await import('../cache/verify.ts');
        const { tellDamage } = await import('../host/layer.ts');
        const progress = (done: number): void =>
          tool.log({ kind: 'progress', step: 'cache', done, total: entries.length, unit: 'files' });
        const damaged = await verifyEntries(cache, namespace, entries, progress, tool.signal);
        for (const { entry, damage } of damaged) tellDamage(tool.log, entry.path, damage);
        tool.print(`${entries.length} entries, ${damaged.length} damaged${damaged.length > 0 ? ' and removed' : ''}\n`);
        return damaged.length > 0 ? EXIT.failed : EXIT.ok;
      }),
    );

const exportCommand: Verb = (run, tool) =>
  new Command('export')
    .description('Writes the cache to one archive, to be imported elsewhere. A name in .zst has it compressed.')
    .argument('<file>', 'the archive')
    .option('--without <kinds...>', `leave out: ${KINDS.join(', ')}`)
    .action(
      run(async (file: string, { without = [] }: { without?: string[] }) => {
        const unknown = without.find((kind) => !KINDS.some((one) => one === kind));
        if (unknown !== undefined) throw wrong('--without', unknown, KINDS.join(', '));
        const opened = await open();
        const { exportCache } = await import('../cache/transfer.ts');
        const wanted = opened.entries.filter(
          ({ kind }) => KINDS.some((one) => one === kind) && !without.includes(kind),
        );
        const count = await exportCache({ ...opened, signal: tool.signal }, wanted, file);
        tool.print(`${file}: ${count} entries\n`);
        return EXIT.ok;
      }),
    );

const importCommand: Verb = (run, tool: Tool) =>
  new Command('import')
    .description(
      'Takes an archive of `cache export` into the cache. Every entry is checked; the archive has to be one of yours.',
    )
    .argument('<file>', 'the archive')
    .action(
      run(async (file: string) => {
        const { cache, namespace } = await open();
        const { importCache } = await import('../cache/transfer.ts');
        const { taken, known, damaged } = await importCache(
          { cache, namespace, log: tool.log, signal: tool.signal },
          file,
        );
        tool.print(`${taken} entries taken, ${known} were there already, ${damaged} damaged\n`);
        return damaged > 0 ? EXIT.failed : EXIT.ok;
      }),
    );
