import { type Mistake, testAccepted, testMistakes } from '#control-plane/kinds/documents.testing.ts';

const spec = (more: string) => `{ host: reviews, ${more} }`;
const POLICY = 'spec.trafficPolicy';

const mistakes: Mistake[] = [
  { name: 'no host', spec: '{ host: "a b" }', at: 'spec.host', says: /"a b" is no host/, remedy: /name of a service/ },
  {
    name: 'a subset twice',
    spec: spec('subsets: [{ name: a, labels: { v: a } }, { name: a, labels: { v: b } }]'),
    at: 'spec.subsets[1].name',
    says: /listed twice/,
    remedy: /remove/,
  },
  {
    name: 'a subset without labels',
    severity: 'warning',
    spec: spec('subsets: [{ name: a }]'),
    at: 'spec.subsets[0]',
    says: /every endpoint is in it/,
    remedy: /labels/,
  },
  {
    name: 'a name with a slash',
    spec: spec('subsets: [{ name: a/b, labels: { v: a } }]'),
    at: 'spec.subsets[0].name',
    says: /no name of a subset/,
    remedy: /letters/,
  },
  {
    name: 'TLS with a certificate of ones own, of a port of a subset',
    severity: 'warning',
    spec: spec(
      'subsets: [{ name: a, labels: { v: a }, trafficPolicy: { portLevelSettings: [{ port: { number: 80 }, tls: { mode: MUTUAL } }] } }]',
    ),
    at: 'spec.subsets[0].trafficPolicy.portLevelSettings[0].tls.mode',
    says: /no certificate to show.*nothing is sent/,
    remedy: /SIMPLE/,
  },
  ...[
    { field: 'insecureSkipVerify', value: 'true', says: /may be anybody/ },
    { field: 'credentialName', value: 'a', says: /no Secrets/ },
    { field: 'caCertificates', value: '/etc/ca.pem', says: /no files/ },
    { field: 'caCrl', value: '/etc/crl.pem', says: /revoked/ },
  ].map(
    ({ field, value, says }): Mistake => ({
      name: `TLS with ${field}`,
      severity: 'warning',
      spec: spec(`trafficPolicy: { tls: { mode: SIMPLE, ${field}: ${value} } }`),
      at: `${POLICY}.tls.${field}`,
      says,
      remedy: /remove it/,
    }),
  ),
  ...[
    { field: 'loadBalancer.simple', value: 'loadBalancer: { simple: PASSTHROUGH }', says: /LEAST_REQUEST/ },
    {
      field: 'loadBalancer.warmup',
      value: 'loadBalancer: { simple: RANDOM, warmup: { duration: 1m } }',
      says: /only LEAST_REQUEST and ROUND_ROBIN/,
    },
    {
      field: 'loadBalancer.consistentHash.ringHash.minimumRingSize',
      value: 'loadBalancer: { consistentHash: { useSourceIp: true, ringHash: { minimumRingSize: 200000 } } }',
      says: /200000 places are more than a waypoint makes/,
    },
    {
      field: 'loadBalancer.localityLbSetting.failoverPriority[1]',
      value:
        'outlierDetection: {}, loadBalancer: { localityLbSetting: { failoverPriority: [topology.kubernetes.io/zone, version=v1] } }',
      says: /version says nothing here of where an endpoint runs: the list ends before it/,
    },
    {
      field: 'connectionPool.tcp.tcpKeepalive',
      value: 'connectionPool: { tcp: { tcpKeepalive: { probes: 3 } } }',
      says: /sockets as the system has it/,
    },
    {
      field: 'connectionPool.http.maxConcurrentStreams',
      value: 'connectionPool: { http: { maxConcurrentStreams: 1 } }',
      says: /as many streams/,
    },
    {
      field: 'connectionPool.http.h2UpgradePolicy',
      value: 'connectionPool: { http: { h2UpgradePolicy: UPGRADE } }',
      says: /protocol of its port/,
    },
    {
      field: 'outlierDetection.consecutiveErrors',
      value: 'outlierDetection: { consecutiveErrors: 1 }',
      says: /nothing is counted by it/,
    },
    {
      field: 'portLevelSettings[0].loadBalancer.simple',
      value: 'portLevelSettings: [{ port: { number: 80 }, loadBalancer: { simple: PASSTHROUGH } }]',
      says: /LEAST_REQUEST/,
    },
    {
      field: 'connectionPool.tcp.connectTimeout',
      value: 'connectionPool: { tcp: { connectTimeout: 11s } }',
      says: /no connection takes longer than 10s/,
    },
  ].map(
    ({ field, value, says }): Mistake => ({
      name: `${field}, of which nothing is in force`,
      severity: 'warning',
      spec: spec(`trafficPolicy: { ${value} }`),
      at: `${POLICY}.${field}`,
      says,
      remedy: /remove|write/,
    }),
  ),
  ...[
    { at: 'connectionPool.tcp.maxConnections', value: 'connectionPool: { tcp: { maxConnections: -1 } }', says: /-1 is below 0/ },
    {
      at: 'connectionPool.tcp.idleTimeout',
      value: 'connectionPool: { tcp: { idleTimeout: never } }',
      says: /"never" is no time/,
    },
    { at: 'connectionPool.http.maxRetries', value: 'connectionPool: { http: { maxRetries: -2 } }', says: /-2 is below 0/ },
    { at: 'connectionPool.http.idleTimeout', value: 'connectionPool: { http: { idleTimeout: 1us } }', says: /no time of 1ms/ },
    {
      at: 'outlierDetection.maxEjectionPercent',
      value: 'outlierDetection: { maxEjectionPercent: 101 }',
      says: /101 is no percentage/,
    },
    {
      at: 'outlierDetection.minHealthPercent',
      value: 'outlierDetection: { minHealthPercent: -1 }',
      says: /-1 is no percentage/,
    },
    {
      at: 'outlierDetection.consecutiveLocalOriginFailures',
      value: 'outlierDetection: { consecutiveLocalOriginFailures: 2 }',
      says: /without splitExternalLocalOriginErrors/,
    },
    {
      at: 'loadBalancer.simple',
      value: 'loadBalancer: { simple: RANDOM, consistentHash: { useSourceIp: true } }',
      says: /exclude one another/,
    },
    ...(
      [
        ['distribute[0].to', 'distribute: [{ from: a/*, to: { a/*: 80, b/*: 30 } }]', /weights for from: a\/\* are 80, 30/],
        ['distribute[0].to', 'distribute: [{ from: a }]', /are none/],
        ['distribute[0].from', 'distribute: [{ from: a/*/b, to: { a: 100 } }]', /"a\/\*\/b" is no locality/],
        ['distribute[0].to', 'distribute: [{ from: "*", to: { "a/b/c/d": 100 } }]', /"a\/b\/c\/d" is no locality/],
        ['failover[0].to', 'failover: [{ from: a, to: a }]', /its own substitute/],
        ['failover[0].from', 'failover: [{ from: a/b, to: c }]', /"a\/b" is no region/],
        ['failover', 'distribute: [{ from: a, to: { a: 100 } }], failover: [{ from: a, to: b }]', /exclude one another/],
      ] as const
    ).map(([at, value, says]) => ({
      at: `loadBalancer.localityLbSetting.${at}`,
      value: `outlierDetection: {}, loadBalancer: { localityLbSetting: { ${value} } }`,
      says,
    })),
    {
      at: 'loadBalancer.consistentHash',
      value: 'loadBalancer: { consistentHash: { useSourceIp: true, httpHeaderName: a } }',
      says: /httpHeaderName and useSourceIp is written/,
    },
    {
      at: 'loadBalancer.consistentHash',
      value: 'loadBalancer: { consistentHash: { useSourceIp: false } }',
      says: /none is written/,
    },
    {
      at: 'loadBalancer.consistentHash.maglev.tableSize',
      value: 'loadBalancer: { consistentHash: { useSourceIp: true, maglev: { tableSize: 65536 } } }',
      says: /65536 places are no table/,
    },
    {
      at: 'loadBalancer.consistentHash.maglev',
      value: 'loadBalancer: { consistentHash: { useSourceIp: true, maglev: {}, ringHash: {} } }',
      says: /exclude one another/,
    },
    {
      at: 'loadBalancer.consistentHash.httpCookie.ttl',
      value: 'loadBalancer: { consistentHash: { httpCookie: { name: a, ttl: soon } } }',
      says: /"soon" is no time/,
    },
    {
      at: 'loadBalancer.warmup.aggression',
      value: 'loadBalancer: { warmup: { duration: 1m, aggression: 0.5 } }',
      says: /0.5 is below 1/,
    },
    {
      at: 'loadBalancer.warmupDurationSecs',
      value: 'loadBalancer: { warmup: { duration: 1m }, warmupDurationSecs: 1m }',
      says: /both are written/,
    },
    { at: 'outlierDetection.interval', value: 'outlierDetection: { interval: 0s }', says: /no time of 1ms/ },
    { at: 'portLevelSettings[0].port.number', value: 'portLevelSettings: [{ port: { number: 0 } }]', says: /0 is no port/ },
    {
      at: 'portLevelSettings[1].port.number',
      value: 'portLevelSettings: [{ port: { number: 80 } }, { port: { number: 80 } }]',
      says: /listed twice/,
    },
  ].map(
    ({ at, value, says }): Mistake => ({
      name: `of no use: ${value}`,
      spec: spec(`trafficPolicy: { ${value} }`),
      at: `${POLICY}.${at}`,
      says,
      remedy: /write|remove/,
    }),
  ),
  { name: 'a field misspelt', spec: spec('subset: []'), at: 'spec.subset', says: /did you mean "subsets"/, remedy: /subsets/ },
];
testMistakes('DestinationRule', mistakes);

testAccepted('DestinationRule', {
  'limits, detection and a budget': spec(
    'trafficPolicy: { connectionPool: { tcp: { maxConnections: 1, connectTimeout: 1s }, http: { http1MaxPendingRequests: 1, http2MaxRequests: 1, maxRequestsPerConnection: 1, maxRetries: 1, idleTimeout: 1m } }, outlierDetection: { consecutive5xxErrors: 1, interval: 1s }, retryBudget: { percent: 10 }, portLevelSettings: [{ port: { number: 80 } }] }',
  ),
  subsets: spec('subsets: [{ name: v1, labels: { version: v1 } }]'),
  'what waypoints do anyway': spec('trafficPolicy: { loadBalancer: { simple: LEAST_REQUEST }, tls: { mode: ISTIO_MUTUAL } }'),
  TLS: spec('trafficPolicy: { tls: { mode: SIMPLE, sni: a.com, subjectAltNames: [b.com] } }'),
});
