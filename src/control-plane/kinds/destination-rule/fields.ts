import { ENFORCED, eachField, type FieldTable, type Treatment } from '#control-plane/resources/field-table.ts';

const BALANCING = 'a waypoint takes the less loaded of two endpoints (LEAST_REQUEST) for every service';
const OTHER_BALANCER = { why: BALANCING, remedy: 'write LEAST_REQUEST, or remove simple' };

/** Blocks of a traffic policy of which nothing is in force yet. */
const POLICY: Readonly<Record<string, Treatment>> = {
  'loadBalancer.simple': {
    is: 'enforced',
    except: { RANDOM: OTHER_BALANCER, ROUND_ROBIN: OTHER_BALANCER, PASSTHROUGH: OTHER_BALANCER },
  },
  'loadBalancer.consistentHash': {
    is: 'ignored',
    why: `${BALANCING}; what belongs together is not kept together`,
    remedy: 'write an HTTPRoute with sessionPersistence',
  },
  ...eachField('loadBalancer.', 'warmup warmupDurationSecs', {
    is: 'ignored',
    why: 'a new endpoint gets its whole share at once',
    remedy: 'remove it',
  }),
  'loadBalancer.localityLbSetting': {
    is: 'ignored',
    why: 'endpoints are preferred as their Service says, and by no other list',
    remedy: 'write trafficDistribution in the Service',
  },
  connectionPool: { is: 'ignored', why: 'connections and requests of one service are not limited', remedy: 'remove it' },
  outlierDetection: {
    is: 'ignored',
    why: 'endpoints that fail are not ejected',
    remedy: 'remove it, and ask for retries in the route',
  },
  retryBudget: { is: 'ignored', why: 'retries are limited by request, not by service', remedy: 'lower attempts in the route' },
  tunnel: { is: 'ignored', why: 'a waypoint opens no tunnels through other proxies', remedy: 'remove it' },
  proxyProtocol: { is: 'ignored', why: 'a waypoint sends no PROXY header', remedy: 'remove it' },
  tls: {
    is: 'refused',
    why: 'what the mesh encrypts it encrypts whatever is written here; a rule that asks for TLS of its own (SIMPLE, MUTUAL) is refused',
  },
};

const PORTS: Treatment = {
  is: 'ignored',
  why: 'nothing is in force for single ports',
  remedy: 'remove it',
};

/** The same blocks stand at two places. */
function below(prefix: string): FieldTable {
  const policy = Object.entries(POLICY).map(([field, treatment]) => [`${prefix}.${field}`, treatment]);
  return { ...Object.fromEntries(policy), [`${prefix}.portLevelSettings`]: PORTS };
}

/** What becomes of each field of a DestinationRule. */
export const DESTINATION_RULE_FIELDS: FieldTable = {
  'spec.host': { is: 'refused', why: 'enforced; told where no waypoint asks for the rule' },
  'spec.exportTo': ENFORCED,
  'spec.workloadSelector': {
    is: 'ignored',
    why: 'a waypoint cannot tell for which clients it sends: the rule is not used at all',
    remedy: 'remove workloadSelector',
  },
  'spec.subsets[].name': ENFORCED,
  'spec.subsets[].labels.*': ENFORCED,
  ...below('spec.trafficPolicy'),
  ...below('spec.subsets[].trafficPolicy'),
};
