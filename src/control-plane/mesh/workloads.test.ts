import assert from 'node:assert/strict';
import test from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

/** A pod of namespace shop; `more` goes into metadata, `spec` and `status` into theirs. */
function pod({ metadata = '', spec = '', status = 'podIP: 10.0.0.1' } = {}): string {
  return `apiVersion: v1\nkind: Pod\nmetadata: { name: p, namespace: shop, ${metadata} }\nspec: { ${spec} }\nstatus: { ${status} }\n`;
}

function service(spec: string, name = 's'): string {
  return `apiVersion: v1\nkind: Service\nmetadata: { name: ${name}, namespace: shop }\nspec: { selector: { app: a }, ${spec} }\n`;
}

const REDIRECTED = 'annotations: { ambient.istio.io/redirection: enabled }';
const AMBIENT = 'apiVersion: v1\nkind: Namespace\nmetadata: { name: shop, labels: { istio.io/dataplane-mode: ambient } }\n';

const tunnels: { name: string; yaml: string; want: string }[] = [
  { name: 'C23: a redirected pod speaks HBONE through its node', yaml: pod({ metadata: REDIRECTED }), want: 'hbone, node' },
  {
    name: 'C23: pending redirection does not count',
    yaml: pod({ metadata: REDIRECTED.replace('enabled', 'pending') }),
    want: 'none, node',
  },
  {
    name: 'C23: a tunnel label means the workload speaks it itself',
    yaml: pod({ metadata: 'labels: { networking.istio.io/tunnel: http }' }),
    want: 'hbone, itself',
  },
  { name: 'C23: neither means no tunnel, whatever the namespace says', yaml: `${AMBIENT}---\n${pod()}`, want: 'none, node' },
  {
    name: 'C23: an entry may carry the annotation too',
    yaml: `apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: { name: p, ${REDIRECTED} }\nspec: { address: 10.0.0.1 }\n`,
    want: 'hbone, node',
  },
];
for (const { name, yaml, want } of tunnels) {
  test(name, () => {
    const workload = new YamlMesh(parser, yaml).workload('p');
    assert.equal(`${workload?.tunnelProtocol}, ${workload?.nativeTunnel ? 'itself' : 'node'}`, want);
  });
}

const MODE = 'istio.io/dataplane-mode';
const meant: { pod: string | null; namespace: string | null; metadata?: string; is: boolean }[] = [
  { pod: null, namespace: null, is: false },
  { pod: null, namespace: 'weft', is: true },
  { pod: null, namespace: 'ambient', is: true },
  { pod: null, namespace: 'sidecar', is: false },
  { pod: 'ambient', namespace: null, is: true },
  { pod: 'none', namespace: 'weft', is: false },
  { pod: 'Weft', namespace: 'weft', is: false },
  { pod: null, namespace: null, metadata: REDIRECTED, is: true },
];
for (const { pod: own, namespace, metadata = `labels: { ${own === null ? '' : `${MODE}: ${own}`} }`, is } of meant) {
  test(`K96: a pod that says ${own} ${metadata === REDIRECTED ? 'and is captured ' : ''}in a namespace that says ${namespace} is ${is ? 'in' : 'outside'}`, () => {
    const labels = namespace === null ? '' : `labels: { ${MODE}: ${namespace} }`;
    const around = `apiVersion: v1\nkind: Namespace\nmetadata: { name: shop, ${labels} }\n---\n`;
    assert.equal(new YamlMesh(parser, around + pod({ metadata })).workload('p')?.outsideMesh !== true, is);
  });
}

