import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { compileRegex } from '#model/routing/regex/regex.ts';
import type { RawMatch, RawValueMatch } from './documents.ts';

type RawPath = NonNullable<RawMatch['path']>;

/** The rules of one match: paths, patterns and header names. */
export function checkMatch({ path, headers = [], queryParams = [] }: RawMatch, at: FieldPath): Problem[] {
  return [
    ...(path === undefined ? [] : checkPath(path, [...at, 'path', 'value'])),
    ...headers.flatMap((header, index) => checkValue(header, [...at, 'headers', index])),
    ...queryParams.flatMap((param, index) => checkValue(param, [...at, 'queryParams', index])),
  ];
}

/** One header or query parameter. */
export function checkValue({ name, type, value }: RawValueMatch, path: FieldPath): Problem[] {
  if (name.startsWith(':')) {
    const message = `"${name}" is a pseudo-header`;
    return [errorAt('WEFT_FIELD_INVALID', [...path, 'name'], message, 'match on path or method instead')];
  }
  return type === 'RegularExpression' ? checkRegex(value, [...path, 'value']) : [];
}

/** What RFC 3986 lets stand in a path, percent-encoded octets included. */
const PATH_CHARACTERS = /^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+$/;

/** A star is no wildcard here, though many expect one: that is told, not refused. */
function checkPath({ type, value }: RawPath, path: FieldPath): Problem[] {
  if (type === 'RegularExpression') return checkRegex(value, path);
  const reason = pathMistake(value);
  if (reason !== null) {
    const remedy = value.startsWith('/') ? 'write a plain absolute path' : `use /${value}`;
    return [errorAt('WEFT_FIELD_INVALID', path, `"${value}" ${reason} for ${type}`, remedy)];
  }
  if (!value.includes('*')) return [];
  const base = value.replace(/\/?\*+$/, '') || '/';
  const covers = type === 'PathPrefix' && value.endsWith('*') ? `; PathPrefix ${base} already covers everything below` : '';
  return [warningAt('WEFT_LIKELY_MISTAKE', path, `"${value}": * is a literal character here${covers}`, `write ${base}`)];
}

/** What would never be in a path as a waypoint compares it; null when nothing is. */
function pathMistake(value: string): string | null {
  if (!value.startsWith('/')) return 'must begin with /';
  for (const part of ['//', '/./', '/../', '%2f', '%2F', '#']) if (value.includes(part)) return `must not contain ${part}`;
  for (const end of ['/..', '/.']) if (value.endsWith(end)) return `must not end with ${end}`;
  return PATH_CHARACTERS.test(value) ? null : 'holds a character that paths do not have';
}

/** A pattern must be one that a waypoint can run: RE2's dialect, at most 1024 characters. */
export function checkRegex(value: string, path: FieldPath): Problem[] {
  const outcome = compileRegex(value);
  if (outcome.kind === 'compiled') return [];
  return [errorAt('WEFT_FIELD_INVALID', path, `the pattern ${JSON.stringify(value)} ${outcome.why}`, 'write it in RE2 syntax')];
}
