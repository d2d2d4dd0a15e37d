import type { Timing } from './measure.ts';

/** One figure against its goal: `value <= limit`, or `>=` where more is better. Absent value: not measured in this run. */
export interface Figure {
  readonly name: string;
  readonly value?: number;
  readonly unit: 's' | 'x' | 'GiB';
  readonly goal?: { readonly atMost: number } | { readonly atLeast: number };
}

/** What one row of the table gives. */
export interface Outcome {
  readonly arms: Readonly<Record<string, Timing>>;
  readonly figures: readonly Figure[];
  /** What has to be known to read the figures. */
  readonly notes?: readonly string[];
}

export interface RowOptions {
  readonly rounds: number;
  /** Smaller work, so that all rows take less than ten minutes. */
  readonly quick: boolean;
  readonly tell: (text: string) => void;
}

export interface Row {
  readonly name: string;
  readonly work: string;
  /** Run only with --all, or when it is named. */
  readonly extra?: true;
  /** Not run with --quick, unless it is named: it is another cold build. */
  readonly slow?: true;
  readonly run: (options: RowOptions) => Promise<Outcome>;
}

export const isMet = ({ value, goal }: Figure): boolean | undefined => {
  if (value === undefined || goal === undefined) return undefined;
  return 'atMost' in goal ? value <= goal.atMost : value >= goal.atLeast;
};
