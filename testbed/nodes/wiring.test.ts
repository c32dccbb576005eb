import assert from 'node:assert/strict';
import test from 'node:test';
import { LAB_ID, labIdOf, NODE_NAMES, nodeCount, nodeOf, planLab, plannedNamespaces, wireOf } from './plan.ts';
import { wiringCommands } from './wiring.ts';

const lab = (nodes: number) => planLab('ab12cd', '/base', '/cgroup', nodes);
const linesOf = (nodes: number): string[] => wiringCommands(lab(nodes)).map((line) => line.join(' '));

for (let nodes = 1; nodes <= NODE_NAMES.length; nodes++) {
  test(`${nodeCount(lab(nodes))}: each has a way to the pools of all others, over the wire, in both families`, () => {
    const plan = lab(nodes);
    const lines = linesOf(nodes);
    for (const from of plan.nodes) {
      const routes = lines.filter((line) => line.startsWith(`ip -n ${from.netns} `) && line.includes(' route add '));
      for (const to of plan.nodes) {
        const ways = [`${to.pool4} via ${to.link4}`, `${to.pool6} via ${to.link6}`];
        for (const way of ways) assert.equal(routes.filter((route) => route.endsWith(way)).length, from === to ? 0 : 1, way);
      }
    }
  });

  test(`${nodeCount(lab(nodes))}: no namespace is made twice, none is used that is not made, and no address is given twice`, () => {
    const made = plannedNamespaces(lab(nodes));
    const lines = linesOf(nodes);
    assert.deepEqual(
      lines.flatMap((line) => /netns add (\S+)/.exec(line)?.[1] ?? []),
      made,
    );
    const used = lines.flatMap((line) => [...line.matchAll(/weft-lab-\S+/g)].map(([name]) => name));
    assert.deepEqual(
      [...new Set(used)].filter((name) => !made.includes(name)),
      [],
    );
    const addresses = lines.flatMap((line) => /address add (\S+)/.exec(line)?.[1] ?? []);
    assert.equal(new Set(addresses).size, addresses.length);
  });
}

test('two nodes have a cable, which is captured at the first; more of them have a switch, which sees all', () => {
  assert.deepEqual(wireOf(lab(2)), { netns: 'weft-lab-ab12cd-alpha', device: 'wire' });
  assert.deepEqual(wireOf(lab(3)), { netns: 'weft-lab-ab12cd-switch', device: 'wire' });
  assert.equal(linesOf(2).filter((line) => line.includes('bridge')).length, 0);
  assert.equal(linesOf(3).filter((line) => line.includes('master wire')).length, 3);
});

test('a lab of one node has no wire, and says how to get one', () =>
  assert.throws(() => wireOf(lab(1)), { code: 'WEFT_LAB_WIRE', remedy: /--nodes 2/ }));

test('a node that is not there is told with those that are', () => {
  assert.equal(nodeOf(lab(3), 'gamma').index, 3);
  assert.throws(() => nodeOf(lab(2), 'gamma'), { code: 'WEFT_LAB_NODE', remedy: /alpha, beta$/ });
});

test('the id of a lab can be read out of every name that is made with it', () => {
  const plan = lab(NODE_NAMES.length);
  const names = [...plannedNamespaces(plan), ...plan.nodes.map(({ meshName }) => `weft-${meshName}-0123456789`)];
  assert.deepEqual(new Set(names.map(labIdOf)), new Set(['ab12cd']));
  assert.ok(LAB_ID.test('ab12cd') && !LAB_ID.test('ab-12'));
});
