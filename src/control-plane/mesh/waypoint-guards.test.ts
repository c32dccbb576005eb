import assert from 'node:assert/strict';
import test from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { type Identity, parseIdentity } from '#model/identity/identity.ts';
import { MeshState } from '#model/mesh/mesh-state.ts';
import { connectionOf, decideL4, policiesFor } from '#model/policy/l4.ts';
import { readCrds } from '#platform/files/crds.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

const identity = (name: string, namespace = 'shop'): Identity =>
  parseIdentity(`spiffe://cluster.local/ns/${namespace}/sa/${name}`);
const WAYPOINT = identity('w');
const CLIENT = identity('client');

const gateway = (name = 'w', extra = '') =>
  `apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: { name: ${name}, namespace: shop${extra} }\nspec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }\n`;
const service = (name: string, { labels = 'istio.io/use-waypoint: w', selector = 'app: cart', spec = '', port = 8080 } = {}) =>
  `apiVersion: v1\nkind: Service\nmetadata: { name: ${name}, namespace: shop, labels: { ${labels} } }\nspec: { selector: { ${selector} }, ports: [{ port: 80, targetPort: ${port} }], ${spec} }\n`;
const policy = (spec: string, { name = 'p', namespace = 'shop' } = {}) =>
  `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: ${name}, namespace: ${namespace} }\nspec: { ${spec} }\n`;
const TARGETS = 'targetRefs: [{ group: "", kind: Service, name: cart }]';
const DENY_GET = 'action: DENY, rules: [{ to: [{ operation: { methods: [GET] } }] }]';

/** A mesh with the workload `cart`, the waypoint's instance, and these documents. */
function meshOf(...documents: string[]): YamlMesh {
  const mesh = new YamlMesh(parser, documents.join('---\n'));
  mesh.register(
    'alpha',
    { name: 'cart', serviceAccount: 'cart', labels: { app: 'cart', tier: 'db' }, addresses: ['10.1.0.1', 'fd00::1'] },
    {
      name: 'w-1',
      serviceAccount: 'w',
      addresses: ['10.1.0.9'],
      nativeTunnel: true,
      labels: { 'gateway.networking.k8s.io/gateway-name': 'w' },
    },
  );
  return mesh;
}

/** Whether the node of `cart` lets someone in at a port; null: in plain text. */
function admits(mesh: YamlMesh, who: Identity | null, port = 8080): boolean {
  const state = new MeshState();
  const { workloads, services, policies } = mesh.index.snapshot();
  state.apply({ workloads, services, policies });
  const cart = mesh.workload('cart');
  assert.ok(cart !== null);
  const [ip] = cart.addresses;
  assert.ok(ip !== undefined);
  return decideL4(policiesFor(state, cart), connectionOf(who, ip, { ip, port })).allowed;
}

type Case = { name: string; documents: string[]; client: boolean; waypoint: boolean; elsewhere?: boolean };

const cases: Case[] = [
  { name: 'no policy: an address stays reachable', documents: [gateway(), service('cart')], client: true, waypoint: true },
  {
    name: 'a policy of the service: nobody but the waypoint, at its port',
    documents: [gateway(), service('cart'), policy(`${TARGETS}, ${DENY_GET}`)],
    client: false,
    waypoint: true,
    elsewhere: true,
  },
  {
    name: 'a policy of the Gateway',
    documents: [
      gateway(),
      service('cart'),
      policy('targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: w }], rules: [{}]'),
    ],
    client: false,
    waypoint: true,
  },
  {
    name: 'a policy of the class, from the root namespace alone',
    documents: [
      gateway(),
      service('cart'),
      policy('targetRefs: [{ group: gateway.networking.k8s.io, kind: GatewayClass, name: weft-waypoint }]', {
        namespace: 'istio-system',
      }),
    ],
    client: false,
    waypoint: true,
  },
  {
    name: 'a headless service',
    documents: [gateway(), service('cart', { spec: 'clusterIP: None' }), policy(`${TARGETS}, ${DENY_GET}`)],
    client: false,
    waypoint: true,
  },
  {
    name: 'another service of the same pods without a waypoint does not lead past it',
    documents: [gateway(), service('cart'), service('back', { labels: '' }), policy(`${TARGETS}, ${DENY_GET}`)],
    client: false,
    waypoint: true,
  },
  {
    name: 'a trial closes nothing',
    documents: [
      gateway(),
      service('cart'),
      policy(`${TARGETS}, ${DENY_GET}`).replace(
        'namespace: shop }',
        'namespace: shop, annotations: { istio.io/dry-run: "true" } }',
      ),
    ],
    client: true,
    waypoint: true,
  },
  {
    name: 'a service without a waypoint: nobody enforces its policy, as in Istio',
    documents: [gateway(), service('cart', { labels: '' }), policy(`${TARGETS}, ${DENY_GET}`)],
    client: true,
    waypoint: true,
  },
  {
    name: 'a waypoint that does not exist: nobody at all',
    documents: [service('cart'), policy(`${TARGETS}, ${DENY_GET}`)],
    client: false,
    waypoint: false,
    elsewhere: true,
  },
  {
    name: 'a waypoint that may not serve the service: nobody at all',
    documents: [
      gateway().replace(
        'protocol: HBONE }',
        'protocol: HBONE, allowedRoutes: { namespaces: { from: Selector, selector: { matchLabels: { a: b } } } } }',
      ),
      service('cart'),
      policy(`${TARGETS}, ${DENY_GET}`),
    ],
    client: false,
    waypoint: false,
  },
  // DENY with what only a request shows, on a selector or a namespace (11).
  {
    name: 'DENY by method where no waypoint serves: everybody, everywhere',
    documents: [service('cart', { labels: '' }), policy(`selector: { matchLabels: { app: cart } }, ${DENY_GET}`)],
    client: false,
    waypoint: false,
    elsewhere: false,
  },
  {
    name: 'DENY by method where the waypoint checks it: its calls pass',
    documents: [gateway(), service('cart'), policy(`selector: { matchLabels: { app: cart } }, ${DENY_GET}`)],
    client: false,
    waypoint: true,
    elsewhere: false,
  },
  {
    name: 'DENY by method in the namespace',
    documents: [gateway(), service('cart'), policy(DENY_GET)],
    client: false,
    waypoint: true,
  },
  {
    name: 'DENY by method in the mesh',
    documents: [gateway(), service('cart'), policy(DENY_GET, { namespace: 'istio-system' })],
    client: false,
    waypoint: true,
  },
  {
    name: 'DENY by method for some of its pods: the waypoint cannot check it, and is refused',
    documents: [gateway(), service('cart'), policy(`selector: { matchLabels: { tier: db } }, ${DENY_GET}`)],
    client: false,
    waypoint: false,
  },
  {
    name: 'DENY by method, and a service of the same waypoint that does not check it: refused',
    documents: [
      gateway(),
      service('cart'),
      service('all', { selector: 'tier: db' }),
      policy(`selector: { matchLabels: { app: cart } }, ${DENY_GET}`),
    ],
    client: false,
    waypoint: false,
  },
  {
    name: 'DENY by port and method: that port',
    documents: [
      gateway(),
      service('cart'),
      policy('action: DENY, rules: [{ to: [{ operation: { methods: [GET], ports: ["8080"] } }] }]'),
    ],
    client: false,
    waypoint: true,
    elsewhere: true,
  },
  {
    name: 'DENY of what a connection shows is for the waypoint, too',
    documents: [gateway(), service('cart'), policy('action: DENY, rules: [{ to: [{ operation: { ports: ["8080"] } }] }]')],
    client: false,
    waypoint: false,
    elsewhere: true,
  },
];

