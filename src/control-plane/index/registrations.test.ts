import assert from 'node:assert/strict';
import test from 'node:test';
import type { RegisteredWorkload } from '#model/mesh/registration.ts';
import { NodeRegistrations, registrationKey } from './registrations.ts';

const workload = (name: string, namespace = 'shop'): RegisteredWorkload => ({
  node: 'told otherwise',
  name,
  namespace,
  serviceAccount: 'a',
  addresses: ['10.0.0.1'],
  labels: {},
  enrolled: true,
  nativeTunnel: false,
});

/** `key node`, or `key gone`. */
function outline(changes: ReadonlyMap<string, RegisteredWorkload | null>): string[] {
  return [...changes].map(([key, one]) => `${key} ${one === null ? 'gone' : one.node}`);
}

test('a node replaces everything it told before, and nothing of others', () => {
  const nodes = new NodeRegistrations();
  assert.deepEqual(outline(nodes.replace('alpha', [workload('a'), workload('b')])), ['alpha shop/a alpha', 'alpha shop/b alpha']);
  assert.deepEqual(outline(nodes.replace('beta', [workload('a')])), ['beta shop/a beta']);
  assert.deepEqual(outline(nodes.replace('alpha', [workload('b'), workload('c')])), [
    'alpha shop/a gone',
    'alpha shop/b alpha',
    'alpha shop/c alpha',
  ]);
  assert.deepEqual(outline(nodes.replace('alpha', [])), ['alpha shop/b gone', 'alpha shop/c gone']);
  assert.deepEqual(outline(nodes.replace('alpha', [])), []);
  assert.deepEqual(outline(nodes.replace('beta', [])), ['beta shop/a gone']);
});

test('keys of one workload are in order of its nodes', () => {
  const nodes = ['node-10', 'node', 'node-1', 'n.a', 'node_1', 'Node'];
  const byKey = nodes.map((node) => registrationKey(node, workload('a'))).sort();
  assert.deepEqual(
    byKey.map((key) => key.split(' ')[0]),
    nodes.toSorted(),
  );
});

test('of one name told twice by one node the last one counts', () => {
  const [[, kept] = []] = new NodeRegistrations().replace('alpha', [workload('a'), { ...workload('a'), serviceAccount: 'b' }]);
  assert.equal(kept?.serviceAccount, 'b');
});
