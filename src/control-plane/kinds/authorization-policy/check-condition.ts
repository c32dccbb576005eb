import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { nearestName } from '#control-plane/resources/nearest-name.ts';
import { checkCidr, checkPort, checkPrincipal, checkServiceAccount, checkTrustDomain, emptyValue } from './check-values.ts';
import type { RawCondition } from './schema.ts';

/** Attributes without an index, with the syntax of their values. */
const ATTRIBUTES: Readonly<Record<string, (value: string, path: FieldPath) => Problem[]>> = {
  'source.ip': checkCidr,
  'remote.ip': checkCidr,
  'source.namespace': () => [],
  'source.principal': checkPrincipal,
  'source.serviceAccount': checkServiceAccount,
  'source.trustDomain': checkTrustDomain,
  'request.auth.principal': () => [],
  'request.auth.audiences': () => [],
  'request.auth.presenter': () => [],
  'destination.ip': checkCidr,
  'destination.port': checkPort,
  'connection.sni': () => [],
};

/** Attributes with an index in brackets. */
const INDEXED = ['request.headers', 'request.auth.claims'];

/** `experimental.envoy.filters.<name>[<key>]`, where the key may be indexed again. */
const ENVOY_METADATA = /^experimental\.envoy\.filters\.[^[\]]+(?:\[.*\])?$/;

/** For the remedy: everything a key may be. */
const VALID_KEYS = [...Object.keys(ATTRIBUTES), ...INDEXED.map((name) => `${name}[…]`)].join(', ');

/** A `when` entry: the key must be an attribute Weft knows, the values must have its syntax. */
export function checkCondition({ key, values, notValues }: RawCondition, path: FieldPath): Problem[] {
  const problems = checkKey(key, [...path, 'key']);
  if (values === undefined && notValues === undefined) {
    problems.push(errorAt('WEFT_FIELD_INVALID', path, 'a condition needs values or notValues', 'add values'));
  }
  // A header or claim may hold any text, so only attributes without an index have a syntax.
  const check = Object.hasOwn(ATTRIBUTES, key) ? ATTRIBUTES[key] : undefined;
  for (const [name, list] of Object.entries({ values, notValues })) {
    if (list?.length === 0) {
      const message = 'an empty list restricts nothing';
      problems.push(errorAt('WEFT_FIELD_INVALID', [...path, name], message, 'remove the field, or list at least one value'));
    }
    for (const [at, value] of (list ?? []).entries()) {
      const where = [...path, name, at];
      problems.push(...(value === '' ? [emptyValue(where)] : (check?.(value, where) ?? [])));
    }
  }
  return problems;
}

/** A misspelt attribute would make a condition that never holds, so the nearest one is named. */
function checkKey(key: string, path: FieldPath): Problem[] {
  if (Object.hasOwn(ATTRIBUTES, key)) return [];
  // `name[index]`, where claims may be nested and headers may not.
  const indexed = /^([^[\]]+)((?:\[[^[\]]+\])+)$/.exec(key);
  const name = indexed?.[1] ?? key;
  if (indexed !== null && name === 'request.headers' && indexed[2]?.split('[').length === 2) return [];
  if (indexed !== null && name === 'request.auth.claims') return [];
  // Valid in Istio: metadata that Envoy's filters leave behind. Nothing here does, so it is as if there were none.
  if (ENVOY_METADATA.test(key)) {
    const message = `"${key}" is what a filter of Envoy says of a request, and there is no Envoy here`;
    return [warningAt('WEFT_NOT_ENFORCED', path, message, 'match on the request itself: use one of the other attributes')];
  }
  // Istio had it once, and many policies on the web still do.
  if (name === 'destination.labels') {
    const message = `"${key}" is no longer an attribute`;
    return [errorAt('WEFT_FIELD_INVALID', path, message, 'choose workloads with spec.selector instead')];
  }
  const nearest = nearestName(name, indexed === null ? [...Object.keys(ATTRIBUTES), ...INDEXED] : INDEXED);
  const suggestion =
    nearest === null ? '' : `, did you mean "${nearest}${indexed?.[2] ?? (INDEXED.includes(nearest) ? '[…]' : '')}"?`;
  return [errorAt('WEFT_FIELD_INVALID', path, `"${key}" is not an attribute${suggestion}`, `use one of: ${VALID_KEYS}`)];
}
