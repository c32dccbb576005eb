import { ANY, type CharSet, CODE_UNIT_MAX, complementOf, foldCase } from '#model/routing/regex/char-set.ts';
import { parseBracket, parseSetEscape } from '#model/routing/regex/parse-set.ts';
import { EMPTY_NODE, PatternReader, type RegexNode, RegexRefusal } from '#model/routing/regex/syntax.ts';
import { REGEX } from '#model/settings/waypoints.ts';

const NOT_NEWLINE: CharSet = complementOf([10, 10]);

type Flags = { ignoreCase: boolean; dotAll: boolean };

/**
 * Parses RE2 syntax (the dialect of Envoy and so of Istio users).
 * Errors: RegexRefusal with a sentence for look-around, back-references, `\p`, `\C`, `(?m)` and malformed patterns.
 */
export function parsePattern(pattern: string): RegexNode {
  const reader = new PatternReader(pattern);
  const node = parseChoice(reader, { ignoreCase: false, dotAll: false }, 0);
  if (!reader.atEnd()) throw new RegexRefusal('has an unmatched )');
  return node;
}

function parseChoice(reader: PatternReader, outer: Flags, depth: number): RegexNode {
  if (depth > REGEX.nestingMax) throw new RegexRefusal(`nests groups deeper than ${REGEX.nestingMax}`);
  // A copy: `(?i)` inside a group ends with it.
  const flags = { ...outer };
  const branches: RegexNode[] = [];
  do branches.push(parseSequence(reader, flags, depth));
  while (reader.accept('|'));
  const [only] = branches;
  return branches.length === 1 && only !== undefined ? only : { kind: 'choice', items: branches };
}

function parseSequence(reader: PatternReader, flags: Flags, depth: number): RegexNode {
  const items: RegexNode[] = [];
  while (!reader.atEnd() && reader.peek() !== '|' && reader.peek() !== ')') {
    items.push(parseRepeat(reader, parseAtom(reader, flags, depth)));
  }
  return { kind: 'sequence', items };
}

function parseRepeat(reader: PatternReader, item: RegexNode): RegexNode {
  const bounds = repeatBounds(reader);
  if (bounds === null) return item;
  reader.accept('?'); // lazy or greedy: the same set of matching texts
  // RE2 refuses `a**`, too: nearly always a mistake, and it would multiply the program.
  if (repeatBounds(reader) !== null) throw new RegexRefusal('repeats a repetition; put it in a group');
  return { kind: 'repeat', item, min: bounds.min, max: bounds.max };
}

function repeatBounds(reader: PatternReader): { min: number; max: number | null } | null {
  if (reader.accept('*')) return { min: 0, max: null };
  if (reader.accept('+')) return { min: 1, max: null };
  if (reader.accept('?')) return { min: 0, max: 1 };
  const counted = reader.acceptMatch(/\{(\d{1,5})(,(\d{0,5}))?\}/y);
  if (counted === null) return null;
  const min = Number(counted[1]);
  const max = counted[2] === undefined ? min : counted[3] === '' ? null : Number(counted[3]);
  if (min > REGEX.repeatMax || (max ?? 0) > REGEX.repeatMax) throw new RegexRefusal(`repeats more than ${REGEX.repeatMax} times`);
  if (max !== null && max < min) throw new RegexRefusal(`has the range {${min},${max}} the wrong way round`);
  return { min, max };
}

function parseAtom(reader: PatternReader, flags: Flags, depth: number): RegexNode {
  const letter = reader.next();
  switch (letter) {
    case '(':
      return parseGroup(reader, flags, depth);
    case '[':
      return setNode(parseBracket(reader), flags);
    case '.':
      return { kind: 'set', set: flags.dotAll ? ANY : NOT_NEWLINE };
    case '^':
      return { kind: 'assertion', assertion: 'start' };
    case '$':
      return { kind: 'assertion', assertion: 'end' };
    case '\\':
      return parseEscape(reader, flags);
    case '*':
    case '+':
    case '?':
      throw new RegexRefusal(`has nothing to repeat before ${letter}`);
    default:
      return setNode(literal(letter.charCodeAt(0)), flags);
  }
}

function parseGroup(reader: PatternReader, flags: Flags, depth: number): RegexNode {
  if (reader.acceptMatch(/\?<?[=!]/y) !== null)
    throw new RegexRefusal('uses look-around, which cannot be matched in linear time');
  let inner = flags;
  if (reader.acceptMatch(/\?P?<[A-Za-z_]\w*>/y) === null && reader.accept('?')) {
    inner = parseFlags(reader, flags);
    // `(?i)` has no body: it changes what follows in the enclosing group.
    if (reader.accept(')')) {
      Object.assign(flags, inner);
      return EMPTY_NODE;
    }
    if (!reader.accept(':')) throw new RegexRefusal('has a malformed (?…) group');
  }
  const body = parseChoice(reader, inner, depth + 1);
  if (!reader.accept(')')) throw new RegexRefusal('has an unclosed (');
  return body;
}

function parseFlags(reader: PatternReader, outer: Flags): Flags {
  const text = reader.acceptMatch(/[imsU]*(-[imsU]+)?(?=[:)])/y)?.[0];
  if (text === undefined) throw new RegexRefusal('has an unknown (?…) group');
  const flags = { ...outer };
  let on = true;
  for (const letter of text) {
    if (letter === '-') on = false;
    else if (letter === 'i') flags.ignoreCase = on;
    else if (letter === 's') flags.dotAll = on;
    else if (letter === 'm') throw new RegexRefusal('uses (?m); paths and header values have one line');
  }
  return flags;
}

function parseEscape(reader: PatternReader, flags: Flags): RegexNode {
  if (reader.accept('A')) return { kind: 'assertion', assertion: 'start' };
  if (reader.accept('z')) return { kind: 'assertion', assertion: 'end' };
  if (reader.accept('b')) return { kind: 'assertion', assertion: 'word-boundary' };
  if (reader.accept('B')) return { kind: 'assertion', assertion: 'not-word-boundary' };
  return setNode(parseSetEscape(reader), flags);
}

function literal(code: number): CharSet {
  if (code > CODE_UNIT_MAX) throw new RegexRefusal('holds a character that HTTP cannot carry');
  return [code, code];
}

function setNode(set: CharSet, flags: Flags): RegexNode {
  return { kind: 'set', set: flags.ignoreCase ? foldCase(set) : set };
}
