import { RegexRefusal } from '#model/routing/regex/syntax.ts';

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
