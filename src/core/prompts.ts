/** Questions to a person at a terminal; src/ui asks them, tests answer them. Each rejects when the person interrupts. */
export interface Prompts {
  /** `check` gives what is wrong with an answer, or undefined. */
  text(question: {
    readonly message: string;
    readonly initial?: string;
    readonly check?: (answer: string) => string | undefined;
  }): Promise<string>;
  choose(question: { readonly message: string; readonly choices: readonly Choice[] }): Promise<string>;
  confirm(question: { readonly message: string; readonly initial: boolean }): Promise<boolean>;
  /** Text that explains what is asked next. */
  note(text: string): void;
}

export interface Choice {
  readonly value: string;
  readonly label: string;
  readonly hint?: string;
}
