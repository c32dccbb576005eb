import { errorAt, type FieldPath, type Problem } from '#control-plane/resources/finding.ts';
import { compileRegex } from '#model/routing/regex/regex.ts';

/** A pattern must be one that a waypoint can run: RE2's dialect, at most 1024 characters. */
export function checkRegex(value: string, path: FieldPath): Problem[] {
  const outcome = compileRegex(value);
  if (outcome.kind === 'compiled') return [];
  return [errorAt('WEFT_FIELD_INVALID', path, `the pattern ${JSON.stringify(value)} ${outcome.why}`, 'write it in RE2 syntax')];
}