const lives: { name: string; yaml: string; want: string }[] = [
  {
    name: 'C24: pending with an address: known, not healthy',
    yaml: pod({ status: 'podIP: 10.0.0.1, phase: Pending' }),
    want: 'unhealthy',
  },
  { name: 'C24: succeeded: gone', yaml: pod({ status: 'podIP: 10.0.0.1, phase: Succeeded' }), want: 'gone' },
  { name: 'C24: failed: gone', yaml: pod({ status: 'podIP: 10.0.0.1, phase: Failed' }), want: 'gone' },
  {
    name: 'C24: terminating: not healthy',
    yaml: pod({
      metadata: 'deletionTimestamp: "2026-01-01T00:00:00Z"',
      status: 'podIP: 10.0.0.1, conditions: [{ type: Ready, status: "True" }]',
    }),
    want: 'unhealthy',
  },
  {
    name: 'C24: running and ready',
    yaml: pod({ status: 'podIP: 10.0.0.1, phase: Running, conditions: [{ type: Ready, status: "True" }]' }),
    want: 'healthy',
  },
  {
    name: 'C24: running, not ready',
    yaml: pod({ status: 'podIP: 10.0.0.1, phase: Running, conditions: [{ type: Ready, status: "False" }]' }),
    want: 'unhealthy',
  },
  { name: 'a pod written by hand has no conditions: healthy', yaml: pod(), want: 'healthy' },
  { name: 'a pod without an address: not known', yaml: pod({ status: '' }), want: 'gone' },
];
for (const { name, yaml, want } of lives) {
  test(name, () => {
    const workload = new YamlMesh(parser, yaml).workload('p');
    assert.equal(workload === null ? 'gone' : workload.healthy ? 'healthy' : 'unhealthy', want);
  });
}

test('C12, C24: a pod that finishes is told as gone, and nothing else is told', () => {
  const mesh = new YamlMesh(parser, `${pod({ metadata: 'labels: { app: a }' })}---\n${service('ports: [{ port: 80 }]')}`);
  const { mesh: delta, conditions, problems } = mesh.apply(pod({ status: 'podIP: 10.0.0.1, phase: Succeeded' }));
  assert.deepEqual([...delta.workloads], [['Kubernetes//Pod/shop/p', null]]);
  assert.deepEqual([delta.services.size, delta.policies.size, conditions.size, problems.size], [0, 0, 0, 0]);
});

test('C25: a pod of the host network is marked so', () => {
  assert.equal(new YamlMesh(parser, pod({ spec: 'hostNetwork: true' })).workload('p')?.hostNetwork, true);
});

test('C26: a named targetPort is each pod’s own; a pod without it lacks the port', () => {
  const named = (name: string, port: string) =>
    pod({ metadata: 'labels: { app: a }', spec: `containers: [{ ports: [{ name: ${port}, containerPort: 8080 }] }]` }).replace(
      'name: p',
      `name: ${name}`,
    );
  const ports = 'ports: [{ name: web, port: 80, targetPort: http }, { name: plain, port: 81, targetPort: 9000 }]';
  const mesh = new YamlMesh(parser, [named('has', 'http'), named('lacks', 'grpc'), service(ports)].join('---\n'));
  const key = 'shop/s.shop.svc.cluster.local';
  assert.deepEqual(mesh.workload('has')?.services.get(key), [
    { servicePort: 80, targetPort: 8080 },
    { servicePort: 81, targetPort: 9000 },
  ]);
  assert.deepEqual(mesh.workload('lacks')?.services.get(key), [{ servicePort: 81, targetPort: 9000 }]);
  assert.deepEqual(
    mesh.service('shop/s')?.ports.map(({ targetPort }) => targetPort),
    [0, 9000],
  );
});

test('C26: a service none of whose ports the pod has is still listed', () => {
  const mesh = new YamlMesh(
    parser,
    `${pod({ metadata: 'labels: { app: a }' })}---\n${service('ports: [{ port: 80, targetPort: http }]')}`,
  );
  assert.deepEqual(mesh.workload('p')?.services.get('shop/s.shop.svc.cluster.local'), []);
});

test('named ports of a sidecar count, those of UDP and of plain init containers do not', () => {
  const containers = 'containers: [{ ports: [{ name: dns, containerPort: 53, protocol: UDP }] }]';
  const init =
    'initContainers: [{ restartPolicy: Always, ports: [{ name: side, containerPort: 1 }] }, { ports: [{ name: once, containerPort: 2 }] }]';
  const ports =
    'ports: [{ name: a, port: 53, targetPort: dns }, { name: b, port: 81, targetPort: side }, { name: c, port: 82, targetPort: once }]';
  const mesh = new YamlMesh(
    parser,
    `${pod({ metadata: 'labels: { app: a }', spec: `${containers}, ${init}` })}---\n${service(ports)}`,
  );
  assert.deepEqual(mesh.workload('p')?.services.get('shop/s.shop.svc.cluster.local'), [{ servicePort: 81, targetPort: 1 }]);
});

