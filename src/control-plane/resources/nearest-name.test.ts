import assert from 'node:assert/strict';
import test from 'node:test';
import { didYouMean, editDistance, nearestName } from './nearest-name.ts';

const distances: [string, string, number][] = [
  ['waypoint', 'waypoint', 0],
  ['waypont', 'waypoint', 1],
  ['timeOut', 'timeout', 1],
  ['recieve', 'receive', 1],
  ['abc', '', 3],
  ['', 'ab', 2],
  ['kitten', 'sitting', 3],
];
for (const [a, b, distance] of distances) {
  test(`${a || 'nothing'} is ${distance} edits from ${b || 'nothing'}`, () => assert.equal(editDistance(a, b), distance));
}

const names: { name: string; wrong: string; known: string[]; want: string | null }[] = [
  { name: 'one letter missing', wrong: 'waypont', known: ['gateway', 'waypoint'], want: 'waypoint' },
  { name: 'wrong case counts as nothing', wrong: 'timeOut', known: ['timeout'], want: 'timeout' },
  { name: 'the nearest wins', wrong: 'reviews-v3', known: ['reviews-v1', 'reviews-v33'], want: 'reviews-v1' },
  { name: 'three edits are another word', wrong: 'ratings', known: ['rations'], want: 'rations' },
  { name: 'nothing is near', wrong: 'ratings', known: ['details'], want: null },
  { name: 'short words are not all alike', wrong: 'to', known: ['at', 'on'], want: null },
];
for (const { name, wrong, known, want } of names)
  test(`suggestion: ${name}`, () => assert.equal(nearestName(wrong, known), want));

test('without a near name nothing is said', () => assert.equal(didYouMean('x', []), ''));
