import { compileForm, type TextTest } from '#model/policy/l7/string-form.ts';
import { compileRegex, quotePattern } from '#model/routing/regex/regex.ts';

const LITERAL_SEGMENT = /^[a-zA-Z0-9\-._~%!$&'()+,;:@=]*$/;

/**
 * Compiles one entry of `paths`: a plain form, or a template with `{*}` (one segment) and `{**}` (any rest).
 * Null when it is a template that config-api 3.3 forbids.
 */
export function compilePathForm(form: string): TextTest | null {
  return form.includes('{') || form.includes('}') ? compileTemplate(form) : compileForm(form);
}

function compileTemplate(form: string): TextTest | null {
  if (!form.startsWith('/')) return null;
  const segments = form.slice(1).split('/');
  const anyRest = segments.indexOf('{**}');
  if (anyRest >= 0 && segments.slice(anyRest + 1).some((segment) => segment.startsWith('{'))) return null;
  const patterns = segments.map(segmentPattern);
  if (patterns.includes(null)) return null;
  const outcome = compileRegex(`/${patterns.join('/')}`);
  return outcome.kind === 'compiled' ? (path) => outcome.regex.matches(path) : null;
}

function segmentPattern(segment: string): string | null {
  if (segment === '{*}') return '[^/]+';
  if (segment === '{**}') return '(?s).*';
  return LITERAL_SEGMENT.test(segment) ? quotePattern(segment) : null;
}
