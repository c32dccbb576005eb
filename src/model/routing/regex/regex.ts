import { RegexMatcher } from '#model/routing/regex/matcher.ts';
import { parsePattern } from '#model/routing/regex/parse.ts';
import { assemble } from '#model/routing/regex/program.ts';
import { RegexRefusal } from '#model/routing/regex/syntax.ts';
import { REGEX } from '#model/settings/waypoints.ts';

/** A compiled pattern; `matches` compares the whole text, in linear time. */
export type Regex = { matches(text: string): boolean };

/** `why` continues the sentence "the pattern …". */
export type RegexOutcome = { kind: 'compiled'; regex: Regex } | { kind: 'refused'; why: string };

/**
 * Compiles a pattern in RE2's dialect. Never throws: a pattern outside it comes back as `refused`
 * with a clause that continues "the pattern …". Matching never backtracks, so no pattern can stall a proxy.
 */
export function compileRegex(pattern: string): RegexOutcome {
  if (pattern.length > REGEX.patternCharactersMax)
    return { kind: 'refused', why: `is longer than ${REGEX.patternCharactersMax} characters` };
  try {
    return { kind: 'compiled', regex: new RegexMatcher(assemble(parsePattern(unquote(pattern)))) };
  } catch (error) {
    if (error instanceof RegexRefusal) return { kind: 'refused', why: error.message };
    throw error;
  }
}

/** The pattern that matches exactly `text`. */
export function quotePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

/** Replaces `\\Q…\\E` by escapes, so that a repetition after it applies to the last character, as in RE2. */
function unquote(pattern: string): string {
  return pattern.replace(/\\Q(.*?)(?:\\E|$)|\\./gs, (found, text?: string) => (text === undefined ? found : quotePattern(text)));
}
