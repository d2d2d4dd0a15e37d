/**
 * One thing that is wrong with the guide's text, that contradicts itself, that describes code which does not exist, or
 * that the guide is silent about although its intent needs it; with our answer.
 */
export interface Finding {
  /** The fact, as it was found in the text or in AMSLPR's code. */
  readonly finding: string;
  /** Items of the guide (1 to 67) that it is about. */
  readonly items?: readonly number[];
  /** What the image does, or what people do. Left out: nothing is done, and `why` says why not. */
  readonly answer?: string;
  readonly why: string;
  /** Ids of checks that show it. */
  readonly checks?: readonly string[];
  /** Tests that show it: the file, a colon and words that are in it, such as the name of the test. */
  readonly tests?: readonly `${string}: ${string}`[];
  /** Names (without .md) of files in docs/runbooks. */
  readonly runBooks?: readonly string[];
}

/** A table of the page. */
export interface FindingSection {
  readonly title: string;
  readonly about: string;
  readonly findings: readonly Finding[];
}
