import type { CharSet } from '#model/routing/regex/char-set.ts';

/** What must hold between two characters. */
export type Assertion = 'start' | 'end' | 'word-boundary' | 'not-word-boundary';

/** A parsed pattern. Captures are not kept: nothing here reads them. */
export type RegexNode =
  | { kind: 'set'; set: CharSet }
  | { kind: 'assertion'; assertion: Assertion }
  | { kind: 'sequence'; items: readonly RegexNode[] }
  | { kind: 'choice'; items: readonly RegexNode[] }
  | { kind: 'repeat'; item: RegexNode; min: number; max: number | null };

/** Matches the empty text. */
export const EMPTY_NODE: RegexNode = { kind: 'sequence', items: [] };

/** Thrown inside the parser only; `compileRegex` turns it into a value. */
export class RegexRefusal extends Error {}
