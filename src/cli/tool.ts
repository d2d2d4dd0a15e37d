import type { Log } from '../core/log.ts';
import type { Prompts } from '../core/prompts.ts';
import type { AnyStage } from '../core/stage.ts';
import type { Paint } from '../ui/text.ts';

/** What every verb gets from the entry. */
export interface Tool {
  /** The project's folder, with overlays/, device/ and config/. */
  readonly root: string;
  readonly version: string;
  readonly stages: readonly AnyStage[];
  readonly log: Log;
  /** Aborts when the person interrupts; whatever takes long gets it. */
  readonly signal: AbortSignal;
  /** Writes data to stdout, which carries nothing else. */
  readonly print: (text: string) => void;
  /** Colours for what goes to stdout. */
  readonly paint: Paint;
  /** There when somebody can be asked. */
  readonly prompts: () => Promise<Prompts | undefined>;
}
