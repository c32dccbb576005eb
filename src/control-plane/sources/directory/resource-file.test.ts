import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { documentOf } from '#control-plane/kinds/documents.testing.ts';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import type { RequestRouteResource } from '#control-plane/mesh/request-routes/documents.ts';
import { type Finding, formatOrigin } from '#control-plane/resources/finding.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';
import { readResourceFile } from './resource-file.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

function findingsIn(text: string): readonly Finding[] {
  return readResourceFile('a.yaml', text, parser).findings;
}

const PARENT = 'parentRefs: [{ group: "", kind: Service, name: reviews }]';

const heads: { name: string; text: string; want: string }[] = [
  { name: 'no kind', text: 'apiVersion: v1\n', want: 'error WEFT_RESOURCE_SHAPE a.yaml:1:1' },
  { name: 'a list instead of a resource', text: '- a\n', want: 'error WEFT_RESOURCE_SHAPE a.yaml:1:1' },
  {
    name: 'no name',
    text: 'apiVersion: v1\nkind: Service\nmetadata: { labels: {} }\nspec: {}\n',
    want: 'error WEFT_FIELD_INVALID a.yaml:3:11',
  },
  { name: 'a name that is no name', text: documentOf('Service', '{}', 'A/B'), want: 'error WEFT_FIELD_INVALID a.yaml:3:19' },
  {
    name: 'an unknown kind is a warning',
    text: 'apiVersion: apps/v1\nkind: Deployment\n',
    want: 'warning WEFT_KIND_UNKNOWN a.yaml:2:7',
  },
  { name: 'a kind misspelt', text: 'apiVersion: v1\nkind: Servce\n', want: 'warning WEFT_KIND_UNKNOWN a.yaml:2:7' },
  {
    name: 'a kind of another group',
    text: 'apiVersion: networking.istio.io/v1\nkind: Gateway\n',
    want: 'warning WEFT_KIND_UNKNOWN a.yaml:2:7',
  },
  {
    name: 'an unknown version',
    text: 'apiVersion: security.istio.io/v2\nkind: AuthorizationPolicy\nmetadata: { name: x }\n',
    want: 'error WEFT_VERSION_UNKNOWN a.yaml:1:13',
  },
  { name: 'broken YAML', text: 'a: [\n', want: 'error WEFT_YAML_SYNTAX a.yaml:2:1' },
];
for (const { name, text, want } of heads) {
  test(`head: ${name}`, () => {
    const [first] = findingsIn(text);
    assert.equal(first && `${first.severity} ${first.code} ${formatOrigin(first.origin)}`, want);
  });
}

test('a broken document is rejected alone', () => {
  const good = documentOf('Service', '{ selector: { app: a }, ports: [{ port: 80 }] }', 'good');
  const bad = documentOf('Service', '{ selector: { app: a }, ports: [{ port: x }] }', 'bad');
  const { entries } = readResourceFile('a.yaml', [good, 'a: "\n', bad, good.replace('good', 'last')].join('---\n'), parser);
  assert.deepEqual(
    entries.map(({ name, resource, origin }) => [name, resource !== null, formatOrigin(origin)]),
    [
      ['Service default/good', true, 'a.yaml:1:1'],
      [null, false, 'a.yaml:6:1'],
      ['Service default/bad', false, 'a.yaml:8:1'],
      ['Service default/last', true, 'a.yaml:13:1'],
    ],
  );
});

test('findings of an item of a List have the path inside the item and its place in the file', () => {
  const list =
    'apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: { name: a }\n  spec: { ports: x }\n';
  const [finding] = findingsIn(list);
  assert.equal(finding && `${finding.fieldPath} ${formatOrigin(finding.origin)}`, 'spec.ports a.yaml:7:18');
});

test('the namespace is default when none is written; a Namespace has none', () => {
  const text = [documentOf('Namespace', '{}', 'shop'), documentOf('PeerAuthentication', '{}', 'p')].join('---\n');
  const { entries } = readResourceFile('a.yaml', text, parser);
  assert.deepEqual(
    entries.map(({ name }) => name),
    ['Namespace shop', 'PeerAuthentication default/p'],
  );
});

test('an unknown field in the status, which the author did not write, is of no interest', () => {
  const spec = '{ gatewayClassName: a, listeners: [{ name: m, port: 1, protocol: HBONE }] }';
  assert.deepEqual(findingsIn(`${documentOf('Gateway', spec)}status: { later: 1 }\n`), []);
});

test('defaults of the schema are filled in', () => {
  const { entries } = readResourceFile('a.yaml', documentOf('HTTPRoute', `{ ${PARENT} }`), parser);
  const [route] = entries.map(({ resource }) => resource);
  assert.ok(route?.kind === 'HTTPRoute');
  assert.deepEqual((route as RequestRouteResource).rules[0]?.matches, [
    { path: { type: 'prefix', value: '/' }, method: null, headers: [], queryParams: [] },
  ]);
});

test('no document makes it throw', () => {
  const value = fc.jsonValue();
  const documents = fc.record({
    apiVersion: fc.constantFrom('v1', 'security.istio.io/v1', 'gateway.networking.k8s.io/v1', 'networking.istio.io/v1'),
    kind: fc.constantFrom(
      'Service',
      'Pod',
      'Namespace',
      'AuthorizationPolicy',
      'PeerAuthentication',
      'Gateway',
      'HTTPRoute',
      'WorkloadEntry',
    ),
    metadata: fc.oneof(fc.constant({ name: 'x' }), value),
    spec: fc.oneof(value, fc.record({ rules: fc.array(value), selector: value, ports: fc.array(value), targetRefs: value })),
  });
  fc.assert(fc.property(documents, (document) => void parser.read(JSON.parse(JSON.stringify(document)))));
});
