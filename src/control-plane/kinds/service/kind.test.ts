import assert from 'node:assert/strict';
import test from 'node:test';
import { findingsOf, type Mistake, readSpec, testAccepted, testMistakes } from '#control-plane/kinds/documents.testing.ts';
import type { ServiceResource } from '#control-plane/mesh/services.ts';

const mistakes: Mistake[] = [
  {
    name: 'a number where a text is wanted',
    spec: '{ selector: { version: 1 }, ports: [{ port: 80 }] }',
    at: 'spec.selector.version',
    says: /must be a text, is the number 1/,
    remedy: /^write it in quotes: "1"$/,
  },
  {
    name: 'a text where a number is wanted',
    spec: '{ selector: { app: a }, ports: [{ port: "80" }] }',
    at: 'spec.ports[0].port',
    says: /must be a whole number, is the text "80"/,
    remedy: /^write 80 without quotes$/,
  },
  {
    name: 'an object where a list is wanted',
    spec: '{ selector: { app: a }, ports: { port: 80 } }',
    at: 'spec.ports',
    says: /must be a list, is an object/,
    remedy: /"- "/,
  },
  {
    name: 'a port out of range',
    spec: '{ selector: { app: a }, ports: [{ port: 70000 }] }',
    at: 'spec.ports[0].port',
    says: /70000 must be <= 65535/,
    remedy: /65535/,
  },
  {
    name: 'a quoted port number as targetPort',
    spec: '{ selector: { app: a }, ports: [{ port: 80, targetPort: "8080" }] }',
    at: 'spec.ports[0].targetPort',
    says: /"8080"/,
    remedy: /^write 8080 without quotes$/,
  },
  {
    name: 'a cluster address that is none',
    spec: '{ selector: { app: a }, clusterIP: 10.0.0.256, ports: [{ port: 80 }] }',
    at: 'spec.clusterIP',
    says: /not an IP address/,
    remedy: /None for a headless service/,
  },
  {
    name: 'several ports without names',
    spec: '{ selector: { app: a }, ports: [{ port: 80, name: a }, { port: 81 }] }',
    at: 'spec.ports[1].name',
    says: /each needs a name/,
    remedy: /add a name/,
  },
  {
    name: 'one port twice',
    spec: '{ selector: { app: a }, ports: [{ port: 80, name: a }, { port: 80, name: b }] }',
    at: 'spec.ports[1]',
    says: /80\/TCP is listed twice/,
    remedy: /remove one/,
  },
  {
    name: 'a service without selector',
    severity: 'warning',
    spec: '{ ports: [{ port: 80 }] }',
    at: 'spec.selector',
    says: /no endpoints/,
    remedy: /spec.selector/,
  },
  {
    name: 'no ports',
    spec: '{ selector: { app: a } }',
    at: 'spec.ports',
    says: /at least one port/,
    remedy: /^add spec.ports$/,
  },
  {
    name: 'one port name twice',
    spec: '{ selector: { app: a }, ports: [{ port: 80, name: a }, { port: 81, name: a }] }',
    at: 'spec.ports[1]',
    says: /name "a" is listed twice/,
    remedy: /remove one/,
  },
  {
    name: 'an alias of nothing',
    spec: '{ type: ExternalName }',
    at: 'spec.externalName',
    says: /needs the name/,
    remedy: /add spec.externalName/,
  },
  ...['10.0.0.1', 'a..b', 'not a name'].map((externalName) => ({
    name: `an alias of what is no name: ${externalName}`,
    spec: `{ type: ExternalName, externalName: ${externalName} }`,
    at: 'spec.externalName',
    says: /is no DNS name/,
    remedy: /write a name/,
  })),
  {
    name: 'a target port beyond all ports',
    spec: '{ selector: { app: a }, ports: [{ port: 80, targetPort: 70000 }] }',
    at: 'spec.ports[0].targetPort',
    says: /70000 is neither a port number nor the name/,
    remedy: /1 to 65535 or a name/,
  },
  {
    name: 'a target port name that is too long',
    spec: '{ selector: { app: a }, ports: [{ port: 80, targetPort: a-very-long-port-name }] }',
    at: 'spec.ports[0].targetPort',
    says: /neither a port number/,
    remedy: /or a name/,
  },
  {
    name: 'one cluster address of several that is none',
    spec: '{ selector: { app: a }, clusterIPs: [10.0.0.1, nine], ports: [{ port: 80 }] }',
    at: 'spec.clusterIPs[1]',
    says: /"nine" is not an IP address/,
    remedy: /None/,
  },
  {
    name: 'a type that is none',
    spec: '{ type: Cluster, selector: { app: a }, ports: [{ port: 80 }] }',
    at: 'spec.type',
    says: /"Cluster" is not one of/,
    remedy: /write one of|did you mean/,
  },
  {
    name: 'a protocol that is none',
    spec: '{ selector: { app: a }, ports: [{ port: 80, protocol: HTTP }] }',
    at: 'spec.ports[0].protocol',
    says: /"HTTP" is not one of TCP, UDP, SCTP/,
    remedy: /TCP/,
  },
  {
    name: 'a port name with an underscore',
    spec: '{ selector: { app: a }, ports: [{ port: 80, name: a_b }] }',
    at: 'spec.ports[0].name',
    says: /not a valid name/,
    remedy: /lower-case/,
  },
];
testMistakes('Service', mistakes);

