import { setHas, WORD } from '#model/routing/regex/char-set.ts';
import type { Program } from '#model/routing/regex/program.ts';
import type { Assertion } from '#model/routing/regex/syntax.ts';
import { REGEX } from '#model/settings/waypoints.ts';

const CACHED_STATES_MAX = REGEX.cachedStatesMax;
const CACHED_CODES = 256;
const END = -1;

/** A set of automaton positions, plus what an assertion needs to know about the character before. */
type State = {
  readonly positions: readonly number[];
  readonly atStart: boolean;
  readonly afterWord: boolean;
  /** Next state per character code, filled on first use. */
  readonly next: (State | undefined)[];
  accepts: boolean | undefined;
};

/**
 * Full-match of one pattern, in time linear in the text whatever the pattern:
 * a deterministic automaton built lazily from the Thompson automaton.
 */
export class RegexMatcher {
  readonly #program: Program;
  readonly #states = new Map<string, State>();
  #initial: State;

  constructor(program: Program) {
    this.#program = program;
    this.#initial = this.#intern([program.length - 1], true, false);
  }

  /** Whether the whole of `text` matches. */
  matches(text: string): boolean {
    let state = this.#initial;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      state = state.next[code] ?? this.#step(state, code);
      if (state.positions.length === 0) return false;
    }
    state.accepts ??= this.#reach(state, END).includes(0);
    return state.accepts;
  }

  /** A new initial state lets go of every state reachable from the old one. */
  #forget(): void {
    this.#states.clear();
    this.#initial = this.#intern([this.#program.length - 1], true, false);
  }

  #step(state: State, code: number): State {
    const positions = new Set<number>();
    for (const at of this.#reach(state, code)) {
      const instruction = this.#program[at];
      if (instruction?.kind === 'set' && setHas(instruction.set, code)) positions.add(instruction.next);
    }
    if (this.#states.size > CACHED_STATES_MAX) this.#forget();
    const next = this.#intern(
      [...positions].sort((a, b) => a - b),
      false,
      isWord(code),
    );
    if (code < CACHED_CODES) state.next[code] = next;
    return next;
  }

  /** Every position reachable without a character when `code` comes next (END: nothing does). */
  #reach(state: State, code: number): number[] {
    const seen = new Set<number>();
    const open = [...state.positions];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (seen.has(at)) continue;
      seen.add(at);
      const instruction = this.#program[at];
      if (instruction?.kind === 'split') open.push(instruction.next, instruction.other);
      else if (instruction?.kind === 'assertion' && holds(instruction.assertion, state, code)) open.push(instruction.next);
    }
    return [...seen];
  }

  #intern(positions: readonly number[], atStart: boolean, afterWord: boolean): State {
    const key = `${atStart ? 's' : ''}${afterWord ? 'w' : ''}${positions.join(',')}`;
    let state = this.#states.get(key);
    if (state === undefined) {
      state = { positions, atStart, afterWord, next: [], accepts: undefined };
      this.#states.set(key, state);
    }
    return state;
  }
}

function holds(assertion: Assertion, state: State, code: number): boolean {
  switch (assertion) {
    case 'start':
      return state.atStart;
    case 'end':
      return code === END;
    case 'word-boundary':
      return state.afterWord !== isWord(code);
    case 'not-word-boundary':
      return state.afterWord === isWord(code);
  }
}

function isWord(code: number): boolean {
  return setHas(WORD, code);
}
