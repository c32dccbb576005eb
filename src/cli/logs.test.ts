import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseLog, firstLines, knownLogs, listLogs, printed } from './logs.ts';

const FILES = [
  'up.log',
  'workload-default.web@node-1.log',
  'workload-default.web@node.2.log',
  'workload-shop.cart@node-1.log',
  'waypoint-default.edge.v2.log',
  'waypoint-default.cart.log',
  'notes.txt',
];
const LOGS = knownLogs(FILES);

test('H15: logs are known by their files', () => {
  assert.equal(
    listLogs(LOGS),
    `up
cart  --namespace default  (waypoint)
edge.v2  --namespace default  (waypoint)
web  --namespace default  --node node-1
web  --namespace default  --node node.2
cart  --namespace shop  --node node-1
`,
  );
  assert.equal(listLogs([]), 'no logs\n');
});

for (const [name, namespace, node, want] of [
  ['up', 'default', null, 'up.log'],
  ['web', 'default', 'node.2', 'workload-default.web@node.2.log'],
  ['web', 'default', null, 'WEFT_WHICH_AGENT'],
  ['web', 'shop', null, 'WEFT_NO_LOG'],
  ['cart', 'shop', null, 'workload-shop.cart@node-1.log'],
  ['cart', 'default', null, 'waypoint-default.cart.log'],
  ['cart', 'default', 'node-1', 'WEFT_NO_LOG'],
  ['edge.v2', 'default', null, 'waypoint-default.edge.v2.log'],
  ['notes', 'default', null, 'WEFT_NO_LOG'],
] as const)
  test(`H15: the log of ${namespace}/${name}${node === null ? '' : ` on ${node}`}: ${want}`, () => {
    const choose = () => chooseLog({ name, namespace, node }, LOGS).file;
    if (want.startsWith('WEFT_')) assert.throws(choose, { code: want });
    else assert.equal(choose(), want);
  });

const at = (second: number, rest: string): string => `2026-01-02T03:04:0${second}.000000000Z ${rest}`;
const LINES = [
  at(1, 'stdout F one'),
  at(2, 'stdout P two'),
  at(3, 'stdout P and'),
  at(4, 'stdout F more'),
  at(5, 'stderr F three'),
];
const NOW = { nowMs: Date.parse('2026-01-02T03:04:06Z'), changedMs: Date.parse('2026-01-02T03:04:05Z') };

for (const [tail, sinceSeconds, want] of [
  [null, null, 'one|twoandmore|three|'],
  [0, null, ''],
  [1, null, 'three|'],
  [2, null, 'twoandmore|three|'],
  [3, null, 'one|twoandmore|three|'],
  [9, null, 'one|twoandmore|three|'],
  [null, 2, 'more|three|'],
  [1, 2, 'three|'],
  [null, 1, 'three|'],
] as const)
  test(`H15: the last ${tail} lines since ${sinceSeconds} s`, () => {
    const lines = firstLines(LINES, { tail, sinceSeconds }, NOW);
    const text = lines.map((line) => printed(line, { timestamps: false }, true)).join('');
    assert.equal(text.replaceAll('\n', '|'), want);
  });

test('H15: times stand before a line that has one, not before its later pieces', () => {
  const [one = assert.fail(), two = assert.fail(), and = assert.fail()] = firstLines(
    LINES,
    { tail: null, sinceSeconds: null },
    NOW,
  );
  const options = { timestamps: true };
  assert.equal(printed(one, options, true), '2026-01-02T03:04:01.000000000Z one\n');
  assert.equal(printed(two, options, true) + printed(and, options, false), '2026-01-02T03:04:02.000000000Z twoand');
  assert.equal(printed({ ...one, time: null }, options, true), 'one\n');
});
