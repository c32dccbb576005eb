import type { Clock } from '#model/effects/clock.ts';

/** Work that can be stopped at each of its `yield`s, where whatever else the process does may have its turn. */
export type Work<Result> = Generator<void, Result, void>;

/** A result that is there, or comes. */
export type Soon<Result> = Result | Promise<Result>;

/** Names that are sorted in one go: some 2 ms. */
const SORTED_TOGETHER = 4_096;

/**
 * Does work for at most about `budgetMs` at a time, with turns of others between. What is done within the first of them is done
 * when this returns; the rest follows by itself. Errors: those of the work.
 */
export function inTurns<Result>(work: Work<Result>, clock: Clock, budgetMs: number): Soon<Result> {
  const first = aTurn(work, clock, budgetMs);
  if (first.done === true) return first.value;
  const { promise, resolve, reject } = Promise.withResolvers<Result>();
  const next = (): void => {
    try {
      const turn = aTurn(work, clock, budgetMs);
      if (turn.done === true) resolve(turn.value);
      else clock.after(0, next);
    } catch (error) {
      reject(error);
    }
  };
  clock.after(0, next);
  return promise;
}

function aTurn<Result>(work: Work<Result>, clock: Clock, budgetMs: number): IteratorResult<void, Result> {
  const untilMs = clock.monotonicMs() + budgetMs;
  for (;;) {
    const step = work.next();
    if (step.done === true || clock.monotonicMs() >= untilMs) return step;
  }
}

/** Does all of it now. */
export function atOnce<Result>(work: Work<Result>): Result {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/** Goes on with a result as soon as it is there: in the same turn when it is. */
export function whenThere<Before, After>(result: Soon<Before>, next: (result: Before) => Soon<After>): Soon<After> {
  return result instanceof Promise ? result.then(next) : next(result);
}

/** Texts in order of their UTF-16 code units, as `sort` has them, however many there are. */
export function* sorted(texts: Iterable<string>): Work<string[]> {
  const all = [...texts];
  let runs: string[][] = [];
  for (let from = 0; from < all.length; from += SORTED_TOGETHER) {
    runs.push(all.slice(from, from + SORTED_TOGETHER).sort());
    yield;
  }
  while (runs.length > 1) {
    const wider: string[][] = [];
    for (let at = 0; at < runs.length; at += 2) wider.push(yield* merged(runs[at] ?? [], runs[at + 1] ?? []));
    runs = wider;
  }
  return runs[0] ?? [];
}

function* merged(a: readonly string[], b: readonly string[]): Work<string[]> {
  const all: string[] = [];
  let [left, right] = [0, 0];
  for (;;) {
    const [first, second] = [a[left], b[right]];
    if (first === undefined && second === undefined) return all;
    const isLeft = second === undefined || (first !== undefined && first <= second);
    all.push((isLeft ? first : second) as string);
    if (isLeft) left++;
    else right++;
    if (all.length % SORTED_TOGETHER === 0) yield;
  }
}
