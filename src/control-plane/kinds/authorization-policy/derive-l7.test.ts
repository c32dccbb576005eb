import assert from 'node:assert/strict';
import test from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { L7Policy, WaypointConfig } from '#model/waypoint/config.ts';
import { readCrds } from '#platform/files/crds.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

function service(
  name: string,
  {
    namespace = 'shop',
    spec = 'ports: [{ name: http, port: 80 }, { name: admin, port: 9090 }]',
    labels = 'istio.io/use-waypoint: way',
  } = {},
): string {
  return `apiVersion: v1\nkind: Service\nmetadata: { name: ${name}, namespace: ${namespace}, labels: { ${labels} } }\nspec: { selector: { app: a }, ${spec} }\n`;
}

const GATEWAY = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: way, namespace: shop }
spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
`;
const SHOP = [GATEWAY, service('reviews'), service('v1'), service('v2'), service('remote', { namespace: 'far', labels: '' })];

function configOf(mesh: YamlMesh): WaypointConfig | undefined {
  return mesh.index.snapshot().waypoints.get('shop/way');
}

function meshWith(...documents: string[]): YamlMesh {
  return new YamlMesh(parser, [...SHOP, ...documents].join('---\n'));
}

function policy(spec: string, { name = 'p', namespace = 'shop' } = {}): string {
  return `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: ${name}, namespace: ${namespace} }\nspec: { ${spec} }\n`;
}

const CORE_SERVICE = 'targetRefs: [{ group: "", kind: Service, name: reviews }]';
const GATEWAY_TARGET = 'targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: way }]';
const CLASS_TARGET = 'targetRefs: [{ group: gateway.networking.k8s.io, kind: GatewayClass, name: weft-waypoint }]';

const ENTRY_TARGET = 'targetRefs: [{ group: networking.istio.io, kind: ServiceEntry, name: x }]';

function serviceEntry(labels: string): string {
  return `apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: { name: x, namespace: shop, labels: { ${labels} } }\nspec: { hosts: [api.example.com], ports: [{ number: 80, name: http, protocol: HTTP }], resolution: DNS }\n`;
}

/** Names of the policies of service reviews, then of those of the whole waypoint. */
function policiesOf(mesh: YamlMesh): string {
  const config = configOf(mesh);
  const own = config?.services.find(({ key }) => key.startsWith('shop/reviews.'))?.policies ?? [];
  const names = (list: readonly L7Policy[]) => list.map(({ name }) => name).join(' ');
  return `${names(own)} | ${names(config?.policies ?? [])}`;
}

const targets: { name: string; yaml: string[]; want: string; condition: string }[] = [
  { name: 'a Service', yaml: [policy(CORE_SERVICE)], want: 'p | ', condition: 'True Accepted' },
  { name: 'a Gateway', yaml: [policy(GATEWAY_TARGET)], want: ' | p', condition: 'True Accepted' },
  {
    name: 'the single targetRef of old',
    yaml: [policy('targetRef: { group: core, kind: Service, name: reviews }')],
    want: 'p | ',
    condition: 'True Accepted',
  },
  {
    name: 'a missing Service',
    yaml: [policy('targetRefs: [{ kind: Service, name: review }]')],
    want: ' | ',
    condition: 'False TargetNotFound',
  },
  {
    name: 'a Service without waypoint',
    yaml: [service('plain', { labels: '' }), policy('targetRefs: [{ kind: Service, name: plain }]')],
    want: ' | ',
    condition: 'False AncestorNotBound',
  },
  {
    name: 'a missing Gateway',
    yaml: [policy(GATEWAY_TARGET.replace('way }', 'wya }'))],
    want: ' | ',
    condition: 'False TargetNotFound',
  },
  { name: 'a class, outside the root namespace', yaml: [policy(CLASS_TARGET)], want: ' | ', condition: 'False Invalid' },
  {
    name: 'a missing ServiceEntry',
    yaml: [policy(ENTRY_TARGET)],
    want: ' | ',
    condition: 'False TargetNotFound',
  },
  {
    name: 'a ServiceEntry without waypoint',
    yaml: [policy(ENTRY_TARGET), serviceEntry('')],
    want: ' | ',
    condition: 'False AncestorNotBound',
  },
];
for (const { name, yaml, want, condition } of targets) {
  test(`C43: a policy attached to ${name}`, () => {
    const mesh = meshWith(...yaml);
    assert.equal(policiesOf(mesh), want);
    assert.deepEqual(mesh.conditions('AuthorizationPolicy shop/p'), [`WaypointAccepted ${condition}`]);
    assert.equal(mesh.index.snapshot().policies.size, 0);
  });
}

test('config-api 4.5: a policy attached to a ServiceEntry is enforced at the waypoint of its hosts', () => {
  const mesh = meshWith(policy(ENTRY_TARGET), serviceEntry('istio.io/use-waypoint: way'));
  const host = configOf(mesh)?.services.find(({ key }) => key === 'shop/api.example.com');
  assert.deepEqual(
    host?.policies.map(({ name }) => name),
    ['p'],
  );
  assert.deepEqual(mesh.conditions('AuthorizationPolicy shop/p'), ['WaypointAccepted True Accepted']);
  mesh.remove('ServiceEntry shop/x');
  assert.deepEqual(mesh.conditions('AuthorizationPolicy shop/p'), ['WaypointAccepted False TargetNotFound']);
});

test('a policy of the root namespace for a class reaches every waypoint of that class', () => {
  const mesh = meshWith(policy(CLASS_TARGET, { namespace: 'istio-system' }));
  assert.equal(policiesOf(mesh), ' | p');
  mesh.apply(GATEWAY.replace('name: way,', 'name: later,'));
  assert.equal(mesh.index.snapshot().waypoints.get('shop/later')?.policies.length, 1);
});

const L7: { name: string; spec: string; action: string; rules: number; says?: RegExp }[] = [
  {
    name: 'ALLOW by method and path',
    spec: 'rules: [{ to: [{ operation: { methods: [GET], paths: ["/a/{*}"] } }] }]',
    action: 'allow',
    rules: 1,
  },
  {
    name: 'ALLOW with a token',
    spec: 'rules: [{ from: [{ source: { requestPrincipals: ["*"] } }], when: [{ key: "request.auth.claims[a]", values: [b] }] }]',
    action: 'allow',
    rules: 1,
  },
  {
    name: 'ALLOW with remoteIpBlocks: the rule is dropped',
    spec: 'rules: [{ from: [{ source: { remoteIpBlocks: [10.0.0.1] } }] }]',
    action: 'allow',
    rules: 0,
    says: /remoteIpBlocks/,
  },
  {
    name: 'ALLOW with a name of TLS: the rule is dropped',
    spec: 'rules: [{ when: [{ key: connection.sni, values: [b] }] }]',
    action: 'allow',
    rules: 0,
    says: /connection.sni/,
  },
  {
    name: 'DENY with a forwarded address denies without it',
    spec: 'action: DENY, rules: [{ from: [{ source: { notRemoteIpBlocks: [10.0.0.0/8] } }] }]',
    action: 'deny',
    rules: 1,
    says: /denies without regard/,
  },
  {
    name: '24: CUSTOM of a provider that is not known',
    spec: 'action: CUSTOM, provider: { name: opa }, rules: [{ to: [{ operation: { paths: [/a] } }] }]',
    action: 'custom',
    rules: 1,
    says: /provider "opa" is not among [\s\S]* \(it has none\); until then every request that the rules match gets 403/,
  },
  {
    name: 'CUSTOM with a forwarded address asks without it',
    spec: 'action: CUSTOM, provider: { name: opa }, rules: [{ from: [{ source: { remoteIpBlocks: [10.0.0.1] } }] }]',
    action: 'custom',
    rules: 1,
    says: /asks without regard/,
  },
];
for (const { name, spec, action, rules, says } of L7) {
  test(`L7: ${name}`, () => {
    const mesh = meshWith(policy(`${CORE_SERVICE}, ${spec}`));
    const [found] = configOf(mesh)?.services[0]?.policies ?? [];
    assert.deepEqual([found?.action, found?.rules.length], [action, rules]);
    const problems = mesh.problems('AuthorizationPolicy shop/p').join();
    if (says === undefined) assert.equal(problems, '');
    else assert.match(problems, says);
    assert.deepEqual(mesh.conditions('AuthorizationPolicy shop/p'), [
      `WaypointAccepted True ${says === undefined ? 'Accepted' : 'PartiallyInvalid'}`,
    ]);
  });
}

test('L7: AUDIT is refused, and says so', () => {
  const mesh = meshWith(policy(`${CORE_SERVICE}, action: AUDIT, rules: [{}]`));
  assert.equal(policiesOf(mesh), ' | ');
  assert.deepEqual(mesh.conditions('AuthorizationPolicy shop/p'), ['WaypointAccepted False Invalid']);
});

test('L7: service accounts are completed, trust domains become principals, the rest is Istio’s own text', () => {
  const source = 'serviceAccounts: [a, other/b]';
  const second = 'trustDomains: [t.org, "u*"], notTrustDomains: [v]';
  const when = '{ key: source.serviceAccount, values: [a] }, { key: "request.headers[x]", notValues: ["y*"] }';
  const rule = `{ from: [{ source: { ${source} } }, { source: { ${second} } }], to: [{ operation: { hosts: ["*.com"], notPorts: ["80"] } }], when: [${when}] }`;
  const found = configOf(meshWith(policy(`${CORE_SERVICE}, rules: [${rule}]`)))?.services[0]?.policies[0]?.rules[0];
  assert.deepEqual(
    found?.from.map(({ serviceAccounts, principals, notPrincipals }) => ({ serviceAccounts, principals, notPrincipals })),
    [
      { serviceAccounts: ['shop/a', 'other/b'], principals: [], notPrincipals: [] },
      { serviceAccounts: [], principals: ['t.org/*', 'u*'], notPrincipals: ['v/*'] },
    ],
  );
  assert.deepEqual([found?.to[0]?.hosts, found?.to[0]?.notPorts], [['*.com'], ['80']]);
  assert.deepEqual(found?.when, [
    { key: 'source.serviceAccount', values: ['shop/a'], notValues: [] },
    { key: 'request.headers[x]', values: [], notValues: ['y*'] },
  ]);
});

const mesh = (providers: string) => `
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data:
  mesh: |
    extensionProviders: [${providers}]
