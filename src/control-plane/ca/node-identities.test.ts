import assert from 'node:assert/strict';
import test from 'node:test';
import { sampleWorkload } from '#protocol/xds/sample-mesh.testing.ts';
import { NodeIdentities } from './create-certificate.ts';

const RATINGS = 'spiffe://cluster.local/ns/shop/sa/ratings';
const one = sampleWorkload({ name: 'one' });
const two = sampleWorkload({ name: 'two' });

test('C19: an identity is on a node while one of its workloads is', () => {
  const identities = new NodeIdentities();
  identities.apply(new Map([one, two].map((workload) => [workload.uid, workload])));
  assert.deepEqual([...identities.identitiesOnNode('node-1')], [RATINGS]);
  identities.apply(new Map([[one.uid, null]]));
  assert.deepEqual([...identities.identitiesOnNode('node-1')], [RATINGS]);
  identities.apply(new Map([[two.uid, null]]));
  assert.deepEqual([...identities.identitiesOnNode('node-1')], []);
});

test('C19: a workload that moves, or changes its service account, takes its identity along', () => {
  const identities = new NodeIdentities();
  identities.apply(new Map([[one.uid, one]]));
  identities.apply(new Map([[one.uid, { ...one, node: 'node-2', serviceAccount: 'other' }]]));
  assert.deepEqual([...identities.identitiesOnNode('node-1')], []);
  assert.deepEqual([...identities.identitiesOnNode('node-2')], ['spiffe://cluster.local/ns/shop/sa/other']);
});

test('a workload on no node, and one that was never there, change nothing', () => {
  const identities = new NodeIdentities();
  identities.apply(
    new Map([
      [one.uid, { ...one, node: '' }],
      ['unknown', null],
    ]),
  );
  assert.deepEqual([...identities.identitiesOnNode('')], []);
});