test('C28: a dual-stack pod is one workload with two addresses', () => {
  const workload = new YamlMesh(
    parser,
    pod({ status: 'podIP: 10.0.0.1, podIPs: [{ ip: 10.0.0.1 }, { ip: "FD00:0::1" }]' }),
  ).workload('p');
  assert.deepEqual(workload?.addresses, ['10.0.0.1', 'fd00::1']);
});

const names: { name: string; metadata: string; want: string }[] = [
  { name: 'its own name', metadata: '', want: 'p latest p' },
  { name: 'the app label', metadata: 'labels: { app: a, version: v1 }', want: 'a v1 p' },
  {
    name: 'app.kubernetes.io before app',
    metadata: 'labels: { app: a, version: v1, app.kubernetes.io/name: b, app.kubernetes.io/version: v2 }',
    want: 'b v2 p',
  },
  {
    name: 'the canonical labels first',
    metadata: 'labels: { app: a, service.istio.io/canonical-name: c, service.istio.io/canonical-revision: v3 }',
    want: 'c v3 p',
  },
  {
    name: 'the Deployment behind the ReplicaSet',
    metadata: 'labels: { pod-template-hash: abc }, ownerReferences: [{ kind: ReplicaSet, name: web-abc, controller: true }]',
    want: 'web latest web',
  },
  {
    name: 'another owner',
    metadata: 'ownerReferences: [{ kind: StatefulSet, name: db, controller: true }]',
    want: 'db latest db',
  },
];
for (const { name, metadata, want } of names) {
  test(`canonical name and revision, workload name: ${name}`, () => {
    const workload = new YamlMesh(parser, pod({ metadata })).workload('p');
    assert.equal(`${workload?.canonicalName} ${workload?.canonicalRevision} ${workload?.workloadName}`, want);
  });
}

test('an entry: labels of metadata and spec, ports by name, locality, weight, identity', () => {
  const entry = `apiVersion: networking.istio.io/v1beta1
kind: WorkloadEntry
metadata: { name: vm, namespace: shop, labels: { app: a, tier: x } }
spec: { address: db.example.com, labels: { tier: y }, ports: { web: 8080 }, locality: r/z, weight: 3, serviceAccount: db }
`;
  const ports =
    'ports: [{ name: web, port: 80, targetPort: 1 }, { name: b, port: 81, targetPort: web }, { name: c, port: 82, targetPort: none }, { name: d, port: 83 }]';
  const workload = new YamlMesh(parser, `${entry}---\n${service(ports)}`).workload('vm');
  assert.equal(workload?.uid, 'Kubernetes/networking.istio.io/WorkloadEntry/shop/vm');
  assert.deepEqual(
    [workload?.addresses, workload?.hostname, workload?.capacity, workload?.serviceAccount],
    [[], 'db.example.com', 3, 'db'],
  );
  assert.deepEqual(workload?.locality, { region: 'r', zone: 'z', subzone: '' });
  assert.deepEqual(workload?.services.get('shop/s.shop.svc.cluster.local'), [
    { servicePort: 80, targetPort: 8080 },
    { servicePort: 81, targetPort: 8080 },
    { servicePort: 83, targetPort: 83 },
  ]);
});

test('a registered workload: reached by HBONE once enrolled, a named targetPort falls back to the service port', () => {
  const mesh = new YamlMesh(parser, service('ports: [{ port: 80, targetPort: http }]'));
  mesh.register('alpha', { name: 'w', labels: { app: 'a' }, enrolled: false });
  assert.deepEqual([mesh.workload('w')?.tunnelProtocol, mesh.workload('w')?.healthy], ['none', false]);
  mesh.register('alpha', { name: 'w', labels: { app: 'a' } });
  const workload = mesh.workload('w');
  assert.deepEqual(
    [workload?.uid, workload?.node, workload?.tunnelProtocol, workload?.healthy],
    ['Kubernetes/weft.dev/Workload/shop/w', 'alpha', 'hbone', true],
  );
  assert.deepEqual(workload?.services.get('shop/s.shop.svc.cluster.local'), [{ servicePort: 80, targetPort: 80 }]);
});

