import { defineKind } from '#control-plane/index/kind-definition.ts';
import { readDurationMs } from '#control-plane/mesh/request-routes/documents.ts';
import { refusedFor } from '#control-plane/resources/cluster-kind.ts';
import { eachField, type FieldTable } from '#control-plane/resources/field-table.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import type { Fault } from '#model/waypoint/traffic.ts';
import { checkTrafficPolicy } from './check.ts';
import { attachedTraffic, TRAFFIC_POLICIES, trafficNeeds, trafficStatus } from './derive.ts';
import { readLimit } from './read-limit.ts';
import { readTrafficMatch } from './read-match.ts';
import { readSettings } from './read-settings.ts';
import type { RawFault, RawTrafficPolicy, TrafficPolicyResource, TrafficTarget } from './schema.ts';

/** Of each target; both are false where the policy itself is refused. */
const CONDITIONS = ['Accepted', 'Programmed'];
const RULE = 'spec.rateLimit.rules[].';
const MATCH =
  'methods path.type path.value headers[].name headers[].type headers[].value queryParams[].name queryParams[].type queryParams[].value source.namespaces source.serviceAccounts';

/** What becomes of each field of a TrafficPolicy. */
const TRAFFIC_POLICY_FIELDS: FieldTable = {
  ...eachField('spec.targetRefs[].', 'group kind name sectionName'),
  ...eachField(
    RULE,
    'name scope shadow key[].type key[].name key[].path limit.requests limit.window limit.burst limit.perReplica',
  ),
  ...eachField(`${RULE}match.`, MATCH),
  ...eachField('spec.rateLimit.', 'responseHeaders onServiceError timeout service.name service.namespace service.port'),
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
  ...eachField('spec.outlierDetection.successRate.', 'stdevFactor minimumHosts requestVolume'),
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
  derivations: [trafficNeeds, attachedTraffic, trafficStatus],
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
    rateLimit: rateLimit === undefined ? null : readLimit(rateLimit, metadata),
    fault: faultInjection === undefined ? null : readFault(policy, faultInjection, metadata.namespace),
    settings: readSettings(spec),
  };
}

/** The check has made sure that an abort has one of its two statuses. */
function readFault(policy: string, { match, delay, abort }: RawFault, own: string): Fault {
  return {
    policy,
    match: readTrafficMatch(match, own),
    delay: delay === undefined ? null : { durationMs: readDurationMs(delay.duration), percentage: delay.percentage },
    abort:
      abort === undefined
        ? null
        : { status: abort.httpStatus ?? null, grpcStatus: abort.grpcStatus ?? null, percentage: abort.percentage },
  };
}
