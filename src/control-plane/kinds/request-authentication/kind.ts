import { defineKind } from '#control-plane/index/kind-definition.ts';
import type { PolicyTarget } from '#control-plane/mesh/policy-targets.ts';
import { refusedFor } from '#control-plane/resources/cluster-kind.ts';
import { eachField, type FieldTable } from '#control-plane/resources/field-table.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import type { JwtRule, TokenLocation } from '#model/waypoint/jwt.ts';
import { checkRequestAuthentication } from './check.ts';
import { attachedAuthentications, authenticationNeeds, authenticationStatus, REQUEST_AUTHENTICATIONS } from './derive.ts';
import { sourceOf } from './key-source.ts';
import type { RawJwtRule, RawRequestAuthentication, RequestAuthenticationResource } from './schema.ts';

const AT_WAYPOINTS = 'WaypointAccepted';
const RULE = 'spec.jwtRules[].';

/** What becomes of each field of a RequestAuthentication. */
const FIELDS: FieldTable = {
  'spec.selector': { is: 'refused', why: 'told: nodes see no requests, so nothing is in force of a policy with a selector' },
  ...eachField('spec.targetRef.', 'group kind name namespace'),
  ...eachField('spec.targetRefs[].', 'group kind name namespace'),
  ...eachField(RULE, 'issuer audiences jwks fromHeaders[].name fromHeaders[].prefix fromParams fromCookies'),
  ...eachField(RULE, 'forwardOriginalToken outputPayloadToHeader spaceDelimitedClaims'),
  ...eachField(`${RULE}outputClaimToHeaders[].`, 'header claim'),
  ...eachField(RULE, 'jwksUri jwks_uri timeout'),
};

/** How a RequestAuthentication is read: waypoints enforce it. */
export const requestAuthenticationKind = defineKind({
  kind: 'RequestAuthentication',
  group: 'security.istio.io',
  versions: ['v1', 'v1beta1'],
  namespaced: true,
  schema: { kind: 'crd', file: 'security.istio.io_requestauthentications.yaml' },
  unknownFields: 'error',
  cluster: { status: { form: 'conditions', types: [AT_WAYPOINTS], refused: () => refusedFor('Invalid', [AT_WAYPOINTS]) } },
  fields: FIELDS,
  check: checkRequestAuthentication,
  read: readRequestAuthentication,
  resources: REQUEST_AUTHENTICATIONS,
  derivations: [authenticationNeeds, attachedAuthentications, authenticationStatus],
});

/** The single targetRef of older versions counts like one entry of targetRefs. */
function readRequestAuthentication({ spec = {} }: RawRequestAuthentication, metadata: Metadata): RequestAuthenticationResource {
  const refs = [...(spec.targetRef === undefined ? [] : [spec.targetRef]), ...(spec.targetRefs ?? [])];
  return {
    kind: 'RequestAuthentication',
    metadata,
    targets: refs.map(({ kind, name }) => ({ kind: kind as PolicyTarget['kind'], name })),
    rules: (spec.jwtRules ?? []).map(readRule),
  };
}

/** Keys that are not there make every token of their issuer invalid: never is one taken without. */
function readRule(rule: RawJwtRule): JwtRule {
  return {
    issuer: rule.issuer ?? '',
    audiences: rule.audiences ?? [],
    jwks: rule.jwks ?? null,
    ...jwksFrom(rule),
    locations: readLocations(rule),
    forward: rule.forwardOriginalToken ?? false,
    payloadHeader: rule.outputPayloadToHeader ?? '',
    claimHeaders: (rule.outputClaimToHeaders ?? []).map(({ header, claim }) => ({ header, claim })),
    spaceDelimitedClaims: rule.spaceDelimitedClaims ?? [],
  };
}

/** Of keys that are written nothing is fetched. */
function jwksFrom(rule: RawJwtRule): Pick<JwtRule, 'jwksFrom'> {
  const from = rule.jwks === undefined ? sourceOf(rule) : null;
  return from?.kind === 'source' ? { jwksFrom: from.source } : {};
}

/** Places that are written replace the usual ones. */
function readLocations({ fromHeaders = [], fromParams = [], fromCookies = [] }: RawJwtRule): TokenLocation[] {
  const written: TokenLocation[] = [
    ...fromHeaders.map(({ name, prefix }): TokenLocation => ({ in: 'header', name: name.toLowerCase(), prefix: prefix ?? '' })),
    ...fromParams.map((name): TokenLocation => ({ in: 'query', name })),
    ...fromCookies.map((name): TokenLocation => ({ in: 'cookie', name })),
  ];
  if (written.length > 0) return written;
  return [
    { in: 'header', name: 'authorization', prefix: 'Bearer ' },
    { in: 'query', name: 'access_token' },
  ];
}
