import { errorAt, type FieldPath, type Problem } from '#control-plane/resources/finding.ts';
import type { RawRouteRule } from './documents.ts';

/** A cookie that is to outlive the browser must say until when. `path`: of what says it. */
export function checkSession({ sessionPersistence }: Pick<RawRouteRule, 'sessionPersistence'>, path: FieldPath): Problem[] {
  const { type, absoluteTimeout, cookieConfig, sessionName } = sessionPersistence ?? {};
  const at = [...path, 'sessionPersistence'];
  const problems: Problem[] = [];
  if (cookieConfig !== undefined && type === 'Header') {
    problems.push(errorAt('WEFT_FIELD_CONFLICT', at, 'cookieConfig belongs to type Cookie', 'remove it, or write type: Cookie'));
  }
  if (cookieConfig?.lifetimeType === 'Permanent' && absoluteTimeout === undefined) {
    const message = 'lifetimeType Permanent needs absoluteTimeout';
    problems.push(errorAt('WEFT_FIELD_CONFLICT', at, message, 'add absoluteTimeout, or write lifetimeType: Session'));
  }
  if (sessionName !== undefined && !/^[A-Za-z0-9!#$%&'*+.^_`|~-]*$/.test(sessionName)) {
    const message = `"${sessionName}" can be the name of neither a cookie nor a header`;
    problems.push(errorAt('WEFT_FIELD_INVALID', [...at, 'sessionName'], message, 'use letters, digits, - and _'));
  }
  return problems;
}
