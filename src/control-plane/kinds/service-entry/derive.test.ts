import assert from 'node:assert/strict';
import test from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readResourceFile } from '#control-plane/sources/directory/resource-file.ts';
import { readCrds } from '#platform/files/crds.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

const PORTS = 'ports: [{ name: tcp, number: 5432, protocol: TCP, targetPort: 15432 }]';
type Written = { name?: string; namespace?: string; labels?: string; created?: string };

function entry(spec: string, { name = 'db', namespace = 'shop', labels = '', created = '2026-01-01' }: Written = {}): string {
  const metadata = `{ name: ${name}, namespace: ${namespace}, labels: { ${labels} }, creationTimestamp: "${created}T00:00:00Z" }`;
  return `{ apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: ${metadata}, spec: { hosts: [db.example.com], ${PORTS}, ${spec} } }`;
}
const pod = (name: string, ip: string): string =>
  `{ apiVersion: v1, kind: Pod, metadata: { name: ${name}, namespace: shop, labels: { app: db } }, spec: {}, status: { podIP: ${ip} } }`;

function meshOf(...documents: string[]): YamlMesh {
  return new YamlMesh(parser, documents.join('\n---\n'));
}

function hostOf(mesh: YamlMesh, key = 'shop/db.example.com') {
  return mesh.index.snapshot().services.get(key) ?? assert.fail(`no ${key}`);
}

/** `address or name → port behind 5432` of each endpoint of the host, with its weight. */
function endpointsOf(mesh: YamlMesh, key = 'shop/db.example.com'): string[] {
  return [...mesh.index.snapshot().workloads.values()]
    .flatMap(({ addresses, hostname, services, capacity }) => {
      const port = services.get(key)?.find(({ servicePort }) => servicePort === 5432)?.targetPort;
      return port === undefined ? [] : [`${addresses[0] ?? hostname}:${port}*${capacity}`];
    })
    .sort();
}

test('config-api 4.5: STATIC endpoints, with their ports by name and weights', () => {
  const mesh = meshOf(
    entry('resolution: STATIC, endpoints: [{ address: 10.9.0.1 }, { address: 10.9.0.2, weight: 3, ports: { tcp: 7 } }]'),
  );
  assert.deepEqual(endpointsOf(mesh), ['10.9.0.1:15432*1', '10.9.0.2:7*3']);
  const { addresses, ports, canonical, namespaceOnly, loadBalancing } = hostOf(mesh);
  assert.deepEqual(ports, [{ servicePort: 5432, targetPort: 15432, appProtocol: 'tcp' }]);
  assert.deepEqual([addresses.length, canonical, namespaceOnly, loadBalancing], [2, true, false, null]);
  assert.match(addresses.join(), /^240\.240\..*,2001:2:/);
});

test('config-api 4.5: NONE passes by; no address is allocated that nobody has', () => {
  const mesh = meshOf(
    entry('resolution: NONE'),
    entry('resolution: NONE, addresses: [9.9.9.9]', { name: 'known', namespace: 'far' }),
  );
  assert.deepEqual([hostOf(mesh).addresses, hostOf(mesh).loadBalancing?.mode], [[], 'passthrough']);
  assert.deepEqual(hostOf(mesh, 'far/db.example.com').addresses, ['9.9.9.9']);
  assert.match(mesh.problems('ServiceEntry shop/db').join(), /has no address/);
});

test('config-api 4.5: DNS resolves the hosts, each for itself, or the names of endpoints', () => {
  assert.deepEqual(endpointsOf(meshOf(entry('resolution: DNS'))), ['db.example.com:15432*1']);
  const two = meshOf(entry('resolution: DNS').replace('[db.example.com]', '[db.example.com, x.example.com]'));
  assert.deepEqual(
    [endpointsOf(two), endpointsOf(two, 'shop/x.example.com')],
    [['db.example.com:15432*1'], ['x.example.com:15432*1']],
  );
  assert.deepEqual(endpointsOf(meshOf(entry('resolution: DNS, endpoints: [{ address: Real.example.com }]'))), [
    'real.example.com:15432*1',
  ]);
});

test('config-api 4.5: a selector picks pods and WorkloadEntries of the namespace', () => {
  const machine =
    '{ apiVersion: networking.istio.io/v1, kind: WorkloadEntry, metadata: { name: m, namespace: shop }, spec: { address: 10.0.0.7, labels: { app: db }, ports: { tcp: 9 } } }';
  const mesh = meshOf(entry('resolution: STATIC, workloadSelector: { labels: { app: db } }'), pod('p', '10.0.0.5'), machine);
  assert.deepEqual(endpointsOf(mesh), ['10.0.0.5:15432*1', '10.0.0.7:9*1']);
  mesh.remove('Pod shop/p');
  assert.deepEqual(endpointsOf(mesh), ['10.0.0.7:9*1']);
});

