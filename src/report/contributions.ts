import { Value } from 'typebox/value';
import type { PlannedCheck } from '../core/check.ts';
import type { Contribution, FileSpec } from '../core/contribution.ts';
import type { AnyStage, Collected, StageContext, Target } from '../core/stage.ts';

/** A stage with what it contributes, both parts (`contribute` and `collect`), in order. */
export interface StageParts {
  readonly stage: AnyStage;
  readonly parts: readonly Contribution[];
}

const target: Target = { base: 'debian', suite: 'trixie', architecture: 'arm64' };

/** What stages contribute with their defaults, for pages made from them. Reads no
 * file: overlays stay descriptions, and source folders are empty. */
export function defaultContributions(stages: readonly AnyStage[]): StageParts[] {
  const made = stages.map((stage) => {
    const options = Value.Create(stage.options);
    const context: StageContext = { target, overlay, sourceFiles };
    return { stage, options, context, part: stage.contribute(options, context) };
  });
  const parts = made.map(({ part }) => part);
  const collected: Collected = {
    openPorts: parts.flatMap((part) => part.openPorts ?? []),
    dataBinds: parts.flatMap((part) => part.dataBinds ?? []),
    plainSecrets: parts.flatMap((part) => part.plainSecrets ?? []),
    cmdline: parts.flatMap((part) => part.cmdline ?? []),
    configTxt: parts.flatMap((part) => part.configTxt ?? []),
  };
  return made.map(({ stage, options, context, part }) => ({
    stage,
    parts: [part, ...(stage.collect ? [stage.collect(collected, options, context)] : [])],
  }));
}

/** All checks of these stages with their full ids. */
export function checksOf(all: readonly StageParts[]): PlannedCheck[] {
  return all.flatMap(({ stage, parts }) =>
    parts.flatMap((part) =>
      Object.entries(part.checks ?? {}).map(([key, check]) => ({
        ...check,
        id: `${stage.name}/${key}`,
        stage: stage.name,
      })),
    ),
  );
}

const overlay: StageContext['overlay'] = (path, options = {}): FileSpec => ({
  path,
  mode: options.mode ?? '0644',
  owner: options.owner ?? 'root:root',
  content: options.data === undefined ? { kind: 'overlay' } : { kind: 'overlay', data: options.data },
});

/** The two files that every release has; how many there are is of no interest to a page. */
const sourceFiles: StageContext['sourceFiles'] = () => ({
  files: ['config.json', 'src/web/app.py'].map((path) => ({ path, bytes: new Uint8Array(), sha256: '' })),
  digest: 'RELEASE',
});