test('a node replaces everything it registered before', () => {
  const mesh = new YamlMesh(parser);
  mesh.register('alpha', { name: 'a' }, { name: 'b' });
  mesh.register('beta', { name: 'c' });
  const { mesh: delta } = mesh.register('alpha', { name: 'b' });
  assert.deepEqual([...delta.workloads], [['Kubernetes/weft.dev/Workload/shop/a', null]]);
  assert.equal(mesh.workload('c')?.node, 'beta');
});

test('of two nodes with a workload of one name the first by name counts, until it is gone', () => {
  const mesh = new YamlMesh(parser);
  mesh.register('beta', { name: 'w' });
  mesh.register('alpha', { name: 'w' });
  assert.equal(mesh.workload('w')?.node, 'alpha');
  assert.match(mesh.problems('Workload shop/w').join(), /WEFT_WORKLOAD_DUPLICATE nodes alpha and beta/);
  mesh.register('alpha');
  assert.deepEqual([mesh.workload('w')?.node, mesh.problems('Workload shop/w')], ['beta', []]);
});

test('of two nodes the first one counts also while its workload has no address yet', () => {
  const mesh = new YamlMesh(parser);
  mesh.register('beta', { name: 'w' });
  mesh.register('alpha', { name: 'w', addresses: [] });
  assert.deepEqual([mesh.workload('w'), mesh.problems('Workload shop/w')], [null, []]);
  mesh.register('alpha', { name: 'w' });
  assert.equal(mesh.workload('w')?.node, 'alpha');
  assert.match(mesh.problems('Workload shop/w').join(), /only that of alpha is known/);
});

test('C17: capacity is at least 1, and the trust domain is the mesh’s', () => {
  const entry =
    'apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: { name: p }\nspec: { address: 10.0.0.1, weight: 0 }\n';
  const workload = new YamlMesh(parser, entry, { trustDomain: 'example.org' }).workload('p');
  assert.deepEqual([workload?.capacity, workload?.trustDomain], [1, 'example.org']);
});

function entryAt(name: string, address: string): string {
  return `apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: { name: ${name}, namespace: bank }\nspec: { address: ${address} }\n`;
}

const claims: { name: string; yaml: string[]; want: Record<string, string> }[] = [
  {
    name: 'an entry does not take the address of a pod',
    yaml: [entryAt('a', '10.0.0.1'), pod()],
    want: { a: '', p: '10.0.0.1' },
  },
  {
    name: 'of two entries the first by name has it',
    yaml: [entryAt('b', '10.0.0.9'), entryAt('a', '10.0.0.9')],
    want: { a: '10.0.0.9', b: '' },
  },
  {
    name: 'an entry does not take the address of a service',
    yaml: [entryAt('a', '10.96.0.5'), service('clusterIP: 10.96.0.5, ports: [{ port: 80 }]')],
    want: { a: '' },
  },
  { name: 'nobody has a loopback address', yaml: [entryAt('a', '127.0.0.1'), entryAt('b', 'fe80::1')], want: { a: '', b: '' } },
  {
    name: 'a pod on the network of its host shares its address',
    yaml: [pod({ spec: 'hostNetwork: true' }), entryAt('a', '10.0.0.1')],
    want: { a: '10.0.0.1', p: '10.0.0.1' },
  },
];
for (const { name, yaml, want } of claims) {
  test(`addresses: ${name}`, () => {
    const mesh = new YamlMesh(parser, yaml.join('---\n'));
    const got = Object.keys(want).map((workload) => [workload, mesh.workload(workload)?.addresses.join()]);
    assert.deepEqual(Object.fromEntries(got), want);
  });
}
