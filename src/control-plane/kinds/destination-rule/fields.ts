import { ENFORCED, eachField, type FieldTable } from '#control-plane/resources/field-table.ts';

/** What a port may say of itself. */
const BLOCKS: FieldTable = {
  'loadBalancer.simple': {
    is: 'enforced',
    except: {
      PASSTHROUGH: {
        why: 'who dials a service dials no endpoint that could be kept to: the less loaded of two is taken (LEAST_REQUEST)',
        remedy: 'write LEAST_REQUEST, or remove simple',
      },
    },
  },
  ...eachField(
    'loadBalancer.consistentHash.',
    'httpHeaderName httpCookie.name httpCookie.path httpCookie.ttl httpCookie.attributes[].name httpCookie.attributes[].value useSourceIp httpQueryParameterName',
  ),
  ...eachField('loadBalancer.consistentHash.', 'ringHash.minimumRingSize maglev.tableSize minimumRingSize', {
    is: 'refused',
    why: 'enforced up to 131071 places; told where there are more, and where those of a Maglev table are no prime',
  }),
  ...eachField('loadBalancer.', 'warmup warmupDurationSecs', {
    is: 'refused',
    why: 'enforced for LEAST_REQUEST and ROUND_ROBIN; told with any other balancer',
  }),
  ...eachField('loadBalancer.localityLbSetting.', 'enabled distribute[].from distribute[].to.* failover[].from failover[].to'),
  'loadBalancer.localityLbSetting.failoverPriority[]': {
    is: 'refused',
    why: 'enforced for labels of where endpoints run (network, cluster, region, zone, subzone, hostname); told at any other, where the list ends',
  },
  'connectionPool.tcp.maxConnections': ENFORCED,
  'connectionPool.tcp.connectTimeout': { is: 'refused', why: 'enforced up to 10s, which is the most; told where it is longer' },
  ...eachField('connectionPool.tcp.', 'idleTimeout maxConnectionDuration'),
  'connectionPool.tcp.tcpKeepalive': {
    is: 'ignored',
    why: 'the tunnels between nodes are asked whether they live, and sockets as the system has it',
    remedy: 'remove it',
  },
  ...eachField(
    'connectionPool.http.',
    'http1MaxPendingRequests http2MaxRequests maxRequestsPerConnection maxRetries idleTimeout',
  ),
  'connectionPool.http.maxConcurrentStreams': {
    is: 'ignored',
    why: 'an endpoint gets as many streams on a connection as it says it takes',
    remedy: 'remove it, or limit http2MaxRequests',
  },
  ...eachField('connectionPool.http.', 'h2UpgradePolicy useClientProtocol', {
    is: 'ignored',
    why: 'an endpoint is spoken to in the protocol of its port, or else in that of the client',
    remedy: 'write appProtocol in the port of the Service',
  }),
  ...eachField(
    'outlierDetection.',
    'splitExternalLocalOriginErrors consecutiveLocalOriginFailures consecutiveGatewayErrors consecutive5xxErrors interval baseEjectionTime maxEjectionPercent minHealthPercent',
  ),
  'outlierDetection.consecutiveErrors': {
    is: 'ignored',
    why: 'it was replaced by other fields, and nothing is counted by it',
    remedy: 'write consecutive5xxErrors or consecutiveGatewayErrors',
  },
  'tls.mode': {
    is: 'refused',
    why: 'SIMPLE is enforced towards endpoints outside of the mesh; ISTIO_MUTUAL is what the mesh does with its members, whatever is written; MUTUAL is told, and nothing is sent',
  },
  ...eachField('tls.', 'sni subjectAltNames'),
  ...eachField('tls.', 'insecureSkipVerify credentialName caCertificates caCrl', {
    is: 'refused',
    why: 'the authorities of a SIMPLE are those of the machine of the waypoint; where it asks for others, or for none, it is told, and nothing is sent',
  }),
  ...eachField('tls.', 'clientCertificate privateKey', {
    is: 'refused',
    why: 'they belong to MUTUAL, which is told, and nothing is sent',
  }),
};

/** And what only a destination as a whole says. */
const POLICY: FieldTable = {
  ...BLOCKS,
  ...eachField('retryBudget.', 'percent minRetryConcurrency'),
  tunnel: { is: 'ignored', why: 'a waypoint opens no tunnels through other proxies', remedy: 'remove it' },
  proxyProtocol: { is: 'ignored', why: 'a waypoint sends no PROXY header', remedy: 'remove it' },
  'portLevelSettings[].port.number': ENFORCED,
};

/** The same blocks stand at several places. */
function below(prefix: string): FieldTable {
  const at = (where: string, fields: FieldTable) =>
    Object.entries(fields).map(([field, treatment]) => [`${where}.${field}`, treatment]);
  return Object.fromEntries([...at(prefix, POLICY), ...at(`${prefix}.portLevelSettings[]`, BLOCKS)]);
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
