import assert from 'node:assert/strict';
import test from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { parseIp } from '#model/address/ip.ts';
import { decideL4, L4Policies } from '#model/policy/l4.ts';
import { readCrds } from '#platform/files/crds.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

const STATIC = 'istio-system/istio_converted_static_strict';

function peers(spec: string, { name = 'p', namespace = 'shop', created = '' } = {}): string {
  return `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: ${name}, namespace: ${namespace} ${created} }\nspec: { ${spec} }\n`;
}

const mode = (name: string) => `mtls: { mode: ${name} }`;
const APP = 'selector: { matchLabels: { app: a } }';
const ports = (list: string) => `portLevelMtls: { ${list.replaceAll(/(\d+)=(\w+)/g, '$1: { mode: $2 }')} }`;
const root = (spec: string) => peers(spec, { namespace: 'istio-system' });
const space = (spec: string) => peers(spec, { name: 'space' });

/** Ports of 8080 and 9090 at which a peer without identity is let in. */
function openPorts(mesh: YamlMesh): string {
  const policies = mesh.index.snapshot().policies;
  const keys = mesh.workload('w')?.authorizationPolicies ?? [];
  const found = keys.flatMap((key) => policies.get(key) ?? []);
  assert.equal(found.length, keys.length, 'the workload names a policy that does not exist');
  const connection = { source: null, sourceIp: parseIp('10.0.0.9'), destinationIp: parseIp('10.1.0.1') };
  const open = [8080, 9090].filter(
    (destinationPort) => decideL4(new L4Policies(found, []), { ...connection, destinationPort }).allowed,
  );
  return open.join(' ') || 'none';
}

const cases: { name: string; yaml: string[]; open: string; policies?: string[] }[] = [
  { name: 'nothing said: PERMISSIVE', yaml: [], open: '8080 9090', policies: [] },
  { name: 'STRICT for the mesh', yaml: [root(mode('STRICT'))], open: 'none', policies: [STATIC] },
  { name: 'STRICT for the namespace', yaml: [space(mode('STRICT'))], open: 'none', policies: [STATIC] },
  { name: 'the namespace before the mesh', yaml: [root(mode('STRICT')), space(mode('PERMISSIVE'))], open: '8080 9090' },
  { name: 'UNSET inherits', yaml: [root(mode('STRICT')), space(mode('UNSET'))], open: 'none' },
  {
    name: 'the workload before the namespace',
    yaml: [space(mode('PERMISSIVE')), peers(`${APP}, ${mode('STRICT')}`)],
    open: 'none',
    policies: [STATIC],
  },
  { name: 'DISABLE is PERMISSIVE', yaml: [space(mode('STRICT')), peers(`${APP}, ${mode('DISABLE')}`)], open: '8080 9090' },
  {
    name: 'a selector for others changes nothing',
    yaml: [peers(`selector: { matchLabels: { app: b } }, ${mode('STRICT')}`)],
    open: '8080 9090',
  },
  {
    name: 'C44: STRICT with a PERMISSIVE port: the static policy is not attached',
    yaml: [peers(`${APP}, ${mode('STRICT')}, ${ports('9090=PERMISSIVE')}`)],
    open: '9090',
    policies: ['shop/converted_peer_authentication_p'],
  },
  {
    name: 'C44: several exempt ports',
    yaml: [peers(`${APP}, ${mode('STRICT')}, ${ports('9090=PERMISSIVE, 8080=DISABLE')}`)],
    open: '8080 9090',
  },
  {
    name: 'PERMISSIVE with a STRICT port',
    yaml: [peers(`${APP}, ${mode('PERMISSIVE')}, ${ports('9090=STRICT')}`)],
    open: '8080',
  },
  {
    name: 'inherited STRICT with a DISABLE port (intended semantics)',
    yaml: [space(mode('STRICT')), peers(`${APP}, ${ports('9090=DISABLE')}`)],
    open: '9090',
  },
  {
    name: 'a STRICT port of a PERMISSIVE workload under a STRICT mesh (intended semantics)',
    yaml: [root(mode('STRICT')), peers(`${APP}, ${mode('PERMISSIVE')}, ${ports('9090=STRICT')}`)],
    open: '8080',
  },
  {
    name: 'ports that agree with the mode need no policy of their own',
    yaml: [peers(`${APP}, ${mode('STRICT')}, ${ports('9090=STRICT')}`)],
    open: 'none',
    policies: [STATIC],
  },
  {
    name: 'a port that is UNSET follows the mode',
    yaml: [space(mode('STRICT')), peers(`${APP}, ${ports('9090=UNSET')}`)],
    open: 'none',
  },
  { name: 'a selector in the root namespace has no effect', yaml: [root(`${APP}, ${mode('STRICT')}`)], open: '8080 9090' },
  { name: 'an empty selector is none', yaml: [space(`selector: {}, ${mode('STRICT')}`)], open: 'none' },
];
for (const { name, yaml, open, policies } of cases) {
  test(name, () => {
    const mesh = new YamlMesh(parser);
    mesh.register('alpha', { name: 'w', labels: { app: 'a' } });
    mesh.apply(yaml.join('---\n'));
    assert.equal(openPorts(mesh), open);
    if (policies !== undefined) assert.deepEqual(mesh.workload('w')?.authorizationPolicies, policies);
  });
}

test('an authenticated peer is let in by STRICT', () => {
  const mesh = new YamlMesh(parser, space(mode('STRICT')));
  const policies = [...mesh.index.snapshot().policies.values()];
  const source = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'a' };
  const connection = { source, sourceIp: parseIp('10.0.0.9'), destinationIp: parseIp('10.1.0.1'), destinationPort: 80 };
  assert.equal(decideL4(new L4Policies(policies, []), connection).allowed, true);
});

test('C45: the static policy is there as long as any PeerAuthentication is', () => {
  const mesh = new YamlMesh(parser, [space(mode('STRICT')), root(mode('PERMISSIVE'))].join('---\n'));
  assert.equal(mesh.remove('PeerAuthentication shop/space').mesh.policies.size, 0);
  assert.deepEqual([...mesh.remove('PeerAuthentication istio-system/p').mesh.policies], [[STATIC, null]]);
});

test('the oldest of a level counts; the other one is told', () => {
  const older = peers(mode('STRICT'), { name: 'z', created: ', creationTimestamp: "2026-01-01T00:00:00Z"' });
  const younger = peers(mode('PERMISSIVE'), { name: 'a', created: ', creationTimestamp: "2026-02-01T00:00:00Z"' });
  const mesh = new YamlMesh(parser, [younger, older].join('---\n'));
  mesh.register('alpha', { name: 'w' });
  assert.equal(openPorts(mesh), 'none');
  assert.match(mesh.problems('PeerAuthentication shop/a').join(), /shop\/z already speaks for the whole namespace/);
  mesh.remove('PeerAuthentication shop/z');
  assert.deepEqual([openPorts(mesh), mesh.problems('PeerAuthentication shop/a')], ['8080 9090', []]);
});

test('a changed mode of the namespace changes the policies of selectors that inherit it', () => {
  const mesh = new YamlMesh(parser, [space(mode('PERMISSIVE')), peers(`${APP}, ${ports('9090=STRICT')}`)].join('---\n'));
  mesh.register('alpha', { name: 'w', labels: { app: 'a' } });
  assert.equal(openPorts(mesh), '8080');
  mesh.apply(space(mode('STRICT')));
  assert.equal(openPorts(mesh), 'none');
});
