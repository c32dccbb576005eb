import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { labelsMatch } from '#control-plane/resources/label-selector.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';
import { LabelIndex, SelectorIndex } from './label-index.ts';

const labels: fc.Arbitrary<Labels> = fc.dictionary(fc.constantFrom('app', 'v', 'tier'), fc.constantFrom('1', '2'), {
  noNullPrototype: true,
});
const entry = fc.record({
  key: fc.constantFrom('a', 'b', 'c', 'd'),
  namespace: fc.constantFrom('n', 'm'),
  labels,
  deleted: fc.boolean(),
});
const entries = fc.array(entry, { maxLength: 20 });

test('a label index finds exactly what a selector picks', () => {
  fc.assert(
    fc.property(entries, labels, (changes, selector) => {
      const index = new LabelIndex();
      const members = new Map<string, { namespace: string; labels: Labels }>();
      for (const { key, namespace, labels: own, deleted } of changes) {
        if (deleted) index.delete(key);
        else index.set(key, namespace, own);
        if (deleted) members.delete(key);
        else members.set(key, { namespace, labels: own });
      }
      const empty = Object.keys(selector).length === 0;
      const picked = (namespace: string | null) =>
        [...members]
          .filter(([, one]) => !empty && (namespace ?? one.namespace) === one.namespace && labelsMatch(selector, one.labels))
          .map(([key]) => key);
      assert.deepEqual(index.matching('n', selector).sort(), picked('n').sort());
      assert.deepEqual(index.matchingAnywhere(selector).sort(), picked(null).sort());
      assert.deepEqual(
        [...index.inNamespace('m')].sort(),
        [...members]
          .filter(([, one]) => one.namespace === 'm')
          .map(([key]) => key)
          .sort(),
      );
    }),
  );
});

test('a selector index finds exactly the selectors that pick a set of labels', () => {
  fc.assert(
    fc.property(entries, labels, (changes, own) => {
      const index = new SelectorIndex();
      const selectors = new Map<string, { namespace: string; selector: Labels }>();
      for (const { key, namespace, labels: selector, deleted } of changes) {
        index.set(key, namespace, deleted ? null : selector);
        if (deleted || Object.keys(selector).length === 0) selectors.delete(key);
        else selectors.set(key, { namespace, selector });
      }
      const picking = [...selectors]
        .filter(([, one]) => one.namespace === 'n' && labelsMatch(one.selector, own))
        .map(([key]) => key);
      assert.deepEqual(index.picking('n', own).sort(), picking.sort());
    }),
  );
});
