/** What stands in place of what is nobody's business. */
export const GONE = '[redacted]';

/** Keys, and whole files that hold one: whatever is between the two lines. An end that is missing leaves nothing of the rest. */
const PRIVATE_KEY = /-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----[\s\S]*?(-----END \1-----|$)/g;
/** Three parts of base64 with dots between them, of which the first two are JSON: a token, whoever made it. */
const TOKEN = /\beyJ[A-Za-z0-9_-]*\.eyJ[A-Za-z0-9_-]*(\.[A-Za-z0-9_-]*)?/g;
/** `Authorization: Bearer …` and `Basic …`, as headers and as fields of a log. */
const CREDENTIALS = /\b(Bearer|Basic)(["']?[ =:]+["']?)[A-Za-z0-9._~+/=-]{6,}/gi;
/** User and password in an address. */
const USER_INFO = /\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@'"]+@/gi;
/** A query behind a path: clients put keys there. */
const QUERY = /(\/[^\s"'?]*)\?[^\s"']+/g;
/** A field or variable whose name says that its value is secret, in YAML, JSON, logs and environments. */
const SECRET_FIELD =
  /((?:["']?)\b[\w.-]*(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|private[_-]?key|authorization|cookie|credential)[\w.-]*(?:["']?)[ \t]*[=:][ \t]*)("(?:[^"\\]|\\.)*"|'[^']*'|(?<=:[ \t]+)[^\n,}\]]+|[^\s,}\]]+)/gi;
/** An option of any program whose name says so, with its value behind a blank. */
const SECRET_OPTION =
  /((?:^|[\s\0"'])--?[\w-]*(?:passw(?:or)?d|passphrase|secret|token|api-?key|private-?key)[\s\0]+)(?!-)("[^"]*"|'[^']*'|[^\s\0]+)/gi;
/** A variable for a workload on a command line, split at blanks or at NULs. */
const VARIABLE = /((?:^|[\s\0])(?:--env|-e)[=\s\0]+[A-Za-z_]\w*=)("[^"]*"|'[^']*'|[^\s\0]*)/g;

/**
 * A text without keys, tokens, passwords and values of variables, whatever it is a text of. It says too little rather than too
 * much: a value that only looks like a secret is gone, too. What certificates say is public, and stays.
 */
export function redact(text: string): string {
  return text
    .replace(PRIVATE_KEY, `-----BEGIN $1----- ${GONE}`)
    .replace(TOKEN, GONE)
    .replace(CREDENTIALS, `$1$2${GONE}`)
    .replace(USER_INFO, `$1${GONE}@`)
    .replace(VARIABLE, `$1${GONE}`)
    .replace(SECRET_OPTION, `$1${GONE}`)
    .replace(SECRET_FIELD, (whole, name: string, value: string) => (isHarmless(name, value) ? whole : `${name}${GONE}`))
    .replace(QUERY, `$1?${GONE}`);
}

/** Words, numbers and paths that are no secret themselves, where a name only sounds like one: `tokenFile: /etc/token`. */
function isHarmless(name: string, value: string): boolean {
  const bare = value.replace(/^["']|["']$/g, '');
  if (bare === GONE || bare === '' || /^(true|false|null|\d{1,9}|[|>][+-]?)$/.test(bare)) return !/[|>]/.test(bare);
  return /(file|path|count|total|refused|ttl|mode)["']?[ \t]*[=:][ \t]*$/i.test(name);
}
