import { errorAt, type FieldPath, type Problem } from '#control-plane/resources/finding.ts';
import type { RawFilter, RawRouteRule } from './schema.ts';

/** type of a filter → the field that holds its settings. */
const SETTINGS = {
  RequestHeaderModifier: 'requestHeaderModifier',
  ResponseHeaderModifier: 'responseHeaderModifier',
  RequestMirror: 'requestMirror',
  RequestRedirect: 'requestRedirect',
  URLRewrite: 'urlRewrite',
  CORS: 'cors',
  ExtensionRef: 'extensionRef',
} as const;

/** Every other type may be there once per list: two would contradict one another. */
const MAY_REPEAT = ['RequestMirror', 'ExtensionRef'];

/** The rules between filters of one list. */
export function checkFilters(filters: readonly RawFilter[], rule: RawRouteRule, path: FieldPath): Problem[] {
  const types = filters.map(({ type }) => type);
  const problems = filters.flatMap((filter, at) => {
    // The first one is right; the place that is told is the repetition.
    const repeated = types.indexOf(filter.type) < at && !MAY_REPEAT.includes(filter.type);
    const message = `${filter.type} is listed twice`;
    const repetition = repeated ? [errorAt('WEFT_FIELD_CONFLICT', [...path, at], message, 'merge them into one')] : [];
    return [...checkSettings(filter, [...path, at]), ...checkPrefixReplacement(filter, rule, [...path, at]), ...repetition];
  });
  if (types.includes('RequestRedirect') && types.includes('URLRewrite')) {
    const message = 'RequestRedirect and URLRewrite exclude one another';
    problems.push(errorAt('WEFT_FIELD_CONFLICT', path, message, 'keep one of them'));
  }
  return problems;
}

/** A type without its settings, or with those of another one, does something else than it says. */
function checkSettings(filter: RawFilter, path: FieldPath): Problem[] {
  return Object.entries(SETTINGS).flatMap(([type, field]) => {
    const present = filter[field] !== undefined;
    if (present === (filter.type === type)) return [];
    const message = present ? `${field} does not belong to a filter of type ${filter.type}` : `type ${type} needs ${field}`;
    const remedy = present ? `remove it, or write type: ${type}` : `add ${field}`;
    return [errorAt('WEFT_FIELD_CONFLICT', [...path, field], message, remedy)];
  });
}

/** With several prefixes it would be open which of them is replaced. */
function checkPrefixReplacement(filter: RawFilter, { matches }: RawRouteRule, path: FieldPath): Problem[] {
  const modifier = filter.requestRedirect?.path ?? filter.urlRewrite?.path;
  if (modifier?.type !== 'ReplacePrefixMatch') return [];
  // With one match the prefix that is replaced is the one that matched.
  const [only] = matches;
  if (matches.length === 1 && only?.path?.type === 'PathPrefix') return [];
  const message = 'prefix replacement needs exactly one PathPrefix match in the rule';
  return [errorAt('WEFT_FIELD_CONFLICT', path, message, 'match by one PathPrefix, or use ReplaceFullPath')];
}
