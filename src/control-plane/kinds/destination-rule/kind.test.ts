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
    name: 'TLS of its own',
    spec: spec('trafficPolicy: { tls: { mode: SIMPLE } }'),
    at: `${POLICY}.tls.mode`,
    says: /must not come to clear text: the rule is refused/,
    remedy: /remove tls/,
  },
  {
    name: 'TLS of a port of a subset',
    spec: spec(
      'subsets: [{ name: a, labels: { v: a }, trafficPolicy: { portLevelSettings: [{ port: { number: 80 }, tls: { mode: MUTUAL } }] } }]',
    ),
    at: 'spec.subsets[0].trafficPolicy.portLevelSettings[0].tls.mode',
    says: /MUTUAL/,
    remedy: /remove tls/,
  },
  ...[
    { field: 'loadBalancer.simple', value: 'loadBalancer: { simple: ROUND_ROBIN }', says: /LEAST_REQUEST/ },
    {
      field: 'loadBalancer.consistentHash',
      value: 'loadBalancer: { consistentHash: { useSourceIp: true } }',
      says: /kept together/,
    },
    { field: 'connectionPool', value: 'connectionPool: { tcp: { maxConnections: 1 } }', says: /not limited/ },
    { field: 'outlierDetection', value: 'outlierDetection: {}', says: /not ejected/ },
    { field: 'portLevelSettings', value: 'portLevelSettings: [{ port: { number: 80 } }]', says: /single ports/ },
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
  { name: 'a field misspelt', spec: spec('subset: []'), at: 'spec.subset', says: /did you mean "subsets"/, remedy: /subsets/ },
];
testMistakes('DestinationRule', mistakes);

testAccepted('DestinationRule', {
  subsets: spec('subsets: [{ name: v1, labels: { version: v1 } }]'),
  'what waypoints do anyway': spec('trafficPolicy: { loadBalancer: { simple: LEAST_REQUEST }, tls: { mode: ISTIO_MUTUAL } }'),
});
