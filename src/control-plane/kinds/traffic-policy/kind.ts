import { defineKind } from '#control-plane/index/kind-definition.ts';
import { readDurationMs } from '#control-plane/mesh/request-routes/documents.ts';
import { firstOfEachName, readHeaders, readValueMatch } from '#control-plane/mesh/request-routes/read-rule.ts';
import { refusedFor } from '#control-plane/resources/cluster-kind.ts';
import { eachField, type FieldTable } from '#control-plane/resources/field-table.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import type { Fault, RateLimitKey, RateLimitRule, TrafficMatch } from '#model/waypoint/traffic.ts';
import { checkTrafficPolicy } from './check.ts';
import { attachedTraffic, TRAFFIC_POLICIES, trafficStatus } from './derive.ts';
import { readSettings } from './read-settings.ts';
import type {
  RawFault,
  RawKey,
  RawLimitRule,
  RawTrafficMatch,
  RawTrafficPolicy,
  TrafficPolicyResource,
  TrafficTarget,
} from './schema.ts';

/** Of each target; both are false where the policy itself is refused. */
const CONDITIONS = ['Accepted', 'Programmed'];
const RULE = 'spec.rateLimit.rules[].';
const MATCH =
  'methods path.type path.value headers[].name headers[].type headers[].value queryParams[].name queryParams[].type queryParams[].value source.namespaces source.serviceAccounts';

/** What becomes of each field of a TrafficPolicy. */
const TRAFFIC_POLICY_FIELDS: FieldTable = {
  ...eachField('spec.targetRefs[].', 'group kind name sectionName'),
  ...eachField(RULE, 'name shadow key[].type key[].name limit.requests limit.window limit.burst limit.perReplica'),
  ...eachField(`${RULE}match.`, MATCH),
  [`${RULE}scope`]: { is: 'refused', why: 'Local is enforced; Global is refused, for no waypoint asks a rate limit service yet' },
  [`${RULE}key[].path`]: { is: 'refused', why: 'of JWTClaim, which is refused: claims are not known here yet' },
  'spec.rateLimit.responseHeaders': { is: 'enforced' },
  'spec.rateLimit.onServiceError': { is: 'elsewhere', why: 'it is about scope Global, which is refused' },
  ...eachField('spec.faultInjection.match.', MATCH),
  ...eachField('spec.faultInjection.', 'delay.duration delay.percentage abort.httpStatus abort.grpcStatus abort.percentage'),
  ...eachField(
    'spec.circuitBreaker.',
    'maxConnections maxPendingRequests maxRequests maxConcurrentRetries maxRequestsPerConnection',
  ),
  ...eachField(
    'spec.outlierDetection.',
    'consecutiveErrors consecutiveGatewayErrors interval baseEjectionTime maxEjectionTime maxEjectionPercent minHealthPercent',
  ),
  ...eachField('spec.retryBudget.', 'percent interval minRetryRate.count minRetryRate.interval'),
};

/** How a TrafficPolicy is read: waypoints enforce it. */
export const trafficPolicyKind = defineKind({
  kind: 'TrafficPolicy',
  group: 'weft.dev',
  versions: ['v1alpha1'],
  namespaced: true,
  schema: { kind: 'crd', file: 'weft.dev_trafficpolicies.yaml' },
  unknownFields: 'error',
  cluster: { status: { form: 'conditions', types: CONDITIONS, refused: () => refusedFor('Invalid', CONDITIONS) } },
  fields: TRAFFIC_POLICY_FIELDS,
  check: checkTrafficPolicy,
  read: readTrafficPolicy,
  resources: TRAFFIC_POLICIES,
  derivations: [attachedTraffic, trafficStatus],
});

/** The check has made sure of the kinds of targets and of what goes together. */
function readTrafficPolicy({ spec }: RawTrafficPolicy, metadata: Metadata): TrafficPolicyResource {
  const { targetRefs, rateLimit, faultInjection } = spec;
  const policy = `${metadata.namespace}/${metadata.name}`;
  return {
    kind: 'TrafficPolicy',
    metadata,
    targets: targetRefs.map(({ kind, name, sectionName }) => ({
      kind: kind as TrafficTarget['kind'],
      name,
      section: sectionName ?? null,
    })),
    rateLimit:
      rateLimit === undefined
        ? null
        : {
            policy,
            rules: rateLimit.rules.map((rule) => readLimitRule(rule, metadata.namespace)),
            responseHeaders: rateLimit.responseHeaders === 'DraftVersion03',
          },
    fault: faultInjection === undefined ? null : readFault(policy, faultInjection, metadata.namespace),
    settings: readSettings(spec),
  };
}

/** `own`: the namespace of the policy. */
function readLimitRule({ name, match, key, limit, shadow }: RawLimitRule, own: string): RateLimitRule {
  const { requests, window, burst, perReplica } = limit;
  return {
    name,
    match: readMatch(match, own),
    key: (key ?? []).map(readKey),
    requests,
    windowMs: readDurationMs(window),
    burst: burst ?? requests,
    perReplica,
    shadow,
  };
}

/** The check has refused claims, and names that are missing. */
function readKey({ type, name = '' }: RawKey): RateLimitKey {
  switch (type) {
    case 'Header':
      return { type: 'header', name };
    case 'QueryParam':
      return { type: 'query', name };
    case 'SourceServiceAccount':
      return { type: 'service-account' };
    case 'SourceNamespace':
      return { type: 'namespace' };
    case 'Method':
      return { type: 'method' };
    case 'Path':
      return { type: 'path' };
    default:
      return { type: 'address' };
  }
}

const PATH_TYPE = { Exact: 'exact', PathPrefix: 'prefix', RegularExpression: 'regex' } as const;

/** Null: every request. */
function readMatch(match: RawTrafficMatch | undefined, own: string): TrafficMatch | null {
  if (match === undefined) return null;
  const { methods, path, headers, queryParams, source } = match;
  return {
    methods: methods ?? [],
    path: path === undefined ? null : { type: PATH_TYPE[path.type], value: path.value },
    headers: readHeaders(headers),
    queryParams: firstOfEachName((queryParams ?? []).map((param) => readValueMatch(param, param.name))),
    namespaces: source?.namespaces ?? [],
    serviceAccounts: (source?.serviceAccounts ?? []).map((name) => (name.includes('/') ? name : `${own}/${name}`)),
  };
}

/** The check has made sure that an abort has one of its two statuses. */
function readFault(policy: string, { match, delay, abort }: RawFault, own: string): Fault {
  return {
    policy,
    match: readMatch(match, own),
    delay: delay === undefined ? null : { durationMs: readDurationMs(delay.duration), percentage: delay.percentage },
    abort:
      abort === undefined
        ? null
        : { status: abort.httpStatus ?? null, grpcStatus: abort.grpcStatus ?? null, percentage: abort.percentage },
  };
}
