import assert from 'node:assert/strict';
import test from 'node:test';
import { type Mistake, readSpec, testAccepted, testMistakes } from '#control-plane/kinds/documents.testing.ts';
import type { GatewayResource } from './schema.ts';

const mistakes: Mistake[] = [
  {
    name: 'two listeners of one name',
    spec: '{ gatewayClassName: a, listeners: [{ name: m, port: 1, protocol: HBONE }, { name: m, port: 2, protocol: HBONE }] }',
    at: 'spec.listeners[1].name',
    says: /two listeners/,
    remedy: /rename/,
  },
  {
    name: 'a listener selector that is missing',
    spec: '{ gatewayClassName: a, listeners: [{ name: m, port: 15008, protocol: HBONE, allowedRoutes: { namespaces: { from: Selector } } }] }',
    at: 'spec.listeners[0].allowedRoutes.namespaces',
    says: /needs a selector/,
    remedy: /matchLabels/,
  },
  {
    name: 'two listeners in one place',
    spec: '{ gatewayClassName: a, listeners: [{ name: a, port: 80, protocol: HTTP }, { name: b, port: 80, protocol: HTTP }] }',
    at: 'spec.listeners[1]',
    says: /same port, protocol and hostname \(80 HTTP\)/,
    remedy: /remove one of them/,
  },
  {
    name: 'tls where there is none',
    spec: '{ gatewayClassName: a, listeners: [{ name: a, port: 80, protocol: HTTP, tls: { mode: Terminate } }] }',
    at: 'spec.listeners[0].tls',
    says: /protocol HTTP has no tls/,
    remedy: /HTTPS or TLS/,
  },
  {
    name: 'a hostname where there is none',
    spec: '{ gatewayClassName: a, listeners: [{ name: a, port: 80, protocol: TCP, hostname: a.example.com }] }',
    at: 'spec.listeners[0].hostname',
    says: /protocol TCP has no hostname/,
    remedy: /remove hostname/,
  },
  {
    name: 'no listeners',
    spec: '{ gatewayClassName: a, listeners: [] }',
    at: 'spec.listeners',
    says: /fewer than 1/,
    remedy: /limit of 1/,
  },
  {
    name: 'a listener without port',
    spec: '{ gatewayClassName: a, listeners: [{ name: a, protocol: HTTP }] }',
    at: 'spec.listeners[0].port',
    says: /"port" is required/,
    remedy: /^add port$/,
  },
  {
    name: 'a class misspelt as a field',
    spec: '{ gatewayClassNam: a, gatewayClassName: a, listeners: [{ name: a, port: 80, protocol: HTTP }] }',
    at: 'spec.gatewayClassNam',
    says: /did you mean "gatewayClassName"/,
    remedy: /^write gatewayClassName$/,
  },
  {
    name: 'namespaces from nowhere',
    spec: '{ gatewayClassName: a, listeners: [{ name: a, port: 80, protocol: HTTP, allowedRoutes: { namespaces: { from: Some } } }] }',
    at: 'spec.listeners[0].allowedRoutes.namespaces.from',
    says: /"Some" is not one of All, Selector, Same/,
    remedy: /did you mean Same|write one of/,
  },
];
testMistakes('Gateway', mistakes);

testAccepted('Gateway', {
  'a waypoint': '{ gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }',
  'one port for two hostnames':
    '{ gatewayClassName: a, listeners: [{ name: a, port: 80, protocol: HTTP, hostname: a.example.com }, { name: b, port: 80, protocol: HTTP, hostname: b.example.com }] }',
  'one port for two protocols':
    '{ gatewayClassName: a, listeners: [{ name: a, port: 53, protocol: TCP }, { name: b, port: 53, protocol: UDP }] }',
});

const listener = (allowed: string) =>
  `{ gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE${allowed === '' ? '' : `, allowedRoutes: { namespaces: ${allowed} }`} }] }`;

const allowed: { name: string; namespaces: string; want: GatewayResource['listeners'][number]['allowed'] }[] = [
  { name: 'nothing said', namespaces: '', want: { kind: 'same' } },
  { name: 'from: Same', namespaces: '{ from: Same }', want: { kind: 'same' } },
  { name: 'from: All', namespaces: '{ from: All }', want: { kind: 'all' } },
  {
    name: 'a selector by labels',
    namespaces: '{ from: Selector, selector: { matchLabels: { team: a } } }',
    want: { kind: 'selector', selector: { matchLabels: { team: 'a' }, matchExpressions: [] } },
  },
  {
    name: 'a selector by expressions',
    namespaces:
      '{ from: Selector, selector: { matchExpressions: [{ key: team, operator: Exists }, { key: a, operator: In, values: [b] }] } }',
    want: {
      kind: 'selector',
      selector: {
        matchLabels: {},
        matchExpressions: [
          { key: 'team', operator: 'Exists', values: [] },
          { key: 'a', operator: 'In', values: ['b'] },
        ],
      },
    },
  },
];
for (const { name, namespaces, want } of allowed) {
  test(`allowed namespaces: ${name}`, () => {
    const gateway = readSpec<GatewayResource>('Gateway', listener(namespaces));
    const rest = { unheeded: [], kinds: [] };
    assert.deepEqual(gateway.listeners, [{ name: 'mesh', port: 15_008, protocol: 'HBONE', allowed: want, ...rest }]);
    assert.equal(gateway.className, 'weft-waypoint');
  });
}

test('addresses of the status are read with their type; one without is an IP address', () => {
  const status =
    'status: { addresses: [{ value: 10.0.0.1 }, { type: Hostname, value: a.example.com }, { type: example.com/own, value: x }] }';
  assert.deepEqual(readSpec<GatewayResource>('Gateway', `${listener('')}\n${status}`).statusAddresses, [
    { type: 'IPAddress', value: '10.0.0.1' },
    { type: 'Hostname', value: 'a.example.com' },
    { type: 'other', value: 'x' },
  ]);
  assert.deepEqual(readSpec<GatewayResource>('Gateway', listener('')).statusAddresses, []);
});
