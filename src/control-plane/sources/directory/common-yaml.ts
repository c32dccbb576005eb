import { CORE_SCHEMA, floatCoreTag, intCoreTag, load, mapTag, NOT_RESOLVED } from 'js-yaml';

/** The value of a document, and how far into its text it begins (in characters). */
export type CommonDocument = { value: object; start: number };

/** What the two libraries may read in two ways: odd blanks and line ends; anchors, aliases, tags, block texts, complex and merge keys. */
const MARKS = /[\t\r\u0085\u2028\u2029\ufeff]|(?:^|[\s[{,:-])[&*!?|>]|<</m;

/** Directives, markers at odd places, and a key far from its colon. */
const STRUCTURE = /^%|^\.\.\.|^ +---| {9,}:/m;

/** Something more on the line on which brackets or quotes close. */
const CLOSED = /(?:[}\]]|(?:^|[\s[{,:-])(?:"(?:[^"\\]|\\[\s\S])*"|'(?:[^']|'')*'(?!')))(?! *(?:[,}\]:]|$)| +#)/m;

/** A document's marker, and lines that say nothing. */
const PREAMBLE = /^(?:---(?: +(?:#[^\n]*)?)?\n)?(?: *(?:#[^\n]*)?\n)*(?:--- +)? */;

/** What is too large for a number is a text in one library and no value in the other. */
const TOO_LARGE = /^[-+]?\.?\d[\d.]*[eE]/;

/** Fixed by YAML: a key is written in 1,024 characters at most, and each of it may take ten of them (`\U00000041`). */
const KEY_CHARACTERS_MAX = 100;

/** As both libraries read it, or not at all. Keys that are no words, as `8080:` and an empty one, become words in more than one way. */
const SCHEMA = CORE_SCHEMA.withTags(
  { ...intCoreTag, resolve: (source, isExplicit, name) => unsigned(intCoreTag.resolve(source, isExplicit, name)) },
  {
    ...floatCoreTag,
    resolve: (source, isExplicit, name) => {
      const number = floatCoreTag.resolve(source, isExplicit, name);
      if (number === NOT_RESOLVED ? TOO_LARGE.test(source) : !Number.isFinite(number)) throw new Error('an uncommon number');
      return unsigned(number);
    },
  },
  {
    ...mapTag,
    addPair: (map, key, value) => (isCommonKey(key) ? mapTag.addPair(map, key, value) : 'an uncommon key'),
  },
);

function isCommonKey(key: unknown): boolean {
  return typeof key === 'string' && key.length <= KEY_CHARACTERS_MAX && key !== '__proto__';
}

function unsigned<T>(number: T): T | 0 {
  return number === 0 ? 0 : number;
}

/**
 * Reads what nearly every document is made of: maps, lists and scalars, without marks of any kind. Null of all else, of what is no
 * YAML, and of what is not one map: the other library reads those, which knows every form, and where each word stands. This one
 * takes a tenth of the time, which is most of what an edit, and a start, cost. Both say the same of what this one reads (fuzz/targets/yaml.ts).
 */
export function readCommonYaml(text: string): CommonDocument | null {
  if (MARKS.test(text) || STRUCTURE.test(text) || CLOSED.test(text)) return null;
  try {
    const value: unknown = load(text, { schema: SCHEMA });
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
    return { value, start: PREAMBLE.exec(text)?.[0].length ?? 0 };
  } catch {
    return null; // Whatever is wrong with it is told by the other library, with its place.
  }
}
