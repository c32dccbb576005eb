import assert from 'node:assert/strict';
import test from 'node:test';
import { byAge, compareText, type Metadata, readMetadata } from './metadata.ts';
import { identityOfName, nameOf, nameOfResource } from './resource.ts';

test('missing parts of metadata are filled in', () => {
  assert.deepEqual(readMetadata({ name: 'a' }, true), {
    name: 'a',
    namespace: 'default',
    labels: {},
    annotations: {},
    createdAtMs: null,
    deleting: false,
  });
  assert.deepEqual(readMetadata({ name: 'a', namespace: null, labels: null, annotations: null }, true).labels, {});
});

test('what has no namespace has none, whatever is written', () => {
  assert.equal(readMetadata({ name: 'a', namespace: 'shop' }, false).namespace, '');
  assert.equal(readMetadata({ name: 'a', namespace: 'shop' }, true).namespace, 'shop');
});

test('times are read; a time that is none counts as unknown', () => {
  assert.equal(readMetadata({ name: 'a', creationTimestamp: '1970-01-01T00:00:01Z' }, true).createdAtMs, 1000);
  assert.equal(readMetadata({ name: 'a', creationTimestamp: 'soon' }, true).createdAtMs, null);
  assert.equal(readMetadata({ name: 'a', deletionTimestamp: '2026-01-01T00:00:00Z' }, true).deleting, true);
  assert.equal(readMetadata({ name: 'a', deletionTimestamp: null }, true).deleting, false);
});

const thing = (namespace: string, name: string, createdAtMs: number | null): { metadata: Metadata } => ({
  metadata: { ...readMetadata({ name, namespace }, true), createdAtMs },
});
const orders: { name: string; list: { metadata: Metadata }[]; want: string }[] = [
  { name: 'the older first', list: [thing('a', 'x', 2), thing('b', 'y', 1)], want: 'b/y a/x' },
  { name: 'of one age by namespace', list: [thing('b', 'a', 1), thing('a', 'b', 1)], want: 'a/b b/a' },
  { name: 'of one age and namespace by name', list: [thing('a', 'y', 1), thing('a', 'x', 1)], want: 'a/x a/y' },
  { name: 'an unknown age is the oldest', list: [thing('a', 'x', 1), thing('b', 'y', null)], want: 'b/y a/x' },
  { name: 'capitals before small letters', list: [thing('a', 'b', 1), thing('a', 'B', 1)], want: 'a/B a/b' },
];
for (const { name, list, want } of orders) {
  test(`order of age: ${name}`, () => {
    const sorted = list.toSorted(byAge).map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
    assert.equal(sorted.join(' '), want);
    assert.equal(
      list
        .toReversed()
        .sort(byAge)
        .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
        .join(' '),
      want,
    );
  });
}

test('texts are compared by code unit', () => {
  assert.deepEqual(['ä', 'z', 'Z', 'a', ''].sort(compareText), ['', 'Z', 'a', 'z', 'ä']);
  assert.equal(compareText('a', 'a'), 0);
});

const names: { identity: { kind: string; namespace: string; name: string }; text: string }[] = [
  { identity: { kind: 'Service', namespace: 'shop', name: 'cart' }, text: 'Service shop/cart' },
  { identity: { kind: 'Namespace', namespace: '', name: 'shop' }, text: 'Namespace shop' },
  { identity: { kind: 'Workload', namespace: 'a.b', name: 'c.d' }, text: 'Workload a.b/c.d' },
];
for (const { identity, text } of names) {
  test(`${text} is a name, and back`, () => {
    const name = nameOf(identity);
    assert.equal(name, text);
    assert.deepEqual(identityOfName(name), identity);
    const { kind, ...rest } = identity;
    assert.equal(nameOfResource({ kind, metadata: { ...readMetadata({ name: 'x' }, true), ...rest } }), text);
  });
}
