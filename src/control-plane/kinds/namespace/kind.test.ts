import assert from 'node:assert/strict';
import test from 'node:test';
import { findingsOf, parser, readSpec } from '#control-plane/kinds/documents.testing.ts';
import type { NamespaceResource } from '#control-plane/mesh/namespaces.ts';
import { namespaceKind } from './kind.ts';

test('labels and annotations are read, and it lies in no namespace', () => {
  const head = 'namespace: ignored, labels: { istio.io/use-waypoint: way }, annotations: { a: b }';
  const { kind, metadata } = readSpec<NamespaceResource>('Namespace', '{}', head, 'shop');
  assert.equal(kind, 'Namespace');
  assert.deepEqual(
    [metadata.name, metadata.namespace, metadata.labels, metadata.annotations],
    ['shop', '', { 'istio.io/use-waypoint': 'way' }, { a: 'b' }],
  );
});

test('its name has no namespace in front', () => {
  const reading = parser.read({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
  assert.ok(reading.kind === 'resource');
  assert.equal(reading.name, 'Namespace shop');
});

const heads: { name: string; head: string; want: string[] }[] = [
  { name: 'nothing but a name', head: '', want: [] },
  { name: 'labels left empty', head: 'labels: null', want: [] },
  { name: 'a label value with a space', head: 'labels: { a: "b c" }', want: ['error WEFT_FIELD_INVALID metadata.labels.a'] },
  { name: 'a label that is a number', head: 'labels: { a: 1 }', want: ['error WEFT_FIELD_INVALID metadata.labels.a'] },
  {
    name: 'a time that is none',
    head: 'creationTimestamp: yesterday',
    want: ['error WEFT_FIELD_INVALID metadata.creationTimestamp'],
  },
  { name: 'a field of metadata misspelt', head: 'lables: { a: b }', want: ['warning WEFT_FIELD_UNKNOWN metadata.lables'] },
];
for (const { name, head, want } of heads) {
  test(`metadata: ${name}`, () => assert.deepEqual(findingsOf('Namespace', '{}', head), want));
}

test('what Kubernetes writes into spec and status is of no interest', () => {
  assert.deepEqual(findingsOf('Namespace', '{ finalizers: [kubernetes] }\nstatus: { phase: Active }'), []);
});

test('nothing is derived from it alone', () => {
  assert.deepEqual(namespaceKind.derivations, []);
  assert.equal(namespaceKind.namespaced, false);
});
