import assert from 'node:assert/strict';
import test from 'node:test';
import {
  documentOf,
  findingsOf,
  type Mistake,
  parser,
  readSpec,
  testAccepted,
  testMistakes,
} from '#control-plane/kinds/documents.testing.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { readResourceFile } from '#control-plane/sources/directory/resource-file.ts';
import type { UpstreamTls } from '#model/waypoint/upstream-tls.ts';
import { certificateFor } from '#platform/jwt/key-server.testing.ts';
import type { TlsPolicyResource } from './schema.ts';

const KIND = 'BackendTLSPolicy';
const TARGET = 'targetRefs: [{ group: "", kind: Service, name: cart }]';
const SYSTEM = 'wellKnownCACertificates: System';
const MAP = 'caCertificateRefs: [{ group: "", kind: ConfigMap, name: ca }]';

const mistakes: Mistake[] = [
  {
    name: 'nobody certifies the server',
    spec: `{ ${TARGET}, validation: { hostname: a.com } }`,
    at: 'spec.validation',
    says: /nobody is named/,
    remedy: /write either/,
  },
  {
    name: 'both authorities of ones own and those of the system',
    spec: `{ ${TARGET}, validation: { hostname: a.com, ${MAP}, ${SYSTEM} } }`,
    at: 'spec.validation',
    says: /both/,
    remedy: /write either/,
  },
  {
    name: 'a name in the field of another type',
    spec: `{ ${TARGET}, validation: { hostname: a.com, ${SYSTEM}, subjectAltNames: [{ type: URI, hostname: a.com }] } }`,
    at: 'spec.validation.subjectAltNames[0]',
    says: /a name of type URI is written in uri/,
    remedy: /write uri alone/,
  },
  {
    name: 'a target twice',
    spec: `{ targetRefs: [{ group: "", kind: Service, name: a }, { group: "", kind: Service, name: a }], validation: { hostname: a.com, ${SYSTEM} } }`,
    at: 'spec.targetRefs[1]',
    says: /named twice/,
    remedy: /sectionName/,
  },
  {
    name: 'a backend of others',
    severity: 'warning',
    spec: `{ targetRefs: [{ group: example.com, kind: Backend, name: a }], validation: { hostname: a.com, ${SYSTEM} } }`,
    at: 'spec.targetRefs[0]',
    says: /no backends of kind Backend/,
    remedy: /name a Service/,
  },
  {
    name: 'options',
    severity: 'warning',
    spec: `{ ${TARGET}, validation: { hostname: a.com, ${SYSTEM} }, options: { a: b } }`,
    at: 'spec.options',
    says: /no options/,
    remedy: /remove/,
  },
];
testMistakes(KIND, mistakes);
testAccepted(KIND, {
  system: `{ ${TARGET}, validation: { hostname: a.com, ${SYSTEM} } }`,
  'a map, and names': `{ ${TARGET}, validation: { hostname: a.com, ${MAP}, subjectAltNames: [{ type: Hostname, hostname: b.com }] } }`,
});

test('config-api 1.16: the host is asked for, and is the name of the server unless other names are written', () => {
  const { names } = readSpec<TlsPolicyResource>(KIND, `{ ${TARGET}, validation: { hostname: a.com, ${SYSTEM} } }`);
  assert.deepEqual(names, [{ kind: 'dns', value: 'a.com' }]);
  const sans = 'subjectAltNames: [{ type: URI, uri: "spiffe://td/ns/a/sa/b" }, { type: Hostname, hostname: b.com }]';
  const other = readSpec<TlsPolicyResource>(KIND, `{ ${TARGET}, validation: { hostname: a.com, ${SYSTEM}, ${sans} } }`);
  assert.deepEqual(other.names, [
    { kind: 'uri', value: 'spiffe://td/ns/a/sa/b' },
    { kind: 'dns', value: 'b.com' },
  ]);
});

