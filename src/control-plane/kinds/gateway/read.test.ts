import assert from 'node:assert/strict';
import test from 'node:test';
import { formatFieldPath } from '#control-plane/resources/finding.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';
import { CRD_FILES, KINDS } from '../list.ts';
import type { GatewayResource } from './schema.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

const MESH = { name: 'mesh', port: 15_008, protocol: 'HBONE' };
const REST = { unheeded: [], kinds: [] };

function readingOf(listeners: readonly object[], more: { spec?: object; status?: object; version?: string } = {}) {
  return parser.read({
    apiVersion: `gateway.networking.k8s.io/${more.version ?? 'v1'}`,
    kind: 'Gateway',
    metadata: { name: 'g', namespace: 'shop' },
    // A copy: the parser fills in defaults where they are missing.
    spec: structuredClone({ gatewayClassName: 'weft-waypoint', listeners, ...more.spec }),
    ...(more.status === undefined ? {} : { status: more.status }),
  });
}

/** The Gateway as it is read. Errors: AssertionError when it is rejected. */
function read(listeners: readonly object[], more: Parameters<typeof readingOf>[1] = {}): GatewayResource {
  const reading = readingOf(listeners, more);
  assert.ok(reading.kind === 'resource', JSON.stringify(reading));
  return reading.resource as GatewayResource;
}

const allowed: { name: string; namespaces?: object; want: GatewayResource['listeners'][number]['allowed'] }[] = [
  { name: 'nothing written: its own', want: { kind: 'same' } },
  { name: 'Same', namespaces: { from: 'Same' }, want: { kind: 'same' } },
  { name: 'All', namespaces: { from: 'All' }, want: { kind: 'all' } },
  {
    name: 'Selector',
    namespaces: { from: 'Selector', selector: { matchLabels: { team: 'a' } } },
    want: { kind: 'selector', selector: { matchLabels: { team: 'a' }, matchExpressions: [] } },
  },
];
for (const { name, namespaces, want } of allowed) {
  test(`namespaces that a listener allows: ${name}`, () => {
    const listener = namespaces === undefined ? MESH : { ...MESH, allowedRoutes: { namespaces } };
    assert.deepEqual(read([listener]).listeners, [{ ...MESH, allowed: want, ...REST }]);
  });
}

test('where it is reached is what its controller reported', () => {
  const addresses = [
    { type: 'IPAddress', value: '10.0.0.1' },
    { value: '10.0.0.2' },
    { type: 'Hostname', value: 'waypoint.shop' },
    { type: 'example.com/thing', value: 'x' },
  ];
  assert.deepEqual(read([MESH], { status: { addresses } }).statusAddresses, [
    { type: 'IPAddress', value: '10.0.0.1' },
    { type: 'IPAddress', value: '10.0.0.2' },
    { type: 'Hostname', value: 'waypoint.shop' },
    { type: 'other', value: 'x' },
  ]);
});

test('without a status it is reached nowhere yet', () => assert.deepEqual(read([MESH]).statusAddresses, []));

for (const version of ['v1', 'v1beta1']) {
  test(`version ${version} is the same Gateway`, () => assert.equal(read([MESH], { version }).className, 'weft-waypoint'));
}

test('two listeners may share a port for different hostnames', () => {
  const listener = { port: 443, protocol: 'HTTPS', tls: { mode: 'Passthrough' } };
  const { listeners } = read([
    { ...listener, name: 'a', hostname: 'a.example' },
    { ...listener, name: 'b', hostname: 'b.example' },
  ]);
  assert.deepEqual(
    listeners.map(({ name }) => name),
    ['a', 'b'],
  );
});

const mistakes: { name: string; listeners: object[]; at: string; says: RegExp }[] = [
  {
    name: 'two listeners of one name',
    listeners: [MESH, { ...MESH, port: 15_009 }],
    at: 'spec.listeners[1].name',
    says: /two listeners are called "mesh"/,
  },
  {
    name: 'two listeners of one port and protocol',
    listeners: [MESH, { ...MESH, name: 'other' }],
    at: 'spec.listeners[1]',
    says: /same port, protocol and hostname \(15008 HBONE\)/,
  },
  {
    name: 'tls where nothing is encrypted',
    listeners: [{ name: 'a', port: 80, protocol: 'HTTP', tls: { mode: 'Passthrough' } }],
    at: 'spec.listeners[0].tls',
    says: /protocol HTTP has no tls/,
  },
  {
    name: 'a hostname where nobody says one',
    listeners: [{ name: 'a', port: 80, protocol: 'TCP', hostname: 'a.example' }],
    at: 'spec.listeners[0].hostname',
    says: /protocol TCP has no hostname/,
  },
  {
    name: 'a selector that is not there',
    listeners: [{ ...MESH, allowedRoutes: { namespaces: { from: 'Selector' } } }],
    at: 'spec.listeners[0].allowedRoutes.namespaces',
    says: /needs a selector/,
  },
  { name: 'no listener at all', listeners: [], at: 'spec.listeners', says: /must NOT have fewer than 1 items/ },
  { name: 'a port of zero', listeners: [{ ...MESH, port: 0 }], at: 'spec.listeners[0].port', says: /must be >= 1/ },
  {
    name: 'an unknown way to choose namespaces',
    listeners: [{ ...MESH, allowedRoutes: { namespaces: { from: 'Any' } } }],
    at: 'spec.listeners[0].allowedRoutes.namespaces.from',
    says: /"Any" is not one of/,
  },
  {
    name: 'a field misspelt',
    listeners: [{ ...MESH, hostnam: 'a.example' }],
    at: 'spec.listeners[0].hostnam',
    says: /did you mean "hostname"/,
  },
];
for (const { name, listeners, at, says } of mistakes) {
  test(`a Gateway with a mistake is rejected: ${name}`, () => {
    const reading = readingOf(listeners);
    assert.equal(reading.kind, 'rejected');
    const problem = reading.problems.find(({ path }) => formatFieldPath(path) === at);
    assert.ok(problem, `nothing found at ${at}: ${reading.problems.map(({ path }) => formatFieldPath(path)).join(', ')}`);
    assert.match(problem.message, says);
  });
}