`;
const ASKS = `${CORE_SERVICE}, action: CUSTOM, provider: { name: opa }, rules: [{}]`;
const provider = (host: string, port: number, more = '') =>
  `{ name: opa, envoyExtAuthzGrpc: { service: ${host}, port: ${port} ${more} } }`;
const opa = 'opa.shop.svc.cluster.local';

test('24: CUSTOM asks the provider that the mesh configuration has: its waypoint is told of it, and of changes', () => {
  const found = meshWith(service('opa', { labels: '' }), policy(ASKS), mesh(provider(opa, 80)));
  const [authorizer] = configOf(found)?.authorizers ?? [];
  assert.deepEqual([authorizer?.name, authorizer?.service, authorizer?.port, authorizer?.http], ['opa', `shop/${opa}`, 80, null]);
  assert.deepEqual(found.conditions('AuthorizationPolicy shop/p'), ['WaypointAccepted True Accepted']);
  found.apply(mesh(provider(opa, 80, ', failOpen: true')));
  assert.equal(configOf(found)?.authorizers?.[0]?.failOpen, true);
  found.remove('ConfigMap istio-system/istio');
  assert.equal(configOf(found)?.authorizers, undefined);
  assert.deepEqual(found.conditions('AuthorizationPolicy shop/p'), ['WaypointAccepted True PartiallyInvalid']);
});

const LOST: { name: string; providers: string; says: RegExp }[] = [
  { name: 'of another name', providers: provider(opa, 80).replace('opa,', 'op,'), says: /is not among [\s\S]*\(it has op\)/ },
  { name: 'whose service is not there', providers: provider('none.shop.svc.cluster.local', 80), says: /is not in the mesh/ },
  { name: 'whose service is elsewhere', providers: provider(`other/${opa}`, 80), says: /is not in the mesh/ },
  { name: 'whose service has no such port', providers: provider(opa, 81), says: /has no port 81 \(ports: 80, 9090\)/ },
];
for (const { name, providers, says } of LOST) {
  test(`24: CUSTOM of a provider ${name} is told, and nobody is asked`, () => {
    const found = meshWith(service('opa', { labels: '' }), policy(ASKS), mesh(providers));
    assert.equal(configOf(found)?.authorizers, undefined);
    assert.match(found.problems('AuthorizationPolicy shop/p').join(), says);
  });
}

test('a ConfigMap that is not the mesh configuration has no effect, and says so', () => {
  const found = meshWith(mesh(provider(opa, 80)).replace('istio-system', 'shop'), policy(ASKS));
  assert.match(
    found.problems('ConfigMap shop/istio').join(),
    /istio-system\/istio for the mesh configuration: this one has no effect here/,
  );
  assert.equal(configOf(found)?.authorizers, undefined);
});
