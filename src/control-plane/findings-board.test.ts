import assert from 'node:assert/strict';
import test from 'node:test';
import { fileOrigin, findingOf, formatOrigin, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { nameOf } from '#control-plane/resources/resource.ts';
import { FindingsBoard, type LocateProblems } from './findings-board.ts';

const name = nameOf({ kind: 'Service', namespace: 'shop', name: 'ratings' });
const problem: Problem = warningAt('WEFT_RESOURCE_DUPLICATE', ['spec'], 'twice', 'remove one');
const locate: LocateProblems = (problems) =>
  [...problems].flatMap(([resource, list]) =>
    list.map((one) => findingOf(one, resource, fileOrigin('b.yaml', { line: 7, column: 1 }))),
  );
const ofFile = findingOf(problem, 'x', fileOrigin('a.yaml', { line: 3, column: 1 }));

test('findings of files and of the index come together, in order of place', () => {
  const board = new FindingsBoard();
  board.takeProblems(new Map([[name, [problem]]]));
  board.takeFiles([ofFile]);
  assert.deepEqual(
    board.all(locate).map(({ origin }) => formatOrigin(origin)),
    ['a.yaml:3:1', 'b.yaml:7:1'],
  );
});

test('a finding is news once, and again after it was gone', () => {
  const board = new FindingsBoard();
  board.takeProblems(new Map([[name, [problem]]]));
  assert.equal(board.news(locate).length, 1);
  assert.equal(board.news(locate).length, 0);
  board.takeProblems(new Map([[name, []]]));
  assert.deepEqual([board.all(locate), board.news(locate)], [[], []]);
  board.takeProblems(new Map([[name, [problem]]]));
  assert.equal(board.news(locate).length, 1);
});
