/**
 * What came of one input: both took it and agree, both refuse it, or they differ in a way that is explained by a rule; anything else is
 * thrown as a difference.
 */
export type Outcome = 'agreed' | 'refused' | { readonly explained: string };

/** A parser of ours beside one of others. */
export type Comparison = {
  /** Its name on the command line. */
  readonly name: string;
  /** Those of `fuzz/corpus` that inputs begin with. */
  readonly corpora: readonly string[];
  readonly tokens: readonly string[];
  /** Why it cannot run here; null: it can. */
  readonly missing: string | null;
  /** Throws when the two read different things. */
  compare(bytes: Buffer): Outcome;
};
