import assert from 'node:assert/strict';
import test from 'node:test';
import {
  checkSelector,
  type LabelSelector,
  labelsMatch,
  readLabelSelector,
  readWorkloadSelector,
  selectorMatches,
} from './label-selector.ts';

const labels = { app: 'cart', tier: 'web' };

const wanted: { name: string; wanted: Record<string, string>; want: boolean }[] = [
  { name: 'nothing wanted', wanted: {}, want: true },
  { name: 'one of the labels', wanted: { app: 'cart' }, want: true },
  { name: 'all of the labels', wanted: { app: 'cart', tier: 'web' }, want: true },
  { name: 'another value', wanted: { app: 'shop' }, want: false },
  { name: 'a label that is not there', wanted: { app: 'cart', v: '1' }, want: false },
  { name: 'the empty value of a label that is not there', wanted: { v: '' }, want: false },
];
for (const { name, wanted: list, want } of wanted)
  test(`labels match: ${name}`, () => assert.equal(labelsMatch(list, labels), want));

const expressions: { key: string; operator: string; values?: string[]; want: boolean }[] = [
  { key: 'app', operator: 'In', values: ['cart', 'shop'], want: true },
  { key: 'app', operator: 'In', values: ['shop'], want: false },
  { key: 'v', operator: 'In', values: ['cart'], want: false },
  { key: 'app', operator: 'NotIn', values: ['shop'], want: true },
  { key: 'app', operator: 'NotIn', values: ['cart'], want: false },
  { key: 'v', operator: 'NotIn', values: ['cart'], want: true },
  { key: 'app', operator: 'Exists', want: true },
  { key: 'v', operator: 'Exists', want: false },
  { key: 'app', operator: 'DoesNotExist', want: false },
  { key: 'v', operator: 'DoesNotExist', want: true },
  { key: 'app', operator: 'Like', values: ['cart'], want: false },
];
for (const { key, operator, values = [], want } of expressions) {
  test(`${key} ${operator} ${values.join('|')} is ${want}`, () => {
    assert.equal(selectorMatches({ matchLabels: {}, matchExpressions: [{ key, operator, values }] }, labels), want);
  });
}

test('labels and expressions must all hold', () => {
  const selector = (app: string, tier: string): LabelSelector => ({
    matchLabels: { app },
    matchExpressions: [{ key: 'tier', operator: 'In', values: [tier] }],
  });
  assert.equal(selectorMatches(selector('cart', 'web'), labels), true);
  assert.equal(selectorMatches(selector('cart', 'db'), labels), false);
  assert.equal(selectorMatches(selector('shop', 'web'), labels), false);
});

test('what is missing in a selector as written is filled in', () => {
  assert.deepEqual(readLabelSelector({}), { matchLabels: {}, matchExpressions: [] });
  assert.deepEqual(readLabelSelector({ matchExpressions: [{ key: 'a', operator: 'Exists' }] }), {
    matchLabels: {},
    matchExpressions: [{ key: 'a', operator: 'Exists', values: [] }],
  });
});

test('a policy whose selector says nothing is for the whole scope', () => {
  assert.equal(readWorkloadSelector(undefined), null);
  assert.equal(readWorkloadSelector({}), null);
  assert.equal(readWorkloadSelector({ matchLabels: {} }), null);
  assert.deepEqual(readWorkloadSelector({ matchLabels: { a: 'b' } }), { a: 'b' });
});

const selectors: { name: string; matchLabels: Record<string, string>; wrong: string[] }[] = [
  { name: 'a whole label', matchLabels: { app: 'cart' }, wrong: [] },
  { name: 'an empty value', matchLabels: { app: '' }, wrong: [] },
  { name: 'a star in the value', matchLabels: { app: 'c*' }, wrong: ['app'] },
  { name: 'a star in the key', matchLabels: { 'a*': 'cart' }, wrong: ['a*'] },
  { name: 'an empty key', matchLabels: { '': 'cart', app: 'cart' }, wrong: [''] },
];
for (const { name, matchLabels, wrong } of selectors) {
  test(`a policy's selector: ${name}`, () => {
    assert.deepEqual(
      checkSelector({ matchLabels }).map(({ path }) => path.at(-1)),
      wrong,
    );
  });
}
