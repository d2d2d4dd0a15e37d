import type { AbsPath, Mode, Owner } from './contribution.ts';

/** What every check carries, whatever it looks at. */
interface CheckBase {
  /** A fact that must hold, in the present tense: "Passwords are refused". */
  readonly title: string;
  /** Numbers of the guide's items (1 to 67) that this proves. */
  readonly guide?: readonly number[];
  /** Why it matters, or how our intent differs from the guide's text. */
  readonly why?: string;
}

/** Answered from the finished image file. `path` may hold `*` (one path component) and `**`. */
export interface FileCheck extends CheckBase {
  readonly kind: 'file';
  readonly path: AbsPath;
  readonly mode?: Mode;
  readonly owner?: Owner;
  /** Every one of these must match the content. */
  readonly matches?: RegExp | readonly RegExp[];
  /** None of these may match the content. */
  readonly lacks?: RegExp | readonly RegExp[];
}
export interface LinkCheck extends CheckBase {
  readonly kind: 'link';
  readonly path: AbsPath;
  readonly target: string;
}
export interface DirectoryCheck extends CheckBase {
  readonly kind: 'directory';
  readonly path: AbsPath;
  readonly mode?: Mode;
  readonly owner?: Owner;
  /** The directory must hold nothing. */
  readonly empty?: boolean;
}
export interface AbsentCheck extends CheckBase {
  readonly kind: 'absent';
  readonly path: AbsPath | readonly AbsPath[];
}
export interface UnitCheck extends CheckBase {
  readonly kind: 'unit';
  readonly unit: string;
  readonly is: 'enabled' | 'disabled' | 'masked';
}
export interface PackageCheck extends CheckBase {
  readonly kind: 'package';
  readonly package: string;
  readonly is: 'installed' | 'absent';
}
/** A look at the whole tree or image; the scan itself is in src/audit/scans/<scan>.ts. */
export interface ScanCheck extends CheckBase {
  readonly kind: 'scan';
  readonly scan: string;
  /** What the scan needs to know, e.g. the allow-list of SUID files. JSON values only. */
  readonly with?: Readonly<Record<string, unknown>>;
}
/**
 * Answered in the booted guest, as root, by the image's own runner. `run` is an argument list, no shell; stdout and
 * stderr together are what is matched. The expression has to mean the same to JavaScript and to Python's `re`.
 */
export interface RunCheck extends CheckBase {
  readonly kind: 'run';
  readonly run: readonly string[];
  readonly matches?: RegExp | readonly RegExp[];
  readonly lacks?: RegExp | readonly RegExp[];
  /** Exit code that must come back. Default 0. */
  readonly exit?: number;
  /** When the fact holds: on every device, only once data is open, or only before. Default 'always'. */
  readonly when?: 'always' | 'data-open';
}

export type OfflineCheck = FileCheck | LinkCheck | DirectoryCheck | AbsentCheck | UnitCheck | PackageCheck | ScanCheck;
export type Check = OfflineCheck | RunCheck;

/** A check with its full id, `<stage>/<key>`. */
export type PlannedCheck = Check & { readonly id: string; readonly stage: string };

export interface CheckResult {
  readonly id: string;
  readonly title: string;
  readonly guide: readonly number[];
  readonly outcome: 'pass' | 'fail';
  /** What was seen, in words that a reader can verify: "0600 root:root, 23 lines". Never empty. */
  readonly evidence: string;
  /** For a failure: what was expected, and what to do. */
  readonly expected?: string;
}
