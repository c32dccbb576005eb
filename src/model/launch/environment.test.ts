import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chosenVariables, readVariable, readVariables } from './environment.ts';

for (const [text, want] of [
  ['A=b', { name: 'A', value: 'b' }],
  ['A=', { name: 'A', value: '' }],
  ['A=b=c d', { name: 'A', value: 'b=c d' }],
  ['A', { name: 'A', value: null }],
  ['odd.name=1', { name: 'odd.name', value: '1' }],
  ['', null],
  ['=b', null],
  ['A B=c', null],
  ['A=\0', null],
] as const)
  test(`a variable: ${JSON.stringify(text)}`, () => assert.deepEqual(readVariable(text), want));

test('a file of variables: comments and empty lines count for nothing, quotes are part of the value, and lines end as they may', () => {
  assert.deepEqual(readVariables('# all\n\nA=1\r\n  B="two words"\nC\nA=3'), {
    variables: [
      { name: 'A', value: '1' },
      { name: 'B', value: '"two words"' },
      { name: 'C', value: null },
      { name: 'A', value: '3' },
    ],
  });
  assert.deepEqual(readVariables('A=1\n\n=2\n'), { badLine: 3 });
  assert.deepEqual(readVariables('export A=1'), { badLine: 1 });
});

test('a later variable wins, and one that the caller has not is told', () => {
  const wanted = ['A=1', 'B', 'A=2', 'HOME', 'C'].map((text) => readVariable(text) ?? assert.fail());
  assert.deepEqual(chosenVariables(wanted, { B: 'of the caller', HOME: '/root' }), {
    set: { A: '2', B: 'of the caller', HOME: '/root' },
    missing: ['C'],
  });
});
