import assert from 'node:assert/strict';
import test from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { AppProtocol, LoadBalancing } from '#model/mesh/service.ts';
import { readCrds } from '#platform/files/crds.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

function service(spec: string, { name = 's', metadata = '' } = {}): string {
  return `apiVersion: v1\nkind: Service\nmetadata: { name: ${name}, namespace: shop, ${metadata} }\nspec: { selector: { app: a }, ${spec} }\n`;
}

const PORT = 'ports: [{ port: 80 }]';
const POD =
  'apiVersion: v1\nkind: Pod\nmetadata: { name: p, namespace: shop, labels: { app: a } }\nspec: {}\nstatus: { podIP: 10.0.0.1 }\n';

test('F16: an alias has the name that it stands for, and neither an address nor an endpoint', () => {
  const mesh = new YamlMesh(
    parser,
    `${service('type: ExternalName, externalName: WWW.example.com., ports: [{ port: 80 }]')}---\n${POD}`,
  );
  const { addresses, ports, aliasOf } = mesh.service('shop/s') ?? assert.fail('no service');
  assert.deepEqual([addresses, ports, aliasOf], [[], [], 'www.example.com']);
  assert.equal(mesh.workload('p')?.services.size, 0);
});

test('C27: a headless service has no address, and its workloads list it', () => {
  const mesh = new YamlMesh(parser, `${service(`clusterIP: None, ${PORT}`)}---\n${POD}`);
  assert.deepEqual(mesh.service('shop/s')?.addresses, []);
  assert.ok(mesh.workload('p')?.services.has('shop/s.shop.svc.cluster.local'));
});

test('C28: a dual-stack service has two addresses', () => {
  const { addresses, ipFamilies } =
    new YamlMesh(parser, service(`clusterIPs: [10.96.0.1, "fd96::1"], ${PORT}`)).service('shop/s') ?? {};
  assert.deepEqual([addresses, ipFamilies], [['10.96.0.1', 'fd96::1'], 'dual']);
});

const families: { spec: string; addresses: RegExp[]; ipFamilies: string }[] = [
  { spec: 'clusterIP: 10.96.0.1', addresses: [/^10.96.0.1$/], ipFamilies: 'ipv4' },
  { spec: 'clusterIP: "fd96::1"', addresses: [/^fd96::1$/], ipFamilies: 'ipv6' },
  { spec: 'ipFamilies: [IPv4]', addresses: [/^240\.240\./], ipFamilies: 'ipv4' },
  { spec: 'ipFamilies: [IPv6, IPv4]', addresses: [/^2001:2:/, /^240\.240\./], ipFamilies: 'dual' },
  { spec: 'type: ClusterIP', addresses: [/^240\.240\./, /^2001:2:/], ipFamilies: 'automatic' },
];
for (const { spec, addresses, ipFamilies } of families) {
  test(`C33: addresses of a service with ${spec}`, () => {
    const found = new YamlMesh(parser, service(`${spec}, ${PORT}`)).service('shop/s');
    assert.equal(found?.ipFamilies, ipFamilies);
    assert.equal(found?.addresses.length, addresses.length);
    for (const [at, form] of addresses.entries()) assert.match(found?.addresses[at] ?? '', form);
  });
}

test('C33: an allocated address gives way to a user who writes it down', () => {
  const mesh = new YamlMesh(parser, service(PORT));
  const [taken] = mesh.service('shop/s')?.addresses ?? [];
  const { mesh: delta, allocations } = mesh.apply(service(`clusterIP: ${taken}, ${PORT}`, { name: 'mine' }));
  assert.deepEqual([...delta.services.keys()], ['shop/mine.shop.svc.cluster.local', 'shop/s.shop.svc.cluster.local']);
  assert.deepEqual(mesh.service('shop/mine')?.addresses, [taken]);
  assert.notEqual(mesh.service('shop/s')?.addresses[0], taken);
  assert.deepEqual(allocations?.get('shop/s'), mesh.service('shop/s')?.addresses);
});

test('an address that two users write down belongs to the older service; the other gets one of its own', () => {
  const older = service(`clusterIP: 10.96.0.1, ${PORT}`, { name: 'z', metadata: 'creationTimestamp: "2026-01-01T00:00:00Z"' });
  const younger = service(`clusterIP: 10.96.0.1, ${PORT}`, { name: 'a', metadata: 'creationTimestamp: "2026-02-01T00:00:00Z"' });
  const mesh = new YamlMesh(parser, `${younger}---\n${older}`);
  assert.deepEqual(mesh.service('shop/z')?.addresses, ['10.96.0.1']);
  assert.match(mesh.service('shop/a')?.addresses[0] ?? '', /^240\.240\./);
  assert.match(mesh.problems('Service shop/a').join(), /WEFT_ADDRESS_CONFLICT address 10.96.0.1 is that of Service shop\/z/);
  mesh.remove('Service shop/z');
  assert.deepEqual([mesh.service('shop/a')?.addresses, mesh.problems('Service shop/a')], [['10.96.0.1'], []]);
});

