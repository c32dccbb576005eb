/** Where a value lies in a JSON text, and, in an object, under which key. */
export type JsonMember = { key: string | null; start: number; end: number };

const SPACE = /[ \t\n\r]*/y;
const STRING = /"(?:[^"\\]|\\.)*"/y;
const SCALAR = /[^\s,\]}]+/y;

/**
 * The members of the object or array that begins at `start`, so that a text can be changed in one place and stay as it is in all others:
 * numbers, escapes, blanks and the order of keys. The text has to be JSON (JSON.parse takes it).
 */
export function membersOf(json: string, start: number): JsonMember[] {
  const found: JsonMember[] = [];
  const isObject = json[start] === '{';
  let at = after(SPACE, json, start + 1);
  while (at < json.length && json[at] !== '}' && json[at] !== ']') {
    let key: string | null = null;
    if (isObject) {
      const end = after(STRING, json, at);
      key = JSON.parse(json.slice(at, end)) as string;
      at = after(SPACE, json, after(SPACE, json, end) + 1); // the colon is the one between
    }
    const end = endOf(json, at);
    found.push({ key, start: at, end });
    at = after(SPACE, json, end);
    if (json[at] === ',') at = after(SPACE, json, at + 1);
  }
  return found;
}

/** Where the value of a whole text begins. */
export function startOf(json: string): number {
  return after(SPACE, json, 0);
}

/** The end of the value that begins at `at`. Brackets within strings are skipped with them. */
function endOf(json: string, at: number): number {
  if (json[at] === '"') return after(STRING, json, at);
  if (json[at] !== '{' && json[at] !== '[') return after(SCALAR, json, at);
  let depth = 0;
  for (let here = at; here < json.length; ) {
    const one = json[here];
    if (one === '"') {
      here = after(STRING, json, here);
      continue;
    }
    if (one === '{' || one === '[') depth++;
    if (one === '}' || one === ']') depth--;
    here++;
    if (depth === 0) return here;
  }
  return json.length;
}

function after(pattern: RegExp, json: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(json) ? pattern.lastIndex : at;
}
