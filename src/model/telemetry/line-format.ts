import { TELEMETRY } from '#model/settings/telemetry.ts';
import { HEADER_OPERATORS, type LineFacts, OPERATORS, type Operator } from './line-operators.ts';
import { compileTimeFormat } from './line-time.ts';

/** How lines of the access log are written as text. */
export type LineFormat = {
  /** Headers of the response that it shows, in lower case. */
  readonly responseHeaders: readonly string[];
  /** Without a line break at its end, and with none in it. */
  line(facts: LineFacts): string;
};

/** `why`: what it is that a person wrote and we do not know, and where. */
export type FormatOutcome =
  | { readonly kind: 'compiled'; readonly format: LineFormat }
  | { readonly kind: 'refused'; readonly why: string };

/** Fixed by Istio (pilot/pkg/networking/core/accesslog.go): what its waypoints write unless they are told otherwise. */
const ISTIO_FORMAT = [
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS%',
  '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%"',
  '%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%"',
  '"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW%',
  '%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%',
].join(' ');

/** Formats that have a name. */
const NAMED: ReadonlyMap<string, string> = new Map([['istio', ISTIO_FORMAT]]);

/** Fixed by Envoy: `%%`, or `%NAME(argument):length%`, of which argument and length may be missing. */
const COMMAND = /%(?:%|([A-Z0-9_]+)(?:\(([^)]*)\))?(?::(\d{1,6}))?%)/y;
/** A name of which the rest is not as it should be. */
const BEGUN = /%([A-Za-z0-9_]*)/y;
/** A field name of RFC 9110, and those that HTTP/2 has beside. */
const HEADER_NAME = /^:?[\w!#$%&'*+.^`|~-]+$/;

/** What was written between two `%`, and at which character of the format, from 0. */
type Command = { readonly name: string; readonly argument: string | undefined; readonly charsMax: number; readonly at: number };

type Part = string | ((facts: LineFacts) => string);

/** Reads a format in the words of Envoy, or the name of one. A line break at its end, which Istio wants there, may be missing. */
export function compileLineFormat(given: string): FormatOutcome {
  const format = NAMED.get(given) ?? given.replace(/(?:\n|\\n)$/, '');
  const parts: Part[] = [];
  const responseHeaders = new Set<string>();
  for (let at = 0; at < format.length; ) {
    const next = format.indexOf('%', at);
    const end = next < 0 ? format.length : next;
    const control = format.slice(at, end).search(BREAKS_LINES);
    if (control >= 0) return refused('a control character', at + control, 'one request has one line');
    if (end > at) parts.push(format.slice(at, end));
    if (next < 0) break;
    COMMAND.lastIndex = next;
    const found = COMMAND.exec(format);
    if (found === null) return unreadable(format, next);
    at = COMMAND.lastIndex;
    const [, name, argument, length] = found;
    if (name === undefined) {
      parts.push('%');
      continue;
    }
    const charsMax = length === undefined ? Number.POSITIVE_INFINITY : Number(length);
    const part = compileCommand({ name, argument, charsMax, at: next }, responseHeaders);
    if (typeof part === 'object') return part;
    parts.push(part);
  }
  // Nobody wants the same words for each request: it was to be the name of a format.
  if (parts.every((part) => typeof part === 'string'))
    return { kind: 'refused', why: `"${format}" has no operator, and is no name of a format (${[...NAMED.keys()].join(', ')})` };
  const line = (facts: LineFacts): string => {
    let text = '';
    for (const part of parts) text += typeof part === 'string' ? part : part(facts);
    return text;
  };
  return { kind: 'compiled', format: { responseHeaders: [...responseHeaders], line } };
}

/** The format of a text that was read before. Errors: when it cannot be. */
export function lineFormat(text: string): LineFormat {
  const outcome = compileLineFormat(text);
  if (outcome.kind === 'refused') throw new Error(`the format of the access log: ${outcome.why}`);
  return outcome.format;
}

function compileCommand(command: Command, responseHeaders: Set<string>): Exclude<Part, string> | FormatOutcome {
  const { name, argument, charsMax, at } = command;
  if (Object.hasOwn(HEADER_OPERATORS, name)) return compileHeader(command, responseHeaders);
  const hasLength = charsMax !== Number.POSITIVE_INFINITY;
  if (name === 'START_TIME') {
    const time = compileTimeFormat(argument ?? '');
    if (time.kind === 'refused')
      return refused('a time', at + '%START_TIME('.length + time.at, 'that is no conversion of strftime');
    if (hasLength) return refused(`%${name}%`, at, 'it takes no length');
    return ({ startedMs }) => time.of(startedMs);
  }
  const operator = Object.hasOwn(OPERATORS, name) ? (OPERATORS as Readonly<Record<string, Operator>>)[name] : undefined;
  if (operator === undefined) return refused(`%${name}%`, at, `it is not known here; known are ${known()}`);
  if (argument !== undefined || hasLength) return refused(`%${name}%`, at, 'it takes no argument and no length');
  return (facts) => shown(operator(facts));
}

function compileHeader(
  { name, argument, charsMax, at }: Command,
  responseHeaders: Set<string>,
): Exclude<Part, string> | FormatOutcome {
  const read = HEADER_OPERATORS[name as keyof typeof HEADER_OPERATORS];
  const [first = '', second = first, ...more] = (argument ?? '').toLowerCase().split('?');
  if (more.length > 0 || ![first, second].every((header) => HEADER_NAME.test(header)))
    return refused(`%${name}%`, at, `write ${name}(HEADER), or ${name}(HEADER?ANOTHER)`);
  if (name === 'RESP') for (const header of [first, second]) responseHeaders.add(header);
  return ({ http }) => {
    const value = http === null ? null : read(http, first) || read(http, second);
    return shown(value === null ? null : value.slice(0, charsMax));
  };
}

/** As Envoy has it, `-` stands for what there is not; an empty text would shift the columns after it. */
function shown(value: string | number | null): string {
  if (value === null || value === '') return '-';
  if (typeof value === 'number') return String(value);
  const { logValueCharsMax } = TELEMETRY;
  const text = value.length <= logValueCharsMax ? value : `${value.slice(0, logValueCharsMax)}…`;
  return FORGES.test(text) ? text.replace(new RegExp(FORGES, 'g'), escaped) : text;
}

/** What begins a new line for one reader or another. A tab does not, and may part columns. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the point is to find them
const BREAKS_LINES = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]/;
/** What of a client's words could be taken for the end of a line or of a quoted column, and what these are escaped by. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the point is to find them
const FORGES = /[\x00-\x1f"\\\x7f-\x9f\u2028\u2029]/;
/** Fixed by ISO 8859-1: what a byte of a header is read as. */
const BYTE_MAX = 0xff;

/** As other servers escape it in their logs. */
function escaped(char: string): string {
  const code = char.charCodeAt(0);
  return code <= BYTE_MAX ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
}

function unreadable(format: string, at: number): FormatOutcome {
  BEGUN.lastIndex = at;
  const [, name = ''] = BEGUN.exec(format) ?? [];
  if (name === '') return refused('a %', at, 'it begins no operator; a % of its own is written %%');
  return refused(`%${name}`, at, 'it is no whole operator; write %NAME%, %NAME(argument)% or %NAME(argument):length%');
}

function refused(what: string, at: number, why: string): FormatOutcome {
  return { kind: 'refused', why: `${what} at character ${at + 1}: ${why}` };
}

function known(): string {
  return ['START_TIME', ...Object.keys(HEADER_OPERATORS), ...Object.keys(OPERATORS)].join(', ');
}
