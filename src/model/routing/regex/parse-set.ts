import {
  type CharSet,
  CODE_UNIT_MAX,
  complementOf,
  DIGIT,
  POSIX_CLASSES,
  SPACE,
  unionOf,
  WORD,
} from '#model/routing/regex/char-set.ts';
import { type PatternReader, RegexRefusal } from '#model/routing/regex/syntax.ts';

/** Code units of the escapes that RE2 shares with C. */
const CONTROL_ESCAPES: Readonly<Record<string, number>> = { a: 7, f: 12, t: 9, n: 10, r: 13, v: 11 };

/** Parses what follows `[`, up to and including `]`. Errors: RegexRefusal. */
export function parseBracket(reader: PatternReader): CharSet {
  const negated = reader.accept('^');
  const ranges: number[] = [];
  // A `]` that comes first is a member, as in POSIX.
  let first = true;
  while (first || reader.peek() !== ']') {
    if (reader.atEnd()) throw new RegexRefusal('has an unclosed [');
    first = false;
    const posix = reader.acceptMatch(/\[:(\^?)(\w+):\]/y);
    if (posix !== null) ranges.push(...posixClass(posix[1] === '^', posix[2] ?? ''));
    else ranges.push(...parseRange(reader));
  }
  reader.next();
  const set = unionOf(ranges);
  return negated ? complementOf(set) : set;
}

/** Parses what follows a backslash when it stands for characters. Errors: RegexRefusal. */
export function parseSetEscape(reader: PatternReader): CharSet {
  const octal = reader.acceptMatch(/0[0-7]{0,2}|[1-7][0-7]{2}/y);
  if (octal !== null) return single(Number.parseInt(octal[0], 8));
  const letter = reader.next();
  if (letter === 'x') return single(hexadecimal(reader));
  const control = CONTROL_ESCAPES[letter];
  if (control !== undefined) return single(control);
  const named = namedSet(letter);
  if (named !== null) return named;
  if (/[1-9]/.test(letter)) throw new RegexRefusal('uses a back-reference, which cannot be matched in linear time');
  if (letter === 'p' || letter === 'P') throw new RegexRefusal('uses a Unicode class; write the range out');
  if (/[A-Za-z]/.test(letter)) throw new RegexRefusal(`uses the unknown escape \\${letter}`);
  return single(letter.charCodeAt(0));
}

function parseRange(reader: PatternReader): CharSet {
  const from = parseMember(reader);
  if (from.length !== 2 || from[0] !== from[1]) return from;
  // A `-` right before `]` is a member, not a range.
  if (reader.acceptMatch(/-(?!\])/y) === null) return from;
  const to = parseMember(reader);
  const [low] = from;
  const [high] = to;
  if (low === undefined || high === undefined || to[1] !== high || to.length !== 2)
    throw new RegexRefusal('has a malformed range in […]');
  if (high < low) throw new RegexRefusal('has a range in […] the wrong way round');
  return [low, high];
}

function parseMember(reader: PatternReader): CharSet {
  const letter = reader.next();
  return letter === '\\' ? parseSetEscape(reader) : single(letter.charCodeAt(0));
}

function namedSet(letter: string): CharSet | null {
  switch (letter) {
    case 'd':
      return DIGIT;
    case 'D':
      return complementOf(DIGIT);
    case 'w':
      return WORD;
    case 'W':
      return complementOf(WORD);
    case 's':
      return SPACE;
    case 'S':
      return complementOf(SPACE);
    default:
      return null;
  }
}

function hexadecimal(reader: PatternReader): number {
  const match = reader.acceptMatch(/\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2})/y);
  if (match === null) throw new RegexRefusal('has a malformed \\x escape');
  return Number.parseInt(match[1] ?? match[2] ?? '', 16);
}

function posixClass(negated: boolean, name: string): CharSet {
  const set = POSIX_CLASSES.get(name);
  if (set === undefined) throw new RegexRefusal(`uses the unknown class [:${name}:]`);
  return negated ? complementOf(set) : set;
}

function single(code: number): CharSet {
  if (code > CODE_UNIT_MAX) throw new RegexRefusal('holds a character that HTTP cannot carry');
  return [code, code];
}
