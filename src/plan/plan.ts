import { basename } from 'node:path';
import type { PlannedCheck, RunCheck } from '../core/check.ts';
import type { Config } from '../core/config.ts';
import type { AbsPath, Contribution } from '../core/contribution.ts';
import { UserError } from '../core/errors.ts';
import type { Plan, PlannedFile } from '../core/plan.ts';
import type { AnyStage, Collected, StageContext, Target } from '../core/stage.ts';
import { HOST_PATH } from '../core/values.ts';
import { digestOf } from './digest.ts';
import { type Contributed, merge } from './merge.ts';
import { resolveFile } from './resolve.ts';
import { sourceFiles } from './source-files.ts';

/**
 * Runs the stages of a validated configuration and merges what they contribute. Pure but for reading overlays and
 * sources below `root`, the project's folder.
 * @throws UserError for conflicts between stages and for a stage whose needs are left out.
 */
export function makePlan(config: Config, stages: readonly AnyStage[], root: string): Plan {
  const used = stages.filter((stage) => config.stages[stage.name] !== false);
  checkNeeds(used, stages);
  const target: Target = { base: config.base.kind, suite: 'trixie', architecture: 'arm64' };
  const settle = (stage: AnyStage, contribution: Contribution): Contributed => ({
    stage: stage.name,
    contribution,
    files: (contribution.files ?? []).flatMap((file) => resolveFile(file, stage.name, root)),
  });
  const optionsOf = (stage: AnyStage): Record<string, unknown> => {
    const options = config.stages[stage.name];
    if (options === undefined || options === false) throw new TypeError(`no options for stage ${stage.name}`);
    return options;
  };
  const contexts = new Map(used.map((stage) => [stage, contextOf(target, root)]));
  const context = (stage: AnyStage): StageContext => contexts.get(stage) ?? contextOf(target, root);

  const first = used.map((stage) => settle(stage, stage.contribute(optionsOf(stage), context(stage))));
  const collected = collect(first.map(({ contribution }) => contribution));
  const second = used.flatMap((stage) => {
    const more = stage.collect?.(collected, optionsOf(stage), context(stage));
    return more === undefined ? [] : [settle(stage, more)];
  });
  const everything = [...first, ...second];
  const checks = merge(everything).checks;
  const merged = merge([...everything, checksFile(checks)]);
  const head = { name: config.name, target, base: config.base, stages: used.map(({ name }) => name) };
  // Where the base image lies on this host changes nothing, and is nobody's business on the device.
  const { base } = config;
  const known = base.kind === 'debian' ? head : { ...head, base: { ...base, image: basename(base.image) } };
  const inner = digestOf({ ...known, ...merged });
  const image = imageFile({
    ...known,
    digest: inner,
    sources: merged.sources,
    options: Object.fromEntries(used.map((s) => [s.name, withoutHostPaths(s, optionsOf(s))])),
  });
  const whole = merge([...everything, checksFile(checks), image]);
  return { ...head, ...whole, digest: inner };
}

/** Where something lies on the host that builds is nobody's business on the device. */
function withoutHostPaths(stage: AnyStage, options: Record<string, unknown>): Record<string, unknown> {
  const pathLike = (name: string): boolean =>
    (stage.options.properties[name] as { pattern?: string } | undefined)?.pattern === HOST_PATH;
  return Object.fromEntries(Object.entries(options).filter(([name]) => !pathLike(name)));
}

function contextOf(target: Target, root: string): StageContext {
  return {
    target,
    overlay: (path, options = {}) => ({
      path,
      mode: options.mode ?? '0644',
      owner: options.owner ?? 'root:root',
      content: { kind: 'overlay', ...(options.data === undefined ? {} : { data: options.data }) },
      ...(options.capabilities === undefined ? {} : { capabilities: options.capabilities }),
      ...(options.initramfs === undefined ? {} : { initramfs: options.initramfs }),
    }),
    sourceFiles: (source, include, exclude) => sourceFiles(root, source, include, exclude),
  };
}

function checkNeeds(used: readonly AnyStage[], all: readonly AnyStage[]): void {
  const missing = used.flatMap((stage) =>
    (stage.needs ?? [])
      .filter((need) => !used.some((other) => other.name === need))
      .map((need) => ({
        message: all.some((other) => other.name === need)
          ? `stage ${stage.name} needs stage ${need}, which is set to false`
          : `stage ${stage.name} needs stage ${need}, which does not exist`,
        hint: `Leave out ${stage.name} as well, or take ${need} back in.`,
      })),
  );
  if (missing.length > 0) throw new UserError(missing);
}

function collect(all: readonly Contribution[]): Collected {
  return {
    openPorts: all.flatMap((one) => one.openPorts ?? []),
    dataBinds: all.flatMap((one) => one.dataBinds ?? []),
    plainSecrets: all.flatMap((one) => one.plainSecrets ?? []),
    cmdline: [...new Set(all.flatMap((one) => one.cmdline ?? []))],
    configTxt: [...new Set(all.flatMap((one) => one.configTxt ?? []))],
  };
}

/** Expressions as Python takes them: the flags in front, since the source alone would lose them. */
const sources = (list: RegExp | readonly RegExp[] | undefined): string[] =>
  [list ?? []].flat().map(({ source, flags }) => (flags === '' ? source : `(?${flags})${source}`));

function planned(path: AbsPath, value: unknown): Contributed {
  const file: PlannedFile = {
    path,
    type: 'file',
    mode: '0644',
    owner: 'root:root',
    initramfs: false,
    stage: 'plan',
    bytes: Buffer.from(`${JSON.stringify(value, null, 1)}\n`),
  };
  return { stage: 'plan', contribution: {}, files: [file] };
}

/** The facts that the device answers about itself; its own runner reads them (device/amslpr_device/audit.py). */
function checksFile(checks: readonly PlannedCheck[]): Contributed {
  const questions = checks
    .filter((check): check is PlannedCheck & RunCheck => check.kind === 'run')
    .map(({ id, title, guide = [], run, matches, lacks, exit = 0, when = 'always' }) => ({
      id,
      title,
      guide,
      run,
      matches: sources(matches),
      lacks: sources(lacks),
      exit,
      when,
    }));
  return planned('/usr/share/amslpr/checks.json', questions);
}

const imageFile = (image: unknown): Contributed => planned('/usr/share/amslpr/image.json', image);
