import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';

/** What a literal segment of a path template may hold. */
const LITERAL_SEGMENT = /^[a-zA-Z0-9\-._~%!$&'()+,;:@=]*$/;

/** A path of an AuthorizationPolicy: exact, with one `*` at an end, or a template with `{*}` and `{**}`. */
export function checkPathPattern(value: string, path: FieldPath): Problem[] {
  const reason = value.includes('{') || value.includes('}') ? templateMistake(value) : null;
  if (reason !== null) {
    const remedy = 'write {*} for one whole segment and {**} once, as the last operator';
    return [errorAt('WEFT_FIELD_INVALID', path, `"${value}": ${reason}`, remedy)];
  }
  if (value.includes('{')) return [];
  const inner = value.startsWith('*') ? value.slice(1) : value.endsWith('*') ? value.slice(0, -1) : value;
  if (inner.includes('*')) {
    const message = `"${value}": a * in the middle is compared literally`;
    return [warningAt('WEFT_LIKELY_MISTAKE', path, message, `write ${value.replaceAll('*', '{*}')}`)];
  }
  if (value.startsWith('/') || value.startsWith('*')) return [];
  const message = `"${value}" never matches: a path begins with /`;
  return [errorAt('WEFT_FIELD_INVALID', path, message, `write /${value}`)];
}

function templateMistake(value: string): string | null {
  if (!value.startsWith('/')) return 'a template begins with /';
  const segments = value.slice(1).split('/');
  const last = segments.indexOf('{**}');
  for (const [at, segment] of segments.entries()) {
    if (last >= 0 && at > last && /^\{\*{1,2}\}$/.test(segment)) return '{**} must be the last operator';
    if (segment === '{*}' || segment === '{**}') continue;
    if (/[{}]/.test(segment)) return `an operator must be a whole path segment, "${segment}" is not {*} or {**}`;
    if (segment.includes('*')) return 'a template must not hold a plain *';
    if (!LITERAL_SEGMENT.test(segment)) return `segment "${segment}" holds a character that templates do not allow`;
  }
  return null;
}
