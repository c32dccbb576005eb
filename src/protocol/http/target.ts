import { DEFAULT_PATH_NORMALIZATION, type PathNormalization } from '#model/waypoint/config.ts';

/** Printable ASCII without space: what a request target may hold (RFC 3986 and nothing else). */
const TARGET = /^[\x21-\x7e]+$/;
const UNRESERVED = /[A-Za-z0-9\-._~]/;
const ESCAPE = /%([0-9A-Fa-f]{2})/g;
/** Anything that normalization could change or refuse. */
const NEEDS_WORK = /[%\\]|\/\.{1,2}(?:[/;]|$)/;
const NEEDS_MERGING = /[%\\]|\/\.{1,2}(?:[/;]|$)|\/[/;]/;
/** A NUL ends the path for whatever is written in C. */
const NUL = /%00/;
/** UTF-8 that spells an ASCII letter with more bytes than it has: no one writes it, and some decoders read it. */
const OVERLONG = /%c[01]%[89ab][0-9a-f]|%e0%[89][0-9a-f]/i;
/** `.` or `..` with parameters, or next to an escaped slash: some servers walk there and others take it for a name. */
const DOUBTFUL_DOTS = /(?:^|%2f|%5c)\.{1,2}(?:;|%3b|%2f|%5c|$)/i;
/** A segment that is nothing but parameters: for a server that drops them, a doubled slash. */
const ONLY_PARAMETERS = /^(?:;|%3b)/i;

/**
 * The one canonical form of an origin-form target, used by policy and routing and forwarded alike (W15-W18): the fragment
 * is cut, and the path brought to the form of `level`. The query stays as it is. Null when it is not a path, or has no one
 * meaning: answer 400.
 */
export function normalizeTarget(target: string, level: PathNormalization = DEFAULT_PATH_NORMALIZATION): string | null {
  if (!TARGET.test(target)) return null;
  const fragment = target.indexOf('#');
  const whole = fragment < 0 ? target : target.slice(0, fragment);
  const question = whole.indexOf('?');
  const path = question < 0 ? whole : whole.slice(0, question);
  if (!path.startsWith('/')) return null;
  if (level === 'NONE') return NUL.test(path) ? null : whole;
  const merges = level !== 'BASE';
  if (!(merges ? NEEDS_MERGING : NEEDS_WORK).test(path)) return whole;
  if (NUL.test(path) || OVERLONG.test(path)) return null;
  const decoded = decodePath(path, level === 'DECODE_AND_MERGE_SLASHES');
  const resolved = decoded === null ? null : resolveDots(decoded, merges);
  if (resolved === null) return null;
  // Envoy's order: first resolve, then merge.
  const normal = merges ? resolved.replace(/\/{2,}/g, '/') : resolved;
  return question < 0 ? normal : normal + whole.slice(question);
}

/**
 * Every escape decoded once, as far as that changes nothing but the spelling, and `\` made a slash. Null when escapes decode
 * into an escape (`%2%65`), which the next hop would decode again.
 */
function decodePath(path: string, slashes: boolean): string | null {
  let kept = 0;
  const decoded = path.replace(ESCAPE, (found, digits: string) => {
    const letter = String.fromCharCode(Number.parseInt(digits, 16));
    if (UNRESERVED.test(letter)) return letter;
    if (slashes && (letter === '/' || letter === '\\')) return '/';
    kept++;
    return found;
  });
  const left = decoded.match(ESCAPE)?.length ?? 0;
  return left === kept ? decoded.replaceAll('\\', '/') : null;
}

/** Without dot segments; null where it is in doubt what is one. */
function resolveDots(path: string, merges: boolean): string | null {
  const kept: string[] = [];
  const segments = path.slice(1).split('/');
  for (const [at, segment] of segments.entries()) {
    const isLast = at === segments.length - 1;
    if (segment === '.' || segment === '..') {
      if (segment === '..') kept.pop();
      if (isLast) kept.push('');
      continue;
    }
    if (DOUBTFUL_DOTS.test(segment)) return null;
    if (merges && !isLast && ONLY_PARAMETERS.test(segment)) return null;
    kept.push(segment);
  }
  return `/${kept.join('/')}`;
}

/** What an absolute-form target says, or null when it is not one of http or https. */
export function splitAbsoluteTarget(target: string): { authority: string; target: string } | null {
  const match = /^https?:\/\/([^/?#]+)(.*)$/i.exec(target);
  if (match === null) return null;
  const [, authority = '', rest = ''] = match;
  return { authority, target: rest.startsWith('/') ? rest : `/${rest}` };
}

/** A host with optional port, without user information; what Host and :authority may hold. */
export function isAuthority(text: string): boolean {
  return /^(?:[A-Za-z0-9\-._~!$&'()*+;=%]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/.test(text);
}
