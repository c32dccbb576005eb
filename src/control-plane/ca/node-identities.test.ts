import assert from 'node:assert/strict';
import test from 'node:test';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { sampleWorkload } from '#protocol/xds/sample-mesh.testing.ts';
import { NodeIdentities } from './node-identities.ts';

const RATINGS = 'spiffe://cluster.local/ns/shop/sa/ratings';
const one = sampleWorkload({ name: 'one' });
const two = sampleWorkload({ name: 'two' });

test('C19: an identity is on a node while one of its workloads is', () => {
  const identities = new NodeIdentities(new SteppedClock());
  identities.apply(new Map([one, two].map((workload) => [workload.uid, workload])));
  assert.deepEqual([...identities.identitiesOnNode('node-1')], [RATINGS]);
  identities.apply(new Map([[one.uid, null]]));
  assert.deepEqual([...identities.identitiesOnNode('node-1')], [RATINGS]);
  identities.apply(new Map([[two.uid, null]]));
  assert.deepEqual([...identities.identitiesOnNode('node-1')], []);
});

test('C19: a workload that moves, or changes its service account, takes its identity along', () => {
  const identities = new NodeIdentities(new SteppedClock());
  identities.apply(new Map([[one.uid, one]]));
  identities.apply(new Map([[one.uid, { ...one, node: 'node-2', serviceAccount: 'other' }]]));
  assert.deepEqual([...identities.identitiesOnNode('node-1')], []);
  assert.deepEqual([...identities.identitiesOnNode('node-2')], ['spiffe://cluster.local/ns/shop/sa/other']);
});

test('a workload on no node, and one that was never there, change nothing', () => {
  const identities = new NodeIdentities(new SteppedClock());
  identities.apply(
    new Map([
      [one.uid, { ...one, node: '' }],
      ['unknown', null],
    ]),
  );
  assert.deepEqual([...identities.identitiesOnNode('')], []);
});

test('K96: nobody speaks for what shares the address of its host, nor for a pod that is not meant for the mesh', () => {
  const identities = new NodeIdentities(new SteppedClock());
  const hidden = [
    { ...one, hostNetwork: true },
    { ...two, outsideMesh: true as const },
  ];
  identities.apply(new Map(hidden.map((workload) => [workload.uid, workload])));
  assert.deepEqual([...identities.identitiesOnNode('node-1')], []);
  identities.apply(new Map([[two.uid, two]]));
  assert.deepEqual([...identities.identitiesOnNode('node-1')], [RATINGS], 'once it is meant to be');
});

test('K96: an identity that comes a moment later is waited for, and no longer than that', async () => {
  const clock = new SteppedClock();
  const identities = new NodeIdentities(clock);
  const comes = [identities.appears('node-1', RATINGS), identities.appears('node-1', RATINGS)];
  let late = false;
  const never = identities.appears('node-2', RATINGS).then(() => {
    late = true;
  });
  identities.apply(new Map([[one.uid, one]]));
  await Promise.all(comes);
  assert.equal(late, false, 'another node has its own');
  clock.advance(CERTIFICATE.podWaitMs);
  await never;
  await identities.appears('node-1', RATINGS);
});
