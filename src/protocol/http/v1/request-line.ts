import { CR, LF, SLASH, SPACE, TARGET, TOKEN, tableOf, textOf } from '#protocol/http/characters.ts';

/** The first line of a request, or how to refuse it. */
export type RequestLine =
  | {
      readonly kind: 'ok';
      readonly method: string;
      readonly target: string;
      /** It is a path of which no normalization would change anything. */
      readonly isNormal: boolean;
      readonly next: number;
    }
  | { readonly kind: 'invalid'; readonly status: number; readonly details: string };

/** With none of these, and none of those behind a slash, a target has one form at every level: that in which it came. */
const DOUBTFUL = tableOf('%\\#');
const DOUBTFUL_AFTER_SLASH = tableOf('/.;');

const COMMON_METHODS = ['GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'PATCH', 'OPTIONS', 'CONNECT', 'TRACE'] as const;
const VERSION_1_1 = 'HTTP/1.1';

const MALFORMED: RequestLine = { kind: 'invalid', status: 400, details: 'http1.malformed_request_line' };
const LOW_VERSION: RequestLine = { kind: 'invalid', status: 426, details: 'low_version' };
const OTHER_VERSION: RequestLine = { kind: 'invalid', status: 505, details: 'http1.unsupported_version' };
/** Methods are case-sensitive; a lower-case one would slip past policies that name it (config-api 3.3). */
const METHOD_CASE: RequestLine = { kind: 'invalid', status: 400, details: 'http1.method_not_upper_case' };

/** Reads `METHOD SP target SP HTTP/1.1 CRLF` at `start`; `next` is where the headers begin. */
export function parseRequestLine(bytes: Buffer, start: number): RequestLine {
  let at = start;
  let lowerCase = false;
  while (TOKEN[bytes[at] ?? 0] === 1) {
    const code = bytes[at] ?? 0;
    if (code >= 0x61 && code <= 0x7a) lowerCase = true;
    at++;
  }
  if (at === start || bytes[at] !== SPACE) return MALFORMED;
  const method = methodAt(bytes, start, at);
  const targetStart = at + 1;
  at = targetStart;
  let isNormal = bytes[at] === SLASH;
  while (TARGET[bytes[at] ?? 0] === 1) {
    const code = bytes[at] ?? 0;
    if (DOUBTFUL[code] === 1 || (code === SLASH && DOUBTFUL_AFTER_SLASH[bytes[at + 1] ?? 0] === 1)) isNormal = false;
    at++;
  }
  if (at === targetStart || bytes[at] !== SPACE) return MALFORMED;
  const target = textOf(bytes, targetStart, at);
  const version = versionProblem(bytes, at + 1);
  if (version !== null) return version;
  if (lowerCase) return METHOD_CASE;
  return { kind: 'ok', method, target, isNormal, next: at + 1 + VERSION_1_1.length + 2 };
}

function methodAt(bytes: Buffer, start: number, end: number): string {
  for (const method of COMMON_METHODS) {
    if (method.length === end - start && matchesAt(bytes, start, method)) return method;
  }
  return textOf(bytes, start, end);
}

/** Null for HTTP/1.1; W19: HTTP/1.0 is told to upgrade. */
function versionProblem(bytes: Buffer, at: number): RequestLine | null {
  const end = at + VERSION_1_1.length;
  const lineEnds = bytes[end] === CR && bytes[end + 1] === LF;
  if (lineEnds && matchesAt(bytes, at, VERSION_1_1)) return null;
  if (!lineEnds || !/^HTTP\/\d\.\d$/.test(textOf(bytes, at, end))) return MALFORMED;
  return matchesAt(bytes, at, 'HTTP/1.0') ? LOW_VERSION : OTHER_VERSION;
}

function matchesAt(bytes: Buffer, start: number, text: string): boolean {
  for (let at = 0; at < text.length; at++) if (bytes[start + at] !== text.charCodeAt(at)) return false;
  return true;
}
