import assert from 'node:assert/strict';
import test from 'node:test';
import { formatFieldPath } from '#control-plane/resources/finding.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';
import { CRD_FILES, KINDS } from '../list.ts';
import { YamlMesh } from '../yaml-mesh.testing.ts';
import type { WorkloadEntryResource } from './kind.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

function readingOf(spec: object, metadata: object = {}) {
  return parser.read({
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: { name: 'vm', namespace: 'shop', ...metadata },
    spec,
  });
}

/** The entry as it is read. Errors: AssertionError when it is rejected. */
function read(spec: object, metadata: object = {}): WorkloadEntryResource {
  const reading = readingOf(spec, metadata);
  assert.ok(reading.kind === 'resource', JSON.stringify(reading));
  return reading.resource as WorkloadEntryResource;
}

test('what is not written has its default', () => {
  const { metadata: _, ...entry } = read({ address: '10.0.0.9' });
  assert.deepEqual(entry, {
    kind: 'WorkloadEntry',
    address: '10.0.0.9',
    hostname: '',
    ports: {},
    labels: {},
    network: '',
    locality: { region: '', zone: '', subzone: '' },
    weight: 1,
    serviceAccount: 'default',
  });
});

test('everything that is written', () => {
  const { metadata: _, ...entry } = read(
    {
      address: 'VM.example.com',
      ports: { http: 8080 },
      labels: { app: 'web', tier: 'spec' },
      network: 'east',
      locality: 'eu/eu-1/a',
      weight: 3,
      serviceAccount: 'web',
    },
    { labels: { tier: 'metadata', team: 'x' } },
  );
  assert.deepEqual(entry, {
    kind: 'WorkloadEntry',
    address: null,
    hostname: 'VM.example.com',
    ports: { http: 8080 },
    labels: { app: 'web', tier: 'spec', team: 'x' },
    network: 'east',
    locality: { region: 'eu', zone: 'eu-1', subzone: 'a' },
    weight: 3,
    serviceAccount: 'web',
  });
});

const localities: { text: string; want: WorkloadEntryResource['locality'] }[] = [
  { text: 'eu', want: { region: 'eu', zone: '', subzone: '' } },
  { text: 'eu/eu-1', want: { region: 'eu', zone: 'eu-1', subzone: '' } },
  { text: 'eu//a', want: { region: 'eu', zone: '', subzone: 'a' } },
];
for (const { text, want } of localities) {
  test(`a locality has up to three parts: ${text}`, () =>
    assert.deepEqual(read({ address: '10.0.0.9', locality: text }).locality, want));
}

test('a weight of nothing counts as one: an entry that is not to be used is removed', () => {
  assert.equal(read({ address: '10.0.0.9', weight: 0 }).weight, 1);
});

test('an IPv6 address has one spelling', () => assert.equal(read({ address: 'FD00:0::9' }).address, 'fd00::9'));

test('an entry of another network needs no address: the gateway there knows it', () => {
  const { address, hostname, network } = read({ network: 'east' });
  assert.deepEqual([address, hostname, network], [null, '', 'east']);
});

for (const version of ['v1', 'v1beta1', 'v1alpha3']) {
  test(`version ${version} is the same entry`, () => {
    const object = { kind: 'WorkloadEntry', metadata: { name: 'vm', namespace: 'shop' }, spec: { address: '10.0.0.9' } };
    const reading = parser.read({ apiVersion: `networking.istio.io/${version}`, ...object });
    assert.equal(reading.kind === 'resource' && reading.name, 'WorkloadEntry shop/vm');
  });
}