for (const { name, documents, client, waypoint, elsewhere } of cases)
  test(`C49 C50 at the node: ${name}`, () => {
    const mesh = meshOf(...documents);
    assert.deepEqual([admits(mesh, CLIENT), admits(mesh, WAYPOINT)], [client, waypoint]);
    if (!client) assert.equal(admits(mesh, null), false, 'plain text');
    assert.equal(admits(mesh, CLIENT, 9_000), elsewhere ?? admits(mesh, CLIENT, 9_000));
  });

test('C50: what spares a waypoint is what its configuration holds', () => {
  const mesh = meshOf(gateway(), service('cart'), policy(`selector: { matchLabels: { app: cart } }, ${DENY_GET}`));
  const config = mesh.index.snapshot().waypoints.get('shop/w');
  assert.deepEqual(
    config?.services[0]?.policies.map(({ name, action }) => `${action} ${name}`),
    ['deny p'],
  );
  const partly = meshOf(gateway(), service('cart'), policy(`selector: { matchLabels: { tier: db } }, ${DENY_GET}`));
  assert.deepEqual(partly.index.snapshot().waypoints.get('shop/w')?.services[0]?.policies, []);
});

test('C49: a headless service gets an address for as long as its waypoint has something to enforce', () => {
  const mesh = meshOf(gateway(), service('cart', { spec: 'clusterIP: None' }));
  assert.deepEqual(mesh.service('shop/cart')?.addresses, []);
  mesh.apply(policy(`${TARGETS}, ${DENY_GET}`));
  assert.equal(mesh.service('shop/cart')?.addresses.length, 2);
  assert.ok(mesh.service('shop/cart')?.waypoint !== null);
  mesh.remove('AuthorizationPolicy shop/p');
  assert.deepEqual([mesh.service('shop/cart')?.addresses, admits(mesh, CLIENT)], [[], true]);
});

test('C49: a waypoint with an account of its own is known by it', () => {
  const mesh = meshOf(
    gateway('w', ', annotations: { gateway.istio.io/service-account: keeper }'),
    service('cart'),
    policy(`${TARGETS}, ${DENY_GET}`),
  );
  assert.deepEqual([admits(mesh, identity('keeper')), admits(mesh, WAYPOINT)], [true, false]);
});

test("C49: a workload's own waypoint is the only way to each of its ports, beside those of its services", () => {
  const rules = 'targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: own }], rules: [{}]';
  const mesh = meshOf(gateway(), gateway('own', ', labels: { istio.io/waypoint-for: all }'), service('cart'), policy(rules));
  const labels = { app: 'cart', 'istio.io/use-waypoint': 'own' };
  mesh.register('alpha', { name: 'cart', serviceAccount: 'cart', labels, addresses: ['10.1.0.1'] });
  assert.deepEqual([admits(mesh, CLIENT), admits(mesh, CLIENT, 9_000), admits(mesh, null, 9_000)], [false, false, false]);
  assert.deepEqual([admits(mesh, identity('own'), 9_000), admits(mesh, WAYPOINT)], [true, true]);
});

test('C49: workloads in the same place share one policy, and it goes with the last of them', () => {
  const mesh = meshOf(gateway(), service('cart'), policy(`${TARGETS}, ${DENY_GET}`));
  const derived = () => [...mesh.index.snapshot().policies.keys()].filter((key) => key.includes('waypoint-only'));
  mesh.register('beta', { name: 'cart-2', labels: { app: 'cart' }, addresses: ['10.1.0.2'] });
  assert.equal(derived().length, 1);
  assert.deepEqual(mesh.workload('cart-2')?.authorizationPolicies, derived());
  mesh.register('beta');
  mesh.register('alpha');
  assert.deepEqual(derived(), []);
});
