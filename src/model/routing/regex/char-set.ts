/** Sorted, disjoint, inclusive ranges of UTF-16 code units: [from, to, from, to, …]. */
export type CharSet = readonly number[];

/** The highest UTF-16 code unit. Fixed by ECMAScript: regular expressions see strings as code units. */
export const CODE_UNIT_MAX = 0xffff;

/** Every code unit, and what RE2 calls \d and \w. */
export const ANY: CharSet = [0, CODE_UNIT_MAX];
export const DIGIT: CharSet = rangesOf('09');
export const WORD: CharSet = rangesOf('09AZ__az');
/** RE2's \s: without vertical tab. */
export const SPACE: CharSet = rangesOf('\t\n\f\r  ');

/** The bracket names of RE2, as in `[[:alpha:]]`. */
export const POSIX_CLASSES: ReadonlyMap<string, CharSet> = new Map([
  ['alnum', rangesOf('09AZaz')],
  ['alpha', rangesOf('AZaz')],
  ['ascii', [0, 0x7f]],
  ['blank', rangesOf('\t\t  ')],
  ['cntrl', [0, 0x1f, 0x7f, 0x7f]],
  ['digit', DIGIT],
  ['graph', rangesOf('!~')],
  ['lower', rangesOf('az')],
  ['print', rangesOf(' ~')],
  ['punct', rangesOf('!/:@[`{~')],
  ['space', rangesOf('\t\r  ')],
  ['upper', rangesOf('AZ')],
  ['word', WORD],
  ['xdigit', rangesOf('09AFaf')],
]);

/** Sorts and merges ranges given in any order. */
export function unionOf(ranges: readonly number[]): CharSet {
  const pairs: [number, number][] = [];
  for (let at = 0; at + 1 < ranges.length; at += 2) pairs.push([ranges[at] ?? 0, ranges[at + 1] ?? 0]);
  pairs.sort((a, b) => a[0] - b[0]);
  const merged: number[] = [];
  for (const [from, to] of pairs) {
    const last = merged.length - 1;
    const lastTo = merged[last];
    if (lastTo !== undefined && from <= lastTo + 1) merged[last] = Math.max(lastTo, to);
    else merged.push(from, to);
  }
  return merged;
}

/** Every code unit that is not in `set`. */
export function complementOf(set: CharSet): CharSet {
  const result: number[] = [];
  let next = 0;
  for (let at = 0; at + 1 < set.length; at += 2) {
    const from = set[at] ?? 0;
    if (from > next) result.push(next, from - 1);
    next = (set[at + 1] ?? 0) + 1;
  }
  if (next <= CODE_UNIT_MAX) result.push(next, CODE_UNIT_MAX);
  return result;
}

/** Adds the other case of every ASCII letter (header values and paths hold no other letters that fold). */
export function foldCase(set: CharSet): CharSet {
  const extra = [...set];
  for (let letter = 0x41; letter <= 0x5a; letter++) {
    const lower = letter + 0x20;
    if (setHas(set, letter)) extra.push(lower, lower);
    if (setHas(set, lower)) extra.push(letter, letter);
  }
  return unionOf(extra);
}

/** Whether `code` is in `set`. */
export function setHas(set: CharSet, code: number): boolean {
  for (let at = 0; at + 1 < set.length; at += 2) {
    if (code < (set[at] ?? 0)) return false;
    if (code <= (set[at + 1] ?? 0)) return true;
  }
  return false;
}

/** `'azAZ'` → ranges a-z and A-Z, sorted. */
function rangesOf(text: string): CharSet {
  const codes = Array.from(text, (letter) => letter.charCodeAt(0));
  return unionOf(codes);
}