const visibility = [
  { exportTo: '["*"]', namespaceOnly: false },
  { exportTo: '["."]', namespaceOnly: true },
  { exportTo: '[shop]', namespaceOnly: true },
  { exportTo: '[".", far]', namespaceOnly: true },
];
for (const { exportTo, namespaceOnly } of visibility) {
  test(`config-api 4.5: exportTo ${exportTo}`, () =>
    assert.equal(hostOf(meshOf(entry(`resolution: DNS, exportTo: ${exportTo}`))).namespaceOnly, namespaceOnly));
}

test('config-api 4.5: the Service of the same name goes before; of two entries the oldest', () => {
  const service =
    '{ apiVersion: v1, kind: Service, metadata: { name: a, namespace: shop }, spec: { selector: { app: x }, ports: [{ port: 80 }] } }';
  const same = entry('resolution: DNS').replace('db.example.com', 'a.shop.svc.cluster.local');
  const mesh = meshOf(service, same);
  assert.deepEqual([hostOf(mesh, 'shop/a.shop.svc.cluster.local').name, mesh.problems('ServiceEntry shop/db').length], ['a', 1]);
  const two = meshOf(
    entry('resolution: DNS', { name: 'a', created: '2026-02-01' }),
    entry('resolution: NONE', { name: 'b' }),
    entry('resolution: DNS', { name: 'c', namespace: 'far', created: '2026-03-01' }),
  );
  assert.equal(hostOf(two).name, 'b');
  assert.match(two.problems('ServiceEntry shop/a').join(), /described by ServiceEntry shop\/b/);
  assert.deepEqual([hostOf(two).canonical, hostOf(two, 'far/db.example.com').canonical], [true, false]);
  two.remove('ServiceEntry shop/b');
  assert.equal(hostOf(two).name, 'a');
});

test('promise 1: the address of a workload or a Service is never that of a host outside', () => {
  const mesh = meshOf(entry('resolution: NONE, addresses: [10.0.0.5, 9.9.9.9]'), pod('p', '10.0.0.5'));
  assert.deepEqual(hostOf(mesh).addresses, ['9.9.9.9']);
  assert.match(mesh.problems('ServiceEntry shop/db').join(), /WEFT_ADDRESS_CONFLICT address 10.0.0.5 is that of Pod shop\/p/);
  mesh.remove('Pod shop/p');
  assert.deepEqual(hostOf(mesh).addresses, ['10.0.0.5', '9.9.9.9']);
});

test('a host that asks for a waypoint is refused until that is there, and then served by it', () => {
  const mesh = meshOf(entry('resolution: DNS', { labels: 'istio.io/use-waypoint: way' }));
  assert.deepEqual(mesh.conditions('ServiceEntry shop/db'), ['istio.io/WaypointBound False WaypointIsNotReady']);
  assert.ok(hostOf(mesh).waypoint !== null);
});

test('a block of addresses is one beside the single ones, and with it no address is given', () => {
  const text = entry('resolution: STATIC, addresses: [9.9.8.7/24, 9.9.9.9, "fd09::/48"], endpoints: [{ address: 10.9.0.1 }]');
  const { findings } = readResourceFile('test.yaml', text, parser);
  assert.deepEqual(
    findings.map(({ severity, code, message }) => `${severity} ${code} ${message}`),
    ['warning WEFT_LIKELY_MISTAKE 9.9.8.7/24 is the block 9.9.8.0/24'],
  );
  const blocks = [
    { base: '9.9.8.0', length: 24 },
    { base: 'fd09::', length: 48 },
  ];
  assert.deepEqual([hostOf(meshOf(text)).addresses, hostOf(meshOf(text)).blocks], [['9.9.9.9'], blocks]);
  assert.deepEqual(hostOf(meshOf(entry('resolution: NONE, addresses: [9.9.8.0/24]'))).addresses, []);
});

const mistakes: { spec: string; says: RegExp; from?: [string, string] }[] = [
  {
    spec: 'resolution: STATIC, endpoints: [{ address: real.example.com }]',
    says: /no address that an endpoint with resolution STATIC/,
  },
  { spec: 'resolution: NONE, endpoints: [{ address: 10.9.0.1 }]', says: /never used/ },
  { spec: 'resolution: DYNAMIC_DNS', says: /not supported/ },
  { spec: 'resolution: DNS', says: /no name that could be resolved/, from: ['db.example.com', '"*.example.com"'] },
  { spec: 'resolution: DNS', says: /is no host/, from: ['db.example.com', '"*"'] },
  { spec: 'resolution: DNS', says: /protocol UDP is not carried/, from: ['protocol: TCP', 'protocol: UDP'] },
  {
    spec: 'resolution: STATIC, endpoints: [{ address: 10.9.0.1 }], workloadSelector: { labels: { a: b } }',
    says: /either written or selected/,
  },
];
for (const { spec, says, from: [before, after] = ['', ''] } of mistakes) {
  test(`config-api 4.5: refused: ${says.source}`, () => assert.throws(() => meshOf(entry(spec).replace(before, after)), says));
}
