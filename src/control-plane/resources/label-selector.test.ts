import assert from 'node:assert/strict';
import test from 'node:test';
import {
  checkSelector,
  labelsMatch,
  type RawLabelSelector,
  readLabelSelector,
  readWorkloadSelector,
  selectorMatches,
} from './label-selector.ts';

const LABELS = { app: 'web', tier: 'front' };

const selectors: { name: string; selector: RawLabelSelector; want: boolean }[] = [
  { name: 'an empty one, everything', selector: {}, want: true },
  { name: 'a label that is there', selector: { matchLabels: { app: 'web' } }, want: true },
  { name: 'not one with another value', selector: { matchLabels: { app: 'db' } }, want: false },
  { name: 'not one that is missing', selector: { matchLabels: { zone: 'a' } }, want: false },
  { name: 'not when only one of two labels is there', selector: { matchLabels: { app: 'web', zone: 'a' } }, want: false },
  { name: 'In, a value of the list', selector: expression('app', 'In', 'db', 'web'), want: true },
  { name: 'In, not a value beside it', selector: expression('app', 'In', 'db'), want: false },
  { name: 'In, not a label that is missing', selector: expression('zone', 'In', 'a'), want: false },
  { name: 'NotIn, a value beside the list', selector: expression('app', 'NotIn', 'db'), want: true },
  { name: 'NotIn, not a value of it', selector: expression('app', 'NotIn', 'web'), want: false },
  { name: 'NotIn, a label that is missing', selector: expression('zone', 'NotIn', 'a'), want: true },
  { name: 'Exists, whatever the value', selector: expression('app', 'Exists'), want: true },
  { name: 'Exists, not a label that is missing', selector: expression('zone', 'Exists'), want: false },
  { name: 'DoesNotExist, a label that is missing', selector: expression('zone', 'DoesNotExist'), want: true },
  { name: 'DoesNotExist, not one that is there', selector: expression('app', 'DoesNotExist'), want: false },
  { name: 'an operator that nobody knows, nothing', selector: expression('app', 'Near', 'web'), want: false },
  {
    name: 'labels and expressions, only where both hold',
    selector: { matchLabels: { app: 'web' }, ...expression('tier', 'In', 'back') },
    want: false,
  },
];
for (const { name, selector, want } of selectors) {
  test(`a selector matches: ${name}`, () => assert.equal(selectorMatches(readLabelSelector(selector), LABELS), want));
}

function expression(key: string, operator: string, ...values: string[]): RawLabelSelector {
  return { matchExpressions: [{ key, operator, ...(values.length === 0 ? {} : { values }) }] };
}

test('nothing is wanted of labels: all match, also none', () => {
  assert.deepEqual([labelsMatch({}, {}), labelsMatch({}, LABELS), labelsMatch({ app: 'web' }, {})], [true, true, false]);
});

test('a label that every object inherits is not there unless it was written', () => {
  assert.equal(labelsMatch({ constructor: 'x' }, {}), false);
});

test('a policy’s selector that names nothing means the whole scope, written or not', () => {
  for (const raw of [undefined, {}, { matchLabels: {} }]) assert.equal(readWorkloadSelector(raw), null);
  assert.deepEqual(readWorkloadSelector({ matchLabels: { app: 'web' } }), { app: 'web' });
});

for (const [key, value] of [
  ['app', 'web*'],
  ['a*', 'web'],
  ['', 'web'],
] as const) {
  test(`a policy’s selector that would match nothing is an error: ${key}: ${value}`, () => {
    const [problem, ...others] = checkSelector({ matchLabels: { tier: 'front', [key]: value } });
    assert.deepEqual([problem?.severity, problem?.path, others], ['error', ['spec', 'selector', 'matchLabels', key], []]);
  });
}

test('whole labels are no mistake', () => {
  assert.deepEqual([checkSelector(undefined), checkSelector({ matchLabels: LABELS })], [[], []]);
});
