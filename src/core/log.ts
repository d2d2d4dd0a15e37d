/** What happens, as data; src/ui has the renderers (terminal, plain, GitHub groups). Human text goes to stderr only. */
export type LogEntry =
  | { readonly kind: 'step-start'; readonly step: string /** Seconds it took last time. */; readonly last?: number }
  | { readonly kind: 'step-end'; readonly step: string; readonly seconds: number; readonly ok: boolean }
  | {
      readonly kind: 'progress';
      readonly step: string;
      readonly done: number;
      readonly total?: number;
      readonly unit: 'bytes' | 'files' | 'checks';
    }
  | { readonly kind: 'command'; readonly argv: readonly string[] }
  | { readonly kind: 'output'; readonly text: string }
  | { readonly kind: 'notice'; readonly text: string }
  | { readonly kind: 'warning'; readonly text: string };

export type Log = (entry: LogEntry) => void;

/** A log that keeps nothing, for callers that have nobody to tell. */
export const silent: Log = () => undefined;
