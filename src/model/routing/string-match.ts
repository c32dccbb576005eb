import { compileRegex } from '#model/routing/regex/regex.ts';
import type { StringMatch } from '#model/waypoint/virtual.ts';

/** Whether a text is meant. */
export type TextTest = (text: string) => boolean;

/** Null when its pattern cannot be used, which is reported. `ignoreCase` holds for exact and prefix only, as in Istio. */
export function compileStringMatch(
  { type, value }: StringMatch,
  problem: (why: string) => void,
  ignoreCase = false,
): TextTest | null {
  switch (type) {
    case 'present':
      return () => true;
    case 'exact':
      return ignoreCase ? sameFolded(value.toLowerCase()) : (text) => text === value;
    case 'prefix':
      return ignoreCase ? beginsFolded(value.toLowerCase()) : (text) => text.startsWith(value);
    case 'regex': {
      const outcome = compileRegex(value);
      if (outcome.kind === 'compiled') return (text) => outcome.regex.matches(text);
      problem(`the pattern "${value}" ${outcome.why}`);
      return null;
    }
  }
}

function sameFolded(folded: string): TextTest {
  return (text) => text.toLowerCase() === folded;
}

function beginsFolded(folded: string): TextTest {
  return (text) => text.slice(0, folded.length).toLowerCase() === folded;
}
