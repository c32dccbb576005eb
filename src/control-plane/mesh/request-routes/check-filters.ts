import { errorAt, type FieldPath, type Problem } from '#control-plane/resources/finding.ts';
import type { RawCors, RawFilter, RawMirror, RawPathModifier, RawRouteRule } from './documents.ts';

/** type of a filter → the field that holds its settings. */
const SETTINGS = {
  RequestHeaderModifier: 'requestHeaderModifier',
  ResponseHeaderModifier: 'responseHeaderModifier',
  RequestMirror: 'requestMirror',
  RequestRedirect: 'requestRedirect',
  URLRewrite: 'urlRewrite',
  CORS: 'cors',
  ExtensionRef: 'extensionRef',
  ExternalAuth: 'externalAuth',
} as const;

/** Every other type may be there once per list: two would contradict one another. */
const MAY_REPEAT = ['RequestMirror', 'ExtensionRef'];

/** The rules between filters of one list. */
export function checkFilters(filters: readonly RawFilter[], rule: Pick<RawRouteRule, 'matches'>, path: FieldPath): Problem[] {
  const types = filters.map(({ type }) => type);
  const problems = filters.flatMap((filter, at) => {
    // The first one is right; the place that is told is the repetition.
    const repeated = types.indexOf(filter.type) < at && !MAY_REPEAT.includes(filter.type);
    const message = `${filter.type} is listed twice`;
    const repetition = repeated ? [errorAt('WEFT_FIELD_CONFLICT', [...path, at], message, 'merge them into one')] : [];
    const values = checkValues(filter, [...path, at]);
    return [
      ...checkSettings(filter, [...path, at]),
      ...checkPrefixReplacement(filter, rule, [...path, at]),
      ...values,
      ...repetition,
    ];
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
function checkPrefixReplacement(filter: RawFilter, { matches }: Pick<RawRouteRule, 'matches'>, path: FieldPath): Problem[] {
  const modifier = filter.requestRedirect?.path ?? filter.urlRewrite?.path;
  if (modifier?.type !== 'ReplacePrefixMatch') return [];
  // With one match the prefix that is replaced is the one that matched.
  const [only] = matches;
  if (matches.length === 1 && only?.path?.type === 'PathPrefix') return [];
  const message = 'prefix replacement needs exactly one PathPrefix match in the rule';
  return [errorAt('WEFT_FIELD_CONFLICT', path, message, 'match by one PathPrefix, or use ReplaceFullPath')];
}

/** What the schema states in CEL about the settings of a filter. */
function checkValues({ cors, requestMirror, requestRedirect, urlRewrite }: RawFilter, path: FieldPath): Problem[] {
  return [
    ...(cors === undefined ? [] : checkCors(cors, [...path, 'cors'])),
    ...(requestMirror === undefined ? [] : checkMirror(requestMirror, [...path, 'requestMirror'])),
    ...checkPathModifier(requestRedirect?.path, [...path, 'requestRedirect', 'path']),
    ...checkPathModifier(urlRewrite?.path, [...path, 'urlRewrite', 'path']),
  ];
}

/** A modifier that lacks its value, or holds the other's, would replace a path by something else than is written. */
function checkPathModifier(modifier: RawPathModifier | undefined, path: FieldPath): Problem[] {
  if (modifier === undefined) return [];
  const { type, replaceFullPath, replacePrefixMatch } = modifier;
  const [own, other] = type === 'ReplaceFullPath' ? [replaceFullPath, replacePrefixMatch] : [replacePrefixMatch, replaceFullPath];
  if (own !== undefined && other === undefined) return [];
  const field = type === 'ReplaceFullPath' ? 'replaceFullPath' : 'replacePrefixMatch';
  return [errorAt('WEFT_FIELD_CONFLICT', path, `type ${type} needs ${field} and nothing else`, `write ${field} alone`)];
}

function checkMirror({ backendRef, percent, fraction }: RawMirror, path: FieldPath): Problem[] {
  const problems: Problem[] = [];
  if (percent !== undefined && fraction !== undefined) {
    problems.push(errorAt('WEFT_FIELD_CONFLICT', path, 'percent and fraction exclude one another', 'keep one of them'));
  }
  if (fraction !== undefined && fraction.numerator > fraction.denominator) {
    const message = `${fraction.numerator} of ${fraction.denominator} is more than all`;
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'fraction'], message, 'write a numerator up to the denominator'));
  }
  if (backendRef.group === '' && backendRef.kind === 'Service' && backendRef.port === undefined) {
    const message = 'port is required for a Service: it has no default';
    const remedy = 'add the port of the Service (not the container port)';
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'backendRef', 'port'], message, remedy));
  }
  return problems;
}

/** A star beside others says less than it seems to: which of them holds would be open. */
function checkCors(cors: RawCors, path: FieldPath): Problem[] {
  const lists = ['allowOrigins', 'allowMethods', 'allowHeaders', 'exposeHeaders'] as const;
  return lists.flatMap((field) => {
    const list = cors[field] ?? [];
    if (list.length < 2 || !list.includes('*')) return [];
    return [errorAt('WEFT_FIELD_CONFLICT', [...path, field], '* must stand alone', 'remove * or everything else')];
  });
}
