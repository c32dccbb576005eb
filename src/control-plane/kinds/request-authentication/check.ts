import { type Attachment, checkAttachment } from '#control-plane/resources/attachment.ts';
import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { isFraming } from '#model/routing/header-edits.ts';
import { sourceOf, timeoutOf } from './key-source.ts';
import type { RawJwtRule, RawRequestAuthentication } from './schema.ts';

/** What the schema cannot say of a RequestAuthentication. */
export function checkRequestAuthentication({ metadata, spec = {} }: RawRequestAuthentication): Problem[] {
  const { selector, targetRef, targetRefs = [], jwtRules = [] } = spec;
  const given = [selector, targetRef, spec.targetRefs].filter((one) => one !== undefined).length;
  const problems: Problem[] = [];
  if (given > 1) {
    const message = 'selector, targetRef and targetRefs exclude one another';
    problems.push(errorAt('WEFT_FIELD_CONFLICT', ['spec'], message, 'keep targetRefs'));
  }
  if (targetRef !== undefined) problems.push(...checkAttachment(targetRef, metadata.namespace, ['spec', 'targetRef'], ABOUT));
  problems.push(
    ...targetRefs.flatMap((target, at) => checkAttachment(target, metadata.namespace, ['spec', 'targetRefs', at], ABOUT)),
  );
  if (targetRef === undefined && targetRefs.length === 0) {
    const message = 'nodes see no requests: without targetRefs nothing looks at tokens';
    problems.push(warningAt('WEFT_NOT_ENFORCED', ['spec'], message, 'add targetRefs: a Service or its waypoint'));
  }
  problems.push(...jwtRules.flatMap((rule, at) => checkRule(rule, ['spec', 'jwtRules', at])));
  return problems;
}

const ABOUT: Attachment = {
  what: 'policy',
  groups: {
    Service: ['', 'core'],
    ServiceEntry: ['networking.istio.io'],
    Gateway: ['gateway.networking.k8s.io'],
  },
  refused: (kind) => `a RequestAuthentication cannot be attached to a ${kind} here`,
  remedy: 'target a Service, a ServiceEntry or a Gateway',
};

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