const close: LoadBalancing = { mode: 'failover', routingPreference: ['network', 'region', 'zone'], allowUnhealthy: false };
const sameNode: LoadBalancing = {
  mode: 'failover',
  routingPreference: ['network', 'region', 'zone', 'subzone', 'node'],
  allowUnhealthy: false,
};
const annotated = (value: string) => `annotations: { networking.istio.io/traffic-distribution: ${value} }`;
const balances: { name: string; spec?: string; metadata?: string; namespace?: string; want: LoadBalancing | null }[] = [
  { name: 'nothing said', want: null },
  {
    name: 'C29: internalTrafficPolicy Local beats trafficDistribution',
    spec: 'internalTrafficPolicy: Local, trafficDistribution: PreferClose',
    want: { mode: 'strict', routingPreference: ['node'], allowUnhealthy: false },
  },
  { name: 'C29: PreferClose', spec: 'trafficDistribution: PreferClose', want: close },
  { name: 'C29: PreferSameZone is PreferClose', spec: 'trafficDistribution: PreferSameZone', want: close },
  { name: 'C29: PreferSameNode', spec: 'trafficDistribution: PreferSameNode', want: sameNode },
  { name: 'the annotation of the service', metadata: annotated('preferclose'), want: close },
  { name: 'the annotation of the namespace', namespace: annotated('PreferSameNode'), want: sameNode },
  {
    name: 'the service before its namespace',
    metadata: annotated('PreferClose'),
    namespace: annotated('PreferSameNode'),
    want: close,
  },
  {
    name: 'an unknown value does not fall through',
    metadata: annotated('Sometimes'),
    namespace: annotated('PreferClose'),
    want: null,
  },
  {
    name: 'C30: publishNotReadyAddresses',
    spec: 'publishNotReadyAddresses: true',
    want: { mode: 'unspecified', routingPreference: [], allowUnhealthy: true },
  },
];
for (const { name, spec = 'type: ClusterIP', metadata = '', namespace, want } of balances) {
  test(`load balancing: ${name}`, () => {
    const space = namespace === undefined ? '' : `---\napiVersion: v1\nkind: Namespace\nmetadata: { name: shop, ${namespace} }\n`;
    const mesh = new YamlMesh(parser, service(`${spec}, ${PORT}`, { metadata }) + space);
    assert.deepEqual(mesh.service('shop/s')?.loadBalancing, want);
  });
}

test('C30: publishNotReadyAddresses on one service does not change another', () => {
  const one = service(`trafficDistribution: PreferClose, publishNotReadyAddresses: true, ${PORT}`);
  const mesh = new YamlMesh(parser, `${one}---\n${service(`trafficDistribution: PreferClose, ${PORT}`, { name: 't' })}`);
  assert.deepEqual(
    [mesh.service('shop/s')?.loadBalancing?.allowUnhealthy, mesh.service('shop/t')?.loadBalancing?.allowUnhealthy],
    [true, false],
  );
});

const protocols: { port: string; want: AppProtocol }[] = [
  { port: 'port: 8080', want: 'unknown' },
  { port: 'port: 80, name: http', want: 'http11' },
  { port: 'port: 80, name: http2-web', want: 'http2' },
  { port: 'port: 80, name: grpc', want: 'grpc' },
  { port: 'port: 443, name: https-web', want: 'tls' },
  { port: 'port: 80, name: http, appProtocol: tcp', want: 'tcp' },
  { port: 'port: 80, appProtocol: HTTP', want: 'http11' },
  { port: 'port: 80, appProtocol: kubernetes.io/h2c', want: 'http2' },
  { port: 'port: 80, appProtocol: kubernetes.io/ws', want: 'http11' },
  { port: 'port: 80, appProtocol: example.com/odd', want: 'unknown' },
  { port: 'port: 80, name: httpbin', want: 'unknown' },
  { port: 'port: 80, name: constructor', want: 'unknown' },
  { port: 'port: 3306', want: 'tcp' },
  { port: 'port: 3306, name: http', want: 'http11' },
  { port: 'port: 80, name: mysql', want: 'tcp' },
];
for (const { port, want } of protocols) {
  test(`the protocol of { ${port} } is ${want}`, () => {
    assert.equal(new YamlMesh(parser, service(`ports: [{ ${port} }]`)).service('shop/s')?.ports[0]?.appProtocol, want);
  });
}

