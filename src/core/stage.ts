import { type Static, type TObject, Type } from 'typebox';
import type { AbsPath, Contribution, FileSpec, Mode, Owner } from './contribution.ts';

export { Type };

/** What the image is built for. */
export interface Target {
  readonly base: 'debian' | 'raspios';
  readonly suite: 'trixie';
  readonly architecture: 'arm64';
}

export interface OverlayOptions {
  /** Default '0644'. */
  readonly mode?: Mode;
  /** Default 'root:root'. */
  readonly owner?: Owner;
  /** Given: overlays/<stage><path>.hbs is rendered with it. Absent: overlays/<stage><path> is copied. */
  readonly data?: Readonly<Record<string, unknown>>;
  readonly capabilities?: string;
  readonly initramfs?: boolean;
}

export interface StageContext {
  readonly target: Target;
  /** The file of this stage's overlay folder at its path in the image. */
  overlay(path: AbsPath, options?: OverlayOptions): FileSpec;
  /**
   * The regular files of a source (a folder of the project, or by absolute path the operator's folder, git checkout or
   * archive) that are one of `include` or below it and have no part of their path that matches `exclude`; sorted by
   * path. What of `include` is not there is left out; a missing source, a link or a special file is a UserError.
   */
  sourceFiles(source: string, include: readonly string[], exclude?: RegExp): SourceFiles;
}

export interface SourceFiles {
  readonly files: readonly SourceFile[];
  /** SHA-256 in hex over the paths and contents of `files`. */
  readonly digest: string;
  /** What git, the file VERSION or the name of the archive says. */
  readonly version?: string;
}

export interface SourceFile {
  /** Relative to the top of the source, with `/`. */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Of its content, in hex. */
  readonly sha256: string;
}

/** What all stages contributed, for the few stages whose files are made of everybody's data. */
export type Collected = Required<
  Pick<Contribution, 'openPorts' | 'dataBinds' | 'plainSecrets' | 'cmdline' | 'configTxt'>
>;

/** One topic of the guide. */
export interface Stage<S extends TObject = TObject> {
  /** Also the configuration key, the overlay folder and the prefix of its checks' ids. */
  readonly name: string;
  /** Imperative: "Harden the SSH daemon". */
  readonly title: string;
  /** Two or three sentences for `explain`: what it does, why, how to change it. */
  readonly about: string;
  /** The guide's items (1 to 67) that this stage answers, each with how; the coverage page is made from it. */
  readonly guide: Readonly<Record<number, GuideAnswer>>;
  /** Stages that must come earlier in the list and cannot be left out while this one is in. */
  readonly needs?: readonly string[];
  readonly options: S;
  contribute(options: Static<S>, context: StageContext): Contribution;
  /** Called after all stages contributed, for files made of everybody's data (firewall rules, bind mounts). */
  collect?(all: Collected, options: Static<S>, context: StageContext): Contribution;
}

export interface GuideAnswer {
  /** built: in the image, proven by checks. run-book: a person does it, by docs/runbooks/<runBook>.md. */
  readonly by: 'built' | 'run-book';
  /** One or two sentences: how it is met; where we leave the guide's letter, why. */
  readonly how: string;
  /** For run-books: the file's name without .md. */
  readonly runBook?: string;
  /** Why checks of one kind are enough, offline or in the guest; the coverage page shows it. */
  readonly oneKind?: string;
}

/** A stage whose option types are erased, as the registry holds it. */
export type AnyStage = Stage<TObject>;

/** Types a stage's options inside and erases them for the list. */
export function defineStage<S extends TObject>(stage: Stage<S>): AnyStage {
  return stage as unknown as AnyStage;
}
