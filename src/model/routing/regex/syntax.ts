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

/** A cursor over a pattern. */
export class PatternReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  /** The next character without taking it; '' at the end. */
  peek(): string {
    return this.#text.charAt(this.#at);
  }

  /** Takes one character. Errors: RegexRefusal at the end. */
  next(): string {
    if (this.atEnd()) throw new RegexRefusal('ends too early');
    return this.#text.charAt(this.#at++);
  }

  /** Takes `letter` if it comes next. */
  accept(letter: string): boolean {
    if (this.peek() !== letter || this.atEnd()) return false;
    this.#at++;
    return true;
  }

  /** Takes what the sticky expression matches here; null when it does not match. */
  acceptMatch(sticky: RegExp): RegExpExecArray | null {
    sticky.lastIndex = this.#at;
    const match = sticky.exec(this.#text);
    if (match !== null) this.#at += match[0].length;
    return match;
  }
}