test('a port of UDP is none of TCP, whatever it is called', () => {
  assert.deepEqual(
    new YamlMesh(parser, service('ports: [{ port: 53, protocol: UDP, name: http }]')).service('shop/s')?.ports,
    [],
  );
});

test('where TCP and UDP share a port number there is one port, TCP', () => {
  const ports = 'ports: [{ name: dns, port: 53, protocol: UDP, targetPort: 1 }, { name: dns-tcp, port: 53, targetPort: 2 }]';
  assert.deepEqual(new YamlMesh(parser, service(ports)).service('shop/s')?.ports, [
    { servicePort: 53, targetPort: 2, appProtocol: 'tcp' },
  ]);
});

test('a changed selector moves workloads between services', () => {
  const mesh = new YamlMesh(parser, `${service(PORT)}---\n${POD}`);
  const { mesh: delta } = mesh.apply(service(PORT).replace('app: a', 'app: b'));
  assert.deepEqual(
    [...delta.workloads.values()].map((workload) => workload?.services.size),
    [0],
  );
  assert.equal(delta.services.size, 0);
});

for (const { spec, want } of [
  { spec: 'sessionAffinity: ClientIP', want: 10_800 },
  { spec: 'sessionAffinity: ClientIP, sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } }', want: 60 },
  { spec: 'sessionAffinity: None, sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } }', want: 0 },
  { spec: 'type: ClusterIP', want: 0 },
])
  test(`K76: a client keeps its endpoint for ${want} s with ${spec}`, () =>
    assert.equal(new YamlMesh(parser, service(`${spec}, ${PORT}`)).service('shop/s')?.affinityTimeoutS, want));

const GATEWAY =
  'apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: { name: w, namespace: shop }\nspec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }\n';

test('K76: with a waypoint a client stays for good, and that a time-out does not count is told', () => {
  const bound = { metadata: 'labels: { istio.io/use-waypoint: w }' };
  const meshWith = (spec: string): YamlMesh => new YamlMesh(parser, `${GATEWAY}---\n${service(`${spec}, ${PORT}`, bound)}`);
  const kept = meshWith('sessionAffinity: ClientIP');
  assert.deepEqual(kept.problems('Service shop/s'), []);
  const [settings] = kept.index.snapshot().waypoints.get('shop/w')?.services[0]?.destinations ?? [];
  assert.deepEqual(settings?.balancer, { kind: 'hash', key: { kind: 'address' }, table: { kind: 'ring', size: 1_024 } });
  const timed = meshWith('sessionAffinity: ClientIP, sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } }');
  assert.match(timed.problems('Service shop/s').join(), /however long it is silent/);
  assert.equal(meshWith('sessionAffinity: None').index.snapshot().waypoints.get('shop/w')?.services[0]?.destinations, undefined);
});

for (const { port, want } of [
  { port: 'appProtocol: grpc-web', want: [80] },
  { port: 'appProtocol: gRPC-Web', want: [80] },
  { port: 'name: grpc-web', want: [80] },
  { port: 'name: grpc-web-ui', want: [80] },
  { port: 'name: grpc-web, appProtocol: http', want: undefined },
  { port: 'name: grpc-webs', want: undefined },
  { port: 'appProtocol: grpc', want: undefined },
])
  test(`W81 a port of ${port} ${want === undefined ? 'carries gRPC-Web as it is' : 'takes gRPC-Web for gRPC'}`, () => {
    const bound = { metadata: 'labels: { istio.io/use-waypoint: w }' };
    const mesh = new YamlMesh(parser, `${GATEWAY}---\n${service(`ports: [{ port: 80, ${port} }]`, bound)}`);
    assert.deepEqual(mesh.index.snapshot().waypoints.get('shop/w')?.services[0]?.grpcWebPorts, want);
    if (want !== undefined) assert.equal(mesh.service('shop/s')?.ports[0]?.appProtocol, 'grpc');
  });

test('W81 hosts of a ServiceEntry may take it, too', () => {
  const spec = '{ hosts: [a.example], resolution: STATIC, ports: [{ number: 80, name: x, protocol: GRPC-WEB }] }';
  const labels = '{ istio.io/use-waypoint: w }';
  const host = `apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: { name: e, namespace: shop, labels: ${labels} }\nspec: ${spec}\n`;
  const { waypoints } = new YamlMesh(parser, `${GATEWAY}---\n${host}`).index.snapshot();
  assert.deepEqual(waypoints.get('shop/w')?.services[0]?.grpcWebPorts, [80]);
});
