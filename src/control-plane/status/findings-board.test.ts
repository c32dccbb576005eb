import assert from 'node:assert/strict';
import test from 'node:test';
import { fileOrigin, findingOf, formatOrigin, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { nameOf } from '#control-plane/resources/resource.ts';
import type { Source } from '#control-plane/sources/source.ts';
import { type Authorization, type PolicyKey, policyKeyOf } from '#model/mesh/authorization.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { FindingsBoard } from './findings-board.ts';

const name = nameOf({ kind: 'Service', namespace: 'shop', name: 'ratings' });
const problem: Problem = warningAt('WEFT_RESOURCE_DUPLICATE', ['spec'], 'twice', 'remove one');

/** A source with one broken file, a.yaml, when `broken`; every resource is written in b.yaml. */
function sourceWith({ broken }: { broken: boolean }): Pick<Source, 'findings' | 'locate'> {
  const place = fileOrigin('b.yaml', { line: 7, column: 1 });
  return {
    findings: () => (broken ? [findingOf(problem, 'x', fileOrigin('a.yaml', { line: 3, column: 1 }))] : []),
    locate: (problems) => [...problems].flatMap(([resource, list]) => list.map((one) => findingOf(one, resource, place))),
  };
}

const NO_CHANGE = { workloads: new Map(), policies: new Map() };

test('findings of the source and of the index come together, in order of place', () => {
  const board = new FindingsBoard(sourceWith({ broken: true }), 'cluster.local');
  board.take({ problems: new Map([[name, [problem]]]), mesh: NO_CHANGE });
  assert.deepEqual(
    board.all().map(({ origin }) => formatOrigin(origin)),
    ['a.yaml:3:1', 'b.yaml:7:1'],
  );
});

test('a finding is news once, and again after it was gone', () => {
  const board = new FindingsBoard(sourceWith({ broken: false }), 'cluster.local');
  board.take({ problems: new Map([[name, [problem]]]), mesh: NO_CHANGE });
  assert.equal(board.news().length, 1);
  assert.equal(board.news().length, 0);
  board.take({ problems: new Map([[name, []]]), mesh: NO_CHANGE });
  assert.deepEqual([board.all(), board.news()], [[], []]);
  board.take({ problems: new Map([[name, [problem]]]), mesh: NO_CHANGE });
  assert.equal(board.news().length, 1);
});

test('of very many policies that match nothing some are told, and that there are more', () => {
  const board = new FindingsBoard(sourceWith({ broken: false }), 'cluster.local');
  const policies = Array.from({ length: RESOURCE.idlePoliciesMax + 1 }, (_, at): [PolicyKey, Authorization] => {
    const authorization: Authorization = {
      name: `p${at}`,
      namespace: 'shop',
      scope: 'workload-selector',
      action: 'deny',
      rules: [],
      dryRun: false,
    };
    return [policyKeyOf(authorization), authorization];
  });
  const change = (list: typeof policies) => board.take({ problems: new Map(), mesh: { ...NO_CHANGE, policies: new Map(list) } });
  change(policies.slice(1));
  assert.deepEqual([board.now().length, board.unlisted()], [RESOURCE.idlePoliciesMax, null]);
  change(policies);
  assert.equal(board.now().length, RESOURCE.idlePoliciesMax);
  assert.match(board.unlisted() ?? '', /more than/);
});
