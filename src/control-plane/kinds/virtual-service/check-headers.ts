import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { isFraming } from '#model/routing/header-edits.ts';
import type { RawHeaderOperations, RawHeaders } from './schema.ts';

/** The rules of header changes. */
export function checkHeaders(headers: RawHeaders | undefined, path: FieldPath): Problem[] {
  if (headers === undefined) return [];
  return [
    ...checkOperations(headers.request, [...path, 'request'], true),
    ...checkOperations(headers.response, [...path, 'response'], false),
  ];
}

/** The response has no authority to set. */
function checkOperations(
  { set = {}, add = {}, remove = [] }: RawHeaderOperations = {},
  path: FieldPath,
  ofRequest: boolean,
): Problem[] {
  return [
    ...Object.entries(set).flatMap(([name, value]) => checkChange(name, value, [...path, 'set', name], ofRequest)),
    ...Object.entries(add).flatMap(([name, value]) => checkChange(name, value, [...path, 'add', name], ofRequest)),
    ...remove.flatMap((name, at) => checkName(name, [...path, 'remove', at], false)),
  ];
}

/** What Envoy would replace is sent as text here, which an application may take for the value. */
function checkChange(name: string, value: string, path: FieldPath, ofRequest: boolean): Problem[] {
  const problems = checkName(name, path, ofRequest);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the point is to find them
  if (/[\x00-\x08\x0a-\x1f\x7f]/.test(value))
    problems.push(errorAt('WEFT_FIELD_INVALID', path, 'the value holds a control character', 'remove it'));
  if (/%[A-Z_]+(\(.*?\))?%/.test(value)) {
    const message = `"${value}" is sent as it is written: a waypoint has none of Envoy's operators between % signs`;
    problems.push(warningAt('WEFT_NOT_ENFORCED', path, message, 'write the value itself'));
  }
  return problems;
}

/** The authority may be set in requests, by either of its names. */
function checkName(name: string, path: FieldPath, mayBeAuthority: boolean): Problem[] {
  const isAuthority = name === ':authority' || name.toLowerCase() === 'host';
  if (isAuthority && mayBeAuthority) return [];
  if (!/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(name))
    return [errorAt('WEFT_FIELD_INVALID', path, `"${name}" is no name of a header`, 'correct it')];
  if (!isFraming(name)) return [];
  const message = `header "${name}" frames its message or belongs to one hop, so no route changes it`;
  return [warningAt('WEFT_NOT_ENFORCED', path, message, 'remove it')];
}