const mistakes: { name: string; spec: object; at: string; says: RegExp; remedy: RegExp }[] = [
  {
    name: 'no address and no network',
    spec: {},
    at: 'spec.address',
    says: /gateway of another network/,
    remedy: /add spec.address/,
  },
  {
    name: 'a unix socket',
    spec: { address: 'unix:///run/x.sock' },
    at: 'spec.address',
    says: /is a unix socket/,
    remedy: /listen on an IP address/,
  },
  {
    name: 'an address with a port',
    spec: { address: '10.0.0.9:8080' },
    at: 'spec.address',
    says: /neither an IP address nor a hostname/,
    remedy: /without a port/,
  },
  {
    name: 'a mistyped address, which would pass for a hostname',
    spec: { address: '10.0.0.900' },
    at: 'spec.address',
    says: /"10.0.0.900" is neither/,
    remedy: /write an IPv4 or IPv6 address/,
  },
  {
    name: 'a port of zero',
    spec: { address: '10.0.0.9', ports: { http: 0 } },
    at: 'spec.ports.http',
    says: /0 is not a port/,
    remedy: /1 to 65535/,
  },
  {
    name: 'a port beyond the last',
    spec: { address: '10.0.0.9', ports: { http: 65_536 } },
    at: 'spec.ports.http',
    says: /not a port/,
    remedy: /1 to 65535/,
  },
  {
    name: 'a service account written as an identity',
    spec: { address: '10.0.0.9', serviceAccount: 'shop/web' },
    at: 'spec.serviceAccount',
    says: /not the name of a service account/,
    remedy: /bare name/,
  },
  {
    name: 'a field misspelt',
    spec: { address: '10.0.0.9', port: { http: 80 } },
    at: 'spec.port',
    says: /did you mean "ports"/,
    remedy: /write ports/,
  },
];
for (const { name, spec, at, says, remedy } of mistakes) {
  test(`an entry with a mistake is rejected: ${name}`, () => {
    const reading = readingOf(spec);
    assert.equal(reading.kind, 'rejected');
    const problem = reading.problems.find(({ path }) => formatFieldPath(path) === at);
    assert.match(problem?.message ?? '', says);
    assert.match(problem?.remedy ?? '', remedy);
  });
}

function entry(spec: string, metadata = ''): string {
  return `apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: { name: vm, namespace: shop, ${metadata} }\nspec: { ${spec} }\n`;
}
const SERVICE = `---\napiVersion: v1\nkind: Service\nmetadata: { name: web, namespace: shop }\nspec: { selector: { app: web }, ports: [{ port: 80, targetPort: http }] }\n`;

test('an entry is a workload of its own identity, weight and place', () => {
  const workload = new YamlMesh(parser, entry('address: 10.0.0.9, serviceAccount: web, weight: 3, locality: eu/eu-1')).workload(
    'vm',
  );
  assert.deepEqual(
    [workload?.uid, workload?.serviceAccount, workload?.capacity, workload?.locality.zone, workload?.node, workload?.healthy],
    ['Kubernetes/networking.istio.io/WorkloadEntry/shop/vm', 'web', 3, 'eu-1', '', true],
  );
});

test('a service selects it by the labels of its spec, and its port names give the ports', () => {
  const mesh = new YamlMesh(parser, entry('address: 10.0.0.9, labels: { app: web }, ports: { http: 8080 }') + SERVICE);
  assert.deepEqual(mesh.workload('vm')?.services.get('shop/web.shop.svc.cluster.local'), [{ servicePort: 80, targetPort: 8080 }]);
});

const workloadNames: { name: string; yaml: string; want: string }[] = [
  { name: 'its own', yaml: entry('address: 10.0.0.9'), want: 'vm' },
  {
    name: 'that of its label',
    yaml: entry('address: 10.0.0.9, labels: { service.istio.io/workload-name: web }'),
    want: 'web',
  },
  {
    name: 'that of the group that registered it, first of all',
    yaml: entry(
      'address: 10.0.0.9, labels: { service.istio.io/workload-name: web }',
      'annotations: { istio.io/autoRegistrationGroup: group }',
    ),
    want: 'group',
  },
];
for (const { name, yaml, want } of workloadNames) {
  test(`the workload behind an entry is called by ${name}`, () =>
    assert.equal(new YamlMesh(parser, yaml).workload('vm')?.workloadName, want));
}

test('an entry that goes is told as gone', () => {
  const mesh = new YamlMesh(parser, entry('address: 10.0.0.9'));
  const { mesh: delta } = mesh.remove('WorkloadEntry shop/vm');
  assert.deepEqual([...delta.workloads], [['Kubernetes/networking.istio.io/WorkloadEntry/shop/vm', null]]);
});
