import { readFileSync } from 'node:fs';
import type { Plan, PlannedFile } from '../core/plan.ts';
import { sha256 } from './digest.ts';

/** A planned file with the digest of its bytes in their place. */
export interface FileRecord extends Omit<PlannedFile, 'bytes'> {
  readonly size?: number;
  readonly sha256?: string;
}

/** A check with its expressions as text, `/source/flags`. */
export type CheckRecord = {
  readonly id: string;
  readonly stage: string;
  readonly title: string;
  readonly guide?: readonly number[];
} & Readonly<Record<string, unknown>>;

/** The plan as plain JSON: what `plan --json` prints and a build leaves as NAME.plan.json. */
export interface PlanRecord extends Omit<Plan, 'files' | 'checks'> {
  readonly files: readonly FileRecord[];
  readonly checks: readonly CheckRecord[];
}

export function recordOf(plan: Plan): PlanRecord {
  const files = plan.files.map(({ bytes, ...file }) =>
    bytes === undefined ? file : { ...file, size: bytes.length, sha256: sha256(bytes) },
  );
  const checks = plan.checks.map((check) => JSON.parse(JSON.stringify(check, expressionText)) as CheckRecord);
  return { ...plan, files, checks };
}

const expressionText = (_key: string, value: unknown): unknown => (value instanceof RegExp ? String(value) : value);

/** The plan of the last build, or nothing: a file that is not there or is of another version tells no changes. */
export function readPlanRecord(file: string): PlanRecord | undefined {
  try {
    const content: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return isRecord(content) ? content : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(content: unknown): content is PlanRecord {
  if (content === null || typeof content !== 'object') return false;
  const { digest, files, packages, units, checks } = content as Record<string, unknown>;
  return typeof digest === 'string' && [files, packages, checks].every(Array.isArray) && typeof units === 'object';
}
