import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { isFraming } from '#model/routing/header-edits.ts';
import { sourceOf, timeoutOf } from './key-source.ts';
import type { RawJwtRule, RawRequestAuthentication, RawTarget } from './schema.ts';

/** What the schema cannot say of a RequestAuthentication. */
export function checkRequestAuthentication({ metadata, spec = {} }: RawRequestAuthentication): Problem[] {
  const { selector, targetRef, targetRefs = [], jwtRules = [] } = spec;
  const given = [selector, targetRef, spec.targetRefs].filter((one) => one !== undefined).length;
  const problems: Problem[] = [];
  if (given > 1) {
    const message = 'selector, targetRef and targetRefs exclude one another';
    problems.push(errorAt('WEFT_FIELD_CONFLICT', ['spec'], message, 'keep targetRefs'));
  }
  if (targetRef !== undefined) problems.push(...checkTarget(targetRef, metadata.namespace, ['spec', 'targetRef']));
  problems.push(...targetRefs.flatMap((target, at) => checkTarget(target, metadata.namespace, ['spec', 'targetRefs', at])));
  if (targetRef === undefined && targetRefs.length === 0) {
    const message = 'nodes see no requests: without targetRefs nothing looks at tokens';
    problems.push(warningAt('WEFT_NOT_ENFORCED', ['spec'], message, 'add targetRefs: a Service or its waypoint'));
  }
  problems.push(...jwtRules.flatMap((rule, at) => checkRule(rule, ['spec', 'jwtRules', at])));
  return problems;
}

const GROUPS: Readonly<Record<string, readonly string[]>> = {
  Service: ['', 'core'],
  ServiceEntry: ['networking.istio.io'],
  Gateway: ['gateway.networking.k8s.io'],
};

function checkTarget(
  { group = '', kind, namespace = '' }: RawTarget,
  own: string | null | undefined,
  path: FieldPath,
): Problem[] {
  const groups = GROUPS[kind];
  if (groups === undefined) {
    const message = `a RequestAuthentication cannot be attached to a ${kind} here`;
    return [errorAt('WEFT_FIELD_INVALID', [...path, 'kind'], message, 'target a Service, a ServiceEntry or a Gateway')];
  }
  if (!groups.includes(group)) {
    const message = `${kind} is of group "${groups[0]}", not "${group}"`;
    return [errorAt('WEFT_FIELD_CONFLICT', [...path, 'group'], message, `write group: "${groups[0]}"`)];
  }
  if (namespace === '' || namespace === own) return [];
  const message = `a policy may not be about namespace ${namespace}`;
  return [errorAt('WEFT_FIELD_INVALID', [...path, 'namespace'], message, 'remove namespace, and move the policy there')];
}

function checkRule(rule: RawJwtRule, path: FieldPath): Problem[] {
  const { issuer, jwks, jwksUri = rule.jwks_uri } = rule;
  const problems: Problem[] = [];
  if (jwks !== undefined && jwksUri !== undefined) {
    problems.push(errorAt('WEFT_FIELD_CONFLICT', path, 'jwks and jwksUri exclude one another', 'keep one'));
  }
  if (issuer === undefined) {
    const message = 'without an issuer it is not known whose tokens these are';
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'issuer'], message, 'add issuer'));
  }
  if (jwks === undefined) {
    const from = sourceOf(rule);
    const message = from.kind === 'source' ? '' : `${from.why}; every token of the issuer is refused`;
    if (from.kind === 'none') problems.push(warningAt('WEFT_NOT_ENFORCED', [...path, 'jwksUri'], message, from.remedy));
  } else problems.push(...checkKeys(jwks, [...path, 'jwks']));
  if (rule.timeout !== undefined && timeoutOf(rule.timeout) === null) {
    const message = `"${rule.timeout}" is no time that fetching keys could take`;
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'timeout'], message, 'write a duration such as 5s'));
  }
  problems.push(...checkHeaders(rule, path));
  return problems;
}

/** Fields of a key that only its owner may know. */
const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k'];

function checkKeys(jwks: string, path: FieldPath): Problem[] {
  const keys = keysOf(jwks);
  if (keys === null) {
    return [errorAt('WEFT_FIELD_INVALID', path, 'this is no JSON Web Key Set', 'write { "keys": [ … ] }')];
  }
  // The name of the field is told, and nothing of its value.
  const found = PRIVATE.filter((field) => keys.some((key) => Object.hasOwn(key, field)));
  if (found.length === 0) return [];
  const message = `a private key is in jwks (fields ${found.join(', ')})`;
  return [errorAt('WEFT_FIELD_INVALID', path, message, 'publish only the public part, and replace the key: it has been shown')];
}

function keysOf(jwks: string): object[] | null {
  try {
    const keys = (JSON.parse(jwks) as { keys?: unknown } | null)?.keys;
    return Array.isArray(keys) && keys.every((key) => typeof key === 'object' && key !== null) ? (keys as object[]) : null;
  } catch {
    return null;
  }
}

/** What a token says may not frame the message that it comes with. */
function checkHeaders({ outputPayloadToHeader = '', outputClaimToHeaders = [] }: RawJwtRule, path: FieldPath): Problem[] {
  const named = [
    { name: outputPayloadToHeader, at: ['outputPayloadToHeader'] },
    ...outputClaimToHeaders.map(({ header }, index) => ({ name: header, at: ['outputClaimToHeaders', index, 'header'] })),
  ];
  return named.flatMap(({ name, at }) => {
    if (name === '' || (/^[-_A-Za-z0-9]+$/.test(name) && !isFraming(name))) return [];
    return [errorAt('WEFT_FIELD_INVALID', [...path, ...at], `header "${name}" cannot be set by a token`, 'choose another name')];
  });
}
