/**
 * What makes wrong what a check guards, for a shell that runs as root in the guest; `mend` for what a restart keeps.
 * `never` says why no guest can be brought into that state.
 */
export type Breakage = string | { readonly run: string; readonly mend: string } | { readonly never: string };
export type Breakages = Readonly<Record<string, Breakage>>;
