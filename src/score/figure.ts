import type { Device } from '../qemu/device.ts';
import type { Guest } from '../qemu/guest.ts';
import type { Exceptions } from './exceptions.ts';
import type { Neighbour } from './neighbour.ts';
import type { ScanTools } from './tools.ts';

/** One line of the table. */
export interface Figure {
  readonly id: string;
  readonly title: string;
  /** What was measured, as it is read: "92.3 % of 346 rules". */
  readonly figure: string;
  /** What it ought to be; without one it is only reported. */
  readonly goal?: string;
  readonly met?: boolean;
  /** Name and version of the program that says so. */
  readonly tool: string;
  /** Date of the rules or lists that it judged by, where there are any. */
  readonly data?: string;
  /** What stands in the way of the goal, one a line. */
  readonly below: readonly string[];
}

/** A ready device with its data open, and the scanners' disk at /run/score. */
export interface Scene {
  readonly guest: Guest;
  readonly device: Device;
  readonly tools: ScanTools;
  readonly exceptions: Exceptions;
  /** Output of a shell script that root runs in the guest. `tool PROGRAM …` starts one of the scanners' disk. */
  root(script: string, seconds?: number, input?: string): Promise<string>;
  /** An image of the same base without our stages, to compare the cost with. */
  readonly plain?: string;
  /** The second guest, started when it is first asked for. */
  neighbour(): Promise<Neighbour>;
}

/** One scanner; ids of its figures start with its name. */
export interface Measure {
  readonly name: string;
  /** Whether it is left out unless it was asked for, since it takes very long. */
  readonly slow?: boolean;
  run(scene: Scene): Promise<readonly Figure[]>;
}

/** Who judges, and by what. */
export type Judge = Pick<Figure, 'tool' | 'data'>;

/** `NAME VERSION` of a scanner's package. */
export const named = ({ tools }: Pick<Scene, 'tools'>, name: string): string =>
  `${name} ${tools.versions.get(name)?.replace(/^\d+:/, '') ?? ''}`.trim();

/** A scanner that brings its rules: they are those of the day on which the list of packages was made. */
export const judgedBy = (scene: Pick<Scene, 'tools'>, name: string): Judge => ({
  tool: named(scene, name),
  data: `packages of ${scene.tools.made.slice(0, 10)}`,
});

/** A figure for a list that ought to be empty. */
export const nothingOf = (found: readonly string[]): Pick<Figure, 'goal' | 'met' | 'below' | 'figure'> => ({
  figure: String(found.length),
  goal: '0',
  met: found.length === 0,
  below: found,
});