const MESH = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: way, namespace: shop }
spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
---
{ apiVersion: v1, kind: Service, metadata: { name: cart, namespace: shop, labels: { istio.io/use-waypoint: way } }, spec: { selector: { app: a }, ports: [{ name: http, port: 80 }, { name: admin, port: 81 }] } }
---
`;

function policy(name: string, validation: string, { created = '2026-01-01', section = '' } = {}): string {
  const metadata = `{ name: ${name}, namespace: shop, creationTimestamp: "${created}T00:00:00Z" }`;
  const target = `{ group: "", kind: Service, name: cart${section === '' ? '' : `, sectionName: ${section}`} }`;
  return `{ apiVersion: gateway.networking.k8s.io/v1, kind: ${KIND}, metadata: ${metadata}, spec: { targetRefs: [${target}], validation: { hostname: ${name}.com, ${validation} } } }\n---\n`;
}

function configMap(text: string): string {
  return `${JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'ca', namespace: 'shop' }, data: { 'ca.crt': text } })}\n---\n`;
}

const meshWith = (...documents: string[]): YamlMesh => new YamlMesh(parser, MESH + documents.join(''));
function tlsOf(mesh: YamlMesh): [port: number | null, tls: UpstreamTls | undefined][] {
  const destinations = mesh.index.snapshot().waypoints.get('shop/way')?.services[0]?.destinations ?? [];
  return destinations.map(({ port, tls }) => [port, tls]);
}
const whoOf = (mesh: YamlMesh) => tlsOf(mesh).map(([port, tls]) => [port, tls?.kind === 'originate' ? tls.serverName : tls?.why]);
const { cert: PEM } = await certificateFor('any.example');

test('config-api 1.16: a waypoint is told of TLS to a backend; the authorities of the system are those of its machine', () => {
  const mesh = meshWith(policy('a', SYSTEM));
  const tls = { kind: 'originate' as const, serverName: 'a.com', names: [{ kind: 'dns' as const, value: 'a.com' }], roots: null };
  assert.deepEqual(tlsOf(mesh), [[null, tls]]);
  assert.deepEqual(mesh.conditions(`${KIND} shop/a`), ['Accepted True Accepted', 'ResolvedRefs True ResolvedRefs']);
  assert.deepEqual(mesh.problems(`${KIND} shop/a`), []);
  mesh.remove(`${KIND} shop/a`);
  assert.deepEqual(tlsOf(mesh), []);
});

test('config-api 1.16: authorities that are not there, or are none, refuse until they are: nothing goes in clear', () => {
  const mesh = meshWith(policy('a', MAP));
  assert.deepEqual(whoOf(mesh), [[null, 'there is no ConfigMap shop/ca with ca.crt']]);
  const unresolved = ['Accepted False NoValidCACertificate', 'ResolvedRefs False InvalidCACertificateRef'];
  assert.deepEqual(mesh.conditions(`${KIND} shop/a`), unresolved);
  assert.match(
    mesh.problems(`${KIND} shop/a`).join(),
    /WEFT_REFERENCE_UNRESOLVED.*WEFT_NOT_ENFORCED nothing is sent without TLS/s,
  );
  mesh.apply(configMap('nonsense'));
  assert.deepEqual(whoOf(mesh), [[null, 'ConfigMap shop/ca: it holds no certificate in PEM']]);
  mesh.apply(configMap('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'));
  assert.match(String(whoOf(mesh)[0]?.[1]), /certificate 1 cannot be read/);
  assert.deepEqual(mesh.conditions(`${KIND} shop/a`), unresolved);
  mesh.apply(configMap(`# mine\n${PEM}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n`));
  const [[, tls] = []] = tlsOf(mesh);
  assert.equal(tls?.kind === 'originate' ? tls.roots?.trim() : '', PEM.trim());
  assert.deepEqual(mesh.conditions(`${KIND} shop/a`), ['Accepted True Accepted', 'ResolvedRefs True ResolvedRefs']);
  mesh.remove('ConfigMap shop/ca');
  assert.deepEqual(mesh.conditions(`${KIND} shop/a`), unresolved);
});

test('config-api 1.16: of several references those that are right are believed, and the others are told', () => {
  const secret = '{ group: "", kind: Secret, name: ca }';
  const mesh = meshWith(policy('a', `caCertificateRefs: [${secret}, { group: "", kind: ConfigMap, name: ca }]`), configMap(PEM));
  assert.deepEqual(whoOf(mesh), [[null, 'a.com']]);
  assert.deepEqual(mesh.conditions(`${KIND} shop/a`), ['Accepted True Accepted', 'ResolvedRefs False InvalidKind']);
});

test('config-api 1.16: what is said of a port goes before what is said of all of them; authorities of others are unknown', () => {
  const mesh = meshWith(policy('a', SYSTEM), policy('b', 'wellKnownCACertificates: example.com/ours', { section: 'admin' }));
  assert.deepEqual(whoOf(mesh), [
    [null, 'a.com'],
    [81, 'wellKnownCACertificates example.com/ours is not known here'],
  ]);
  assert.deepEqual(mesh.conditions(`${KIND} shop/b`), ['Accepted False Invalid', 'ResolvedRefs True ResolvedRefs']);
});

test('config-api 1.16: of two policies about the same the older one is heard, also if it is not right', () => {
  const mesh = meshWith(policy('b', MAP), policy('a', SYSTEM, { created: '2026-02-01' }));
  assert.match(String(whoOf(mesh)[0]?.[1]), /no ConfigMap/);
  assert.deepEqual(mesh.conditions(`${KIND} shop/a`), ['Accepted False Conflicted', 'ResolvedRefs True ResolvedRefs']);
  assert.match(mesh.problems(`${KIND} shop/a`).join(), /BackendTLSPolicy shop\/b already says/);
  mesh.remove(`${KIND} shop/b`);
  assert.deepEqual(whoOf(mesh), [[null, 'a.com']]);
});

test('config-api 1.16: a target that is not there has a condition that says so', () => {
  const mesh = meshWith(policy('a', SYSTEM, { section: 'metrics' }));
  assert.deepEqual(mesh.conditions(`${KIND} shop/a`), ['Accepted False TargetNotFound', 'ResolvedRefs True ResolvedRefs']);
  assert.match(mesh.problems(`${KIND} shop/a`).join(), /no port called metrics \(ports: http 80, admin 81\)/);
});

test('config-api 1.16: a policy that cannot be used at all stops what is sent to its targets', () => {
  const spec = `{ ${TARGET}, validation: { hostname: "*.com", ${SYSTEM} } }`;
  assert.deepEqual(findingsOf(KIND, spec), ['error WEFT_FIELD_INVALID spec.validation.hostname']);
  const { entries } = readResourceFile('a.yaml', documentOf(KIND, spec, 'x', 'namespace: shop'), parser);
  assert.match(String(entries[0]?.standIns?.[0]?.effect), /nothing is sent to Service shop\/cart/);
  const standIn = entries[0]?.standIns?.[0]?.resource;
  assert.ok(standIn !== undefined);
  const mesh = meshWith();
  mesh.index.apply({ upserted: [standIn] });
  assert.deepEqual(whoOf(mesh), [[null, 'BackendTLSPolicy shop/x cannot be used']]);
});
