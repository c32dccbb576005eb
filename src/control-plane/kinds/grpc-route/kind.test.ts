import assert from 'node:assert/strict';
import test from 'node:test';
import { type Mistake, readSpec, testAccepted, testMistakes } from '#control-plane/kinds/documents.testing.ts';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));
const PARENT = 'parentRefs: [{ group: "", kind: Service, name: cart }]';
const rule = (text: string) => `{ ${PARENT}, rules: [{ ${text} }] }`;
const AT = 'spec.rules[0].matches[0].method';

const mistakes: Mistake[] = [
  {
    name: 'a method match of nothing',
    spec: rule('matches: [{ method: { type: Exact } }]'),
    at: AT,
    says: /names a service/,
    remedy: /add service/,
  },
  {
    name: 'a service with a slash',
    spec: rule('matches: [{ method: { service: a/B } }]'),
    at: `${AT}.service`,
    says: /"a\/B" is not the name/,
    remedy: /RegularExpression/,
  },
  {
    name: 'a method with a dot',
    spec: rule('matches: [{ method: { method: a.B } }]'),
    at: `${AT}.method`,
    says: /not the name of a gRPC method/,
    remedy: /write the name/,
  },
  {
    name: 'a pattern beyond RE2',
    spec: rule('matches: [{ method: { type: RegularExpression, method: "(?=a)" } }]'),
    at: `${AT}.method`,
    says: /pattern/,
    remedy: /RE2/,
  },
  {
    name: 'one filter twice',
    spec: rule(
      'filters: [{ type: RequestHeaderModifier, requestHeaderModifier: {} }, { type: RequestHeaderModifier, requestHeaderModifier: {} }]',
    ),
    at: 'spec.rules[0].filters[1]',
    says: /listed twice/,
    remedy: /merge/,
  },
  {
    name: 'a backend without port',
    spec: rule('backendRefs: [{ name: a }]'),
    at: 'spec.rules[0].backendRefs[0].port',
    says: /required/,
    remedy: /add the port/,
  },
  {
    name: 'hostnames of a Service parent',
    severity: 'warning',
    spec: `{ ${PARENT}, hostnames: [a.example.com] }`,
    at: 'spec.hostnames',
    says: /ignored/,
    remedy: /remove/,
  },
];
testMistakes('GRPCRoute', mistakes);
testAccepted('GRPCRoute', {
  'a whole route': rule(
    'name: a, matches: [{ method: { service: a.B, method: C }, headers: [{ name: x, value: y }] }], filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: m, port: 80 } } }], backendRefs: [{ name: a, port: 80 }]',
  ),
});

test('a call is read as what it names; what it does not is any', () => {
  const read = readSpec(
    'GRPCRoute',
    rule('matches: [{ method: { service: a.B } }, { headers: [{ name: X, value: y }] }]'),
  ) as unknown as {
    rules: { matches: { grpc: unknown; headers: unknown }[] }[];
  };
  assert.deepEqual(
    read.rules[0]?.matches.map(({ grpc, headers }) => [grpc, headers]),
    [
      [{ type: 'exact', service: 'a.B', method: null }, []],
      [{ type: 'exact', service: null, method: null }, [{ name: 'x', type: 'exact', value: 'y' }]],
    ],
  );
});

const MESH = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: way, namespace: shop }
spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
---
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop, labels: { istio.io/use-waypoint: way } }
spec: { selector: { app: a }, ports: [{ name: grpc, port: 7070 }, { name: http, port: 80 }, { name: any, port: 90 }, { name: tcp, port: 99 }] }
---
`;

function route(kind: string, more = ''): string {
  return `{ apiVersion: gateway.networking.k8s.io/v1, kind: ${kind}, metadata: { name: r, namespace: shop }, spec: { parentRefs: [{ group: "", kind: Service, name: cart ${more} }], rules: [{ backendRefs: [{ name: cart, port: 80 }] }] } }\n---\n`;
}

/** Kind by kind the ports, as its waypoint is told. */
function portsOf(mesh: YamlMesh): (readonly number[] | null)[] {
  const [service] = mesh.index.snapshot().waypoints.get('shop/way')?.services ?? [];
  return (service?.routes ?? []).map(({ ports }) => ports).toSorted((a, b) => (a?.[0] ?? 0) - (b?.[0] ?? 0));
}

test('config-api 1.12: a GRPCRoute goes before an HTTPRoute, port by port, and the one that loses is told', () => {
  const mesh = new YamlMesh(parser, MESH + route('GRPCRoute', ', port: 7070') + route('HTTPRoute'));
  assert.deepEqual(portsOf(mesh), [[80, 90, 99], [7070]]);
  assert.equal(mesh.conditions('HTTPRoute shop/r')[0], 'Accepted True Accepted');
  mesh.apply(route('HTTPRoute', ', port: 7070'));
  assert.deepEqual(portsOf(mesh), [[7070]]);
  assert.equal(mesh.conditions('HTTPRoute shop/r')[0], 'Accepted False Conflicted');
  assert.match(mesh.problems('HTTPRoute shop/r').join(), /loses to GRPCRoute shop\/r on Service shop\/cart port 7070/);
  mesh.remove('GRPCRoute shop/r');
  assert.equal(mesh.conditions('HTTPRoute shop/r')[0], 'Accepted True Accepted');
});

test('config-api 1.13: without a port a GRPCRoute is at those where gRPC may be spoken', () => {
  const mesh = new YamlMesh(parser, MESH + route('GRPCRoute'));
  assert.deepEqual(portsOf(mesh), [[90, 7070]]);
  assert.deepEqual(mesh.conditions('GRPCRoute shop/r').slice(0, 2), ['Accepted True Accepted', 'ResolvedRefs True ResolvedRefs']);
});

test('config-api 1.13: filters that a GRPCRoute cannot have, and backends that are not there', () => {
  const spec = (text: string) =>
    `{ apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: { name: r, namespace: shop }, spec: { parentRefs: [{ group: "", kind: Service, name: cart }], rules: [{ ${text} }] } }\n`;
  const mesh = new YamlMesh(parser, MESH + spec('backendRefs: [{ name: nowhere, port: 80 }]'));
  assert.equal(mesh.conditions('GRPCRoute shop/r')[1], 'ResolvedRefs False BackendNotFound');
  mesh.apply(spec('filters: [{ type: ExtensionRef, extensionRef: { group: g.io, kind: K, name: a } }]'));
  assert.ok(mesh.conditions('GRPCRoute shop/r').includes('PartiallyInvalid True UnsupportedValue'));
});