testAccepted('Service', {
  'no ports where there is no address': '{ selector: { app: a }, clusterIP: None }',
  'a named target port': '{ selector: { app: a }, ports: [{ port: 80, targetPort: http }] }',
  'fields that are of no interest':
    '{ selector: { app: a }, ports: [{ port: 80, nodePort: 0 }], sessionAffinity: None, externalTrafficPolicy: Cluster }',
});

test('a name that cannot begin a hostname is refused', () => {
  assert.deepEqual(findingsOf('Service', '{ selector: { app: a }, ports: [{ port: 80 }] }', '', 'a.b'), [
    'error WEFT_FIELD_INVALID metadata.name',
  ]);
});

const PORTS = 'ports: [{ port: 80 }]';
const readings: { name: string; spec: string; want: Partial<ServiceResource> }[] = [
  {
    name: 'a plain service',
    spec: `{ selector: { app: a }, ${PORTS} }`,
    want: {
      externalName: null,
      headless: false,
      addresses: [],
      ipFamilies: [],
      selector: { app: 'a' },
      ports: [{ name: '', port: 80, target: 80, protocol: 'TCP', appProtocol: null }],
      nodeLocal: false,
      trafficDistribution: null,
      publishNotReadyAddresses: false,
    },
  },
  { name: 'an empty selector as none', spec: `{ selector: {}, ${PORTS} }`, want: { selector: null } },
  { name: 'a null selector as none', spec: `{ selector: null, ${PORTS} }`, want: { selector: null } },
  {
    name: 'a headless service',
    spec: `{ selector: { app: a }, clusterIP: None, ${PORTS} }`,
    want: { headless: true, addresses: [] },
  },
  {
    name: 'a headless service by its list',
    spec: `{ selector: { app: a }, clusterIPs: [None], ${PORTS} }`,
    want: { headless: true, addresses: [] },
  },
  {
    name: 'an alias, whose address counts for nothing',
    spec: '{ type: ExternalName, externalName: example.com, clusterIP: 10.0.0.1 }',
    want: { externalName: 'example.com', addresses: [] },
  },
  {
    name: 'families as they are written',
    spec: `{ selector: { app: a }, ipFamilies: [IPv6, IPv4], ${PORTS} }`,
    want: { ipFamilies: [6, 4] },
  },
  {
    name: 'locality settings',
    spec: `{ selector: { app: a }, internalTrafficPolicy: Local, trafficDistribution: PreferClose, publishNotReadyAddresses: true, ${PORTS} }`,
    want: { nodeLocal: true, trafficDistribution: 'PreferClose', publishNotReadyAddresses: true },
  },
  {
    name: 'ports with all they can say',
    spec: '{ selector: { app: a }, ports: [{ name: web, port: 80, targetPort: http, protocol: TCP, appProtocol: http }, { name: dns, port: 53, targetPort: 0, protocol: UDP }] }',
    want: {
      ports: [
        { name: 'web', port: 80, target: 'http', protocol: 'TCP', appProtocol: 'http' },
        { name: 'dns', port: 53, target: 53, protocol: 'UDP', appProtocol: null },
      ],
    },
  },
];
for (const { name, spec, want } of readings) {
  test(`reads ${name}`, () => {
    const service = readSpec<ServiceResource>('Service', spec);
    assert.deepEqual({ ...service, ...want }, service);
  });
}

test('a list of addresses beats the single one, and its families follow from it', () => {
  const spec = `{ selector: { app: a }, clusterIP: 10.0.0.9, clusterIPs: [10.0.0.1, "fd00::1"], ${PORTS} }`;
  const { addresses, ipFamilies } = readSpec<ServiceResource>('Service', spec);
  assert.deepEqual(
    [addresses, ipFamilies],
    [
      ['10.0.0.1', 'fd00::1'],
      [4, 6],
    ],
  );
});
