import assert from 'node:assert/strict';
import test from 'node:test';
import { rolloutOf, servedKindOf, withImage } from './manifest.ts';
import type { KubeObject } from './objects.ts';

const object = (kind: string, fields: object = {}, apiVersion = 'apps/v1'): KubeObject => ({
  ...{ apiVersion, kind, metadata: { name: 'x', generation: 2 } },
  ...fields,
});

for (const [kind, apiVersion, served] of [
  ['DaemonSet', 'apps/v1', ['apps', 'v1', 'daemonsets', true]],
  ['Service', 'v1', ['', 'v1', 'services', true]],
  ['ClusterRole', 'rbac.authorization.k8s.io/v1', ['rbac.authorization.k8s.io', 'v1', 'clusterroles', false]],
  ['ValidatingAdmissionPolicy', 'a/v1', ['a', 'v1', 'validatingadmissionpolicies', false]],
] as const)
  test(`an API server serves ${kind} as ${served.join(' ')}`, () => {
    const { group, version, plural, namespaced } = servedKindOf(object(kind, {}, apiVersion));
    assert.deepEqual([group, version, plural, namespaced], served);
  });

test('an image takes the place of another in containers and arguments, and of nothing else', () => {
  const spec = { image: 'a:1', args: ['--waypoint-image=a:1', '--x=a:10', 'xa:1'], n: 1 };
  assert.deepEqual(withImage(object('Deployment', { spec }), 'a:1', 'b.example/a:2').spec, {
    ...{ image: 'b.example/a:2', args: ['--waypoint-image=b.example/a:2', '--x=a:10', 'xa:1'], n: 1 },
  });
});

const rollouts: { name: string; object: KubeObject; ready: number; wanted: number }[] = [
  { name: 'a Deployment of which nothing is told', object: object('Deployment', { spec: { replicas: 2 } }), ready: 0, wanted: 2 },
  { name: 'a DaemonSet of which nothing is told', object: object('DaemonSet'), ready: 0, wanted: 1 },
  {
    name: 'a change that was not seen yet',
    object: object('Deployment', { status: { observedGeneration: 1, updatedReplicas: 1, availableReplicas: 1 } }),
    ...{ ready: 0, wanted: 1 },
  },
  {
    name: 'pods that are ready, and of before',
    object: object('Deployment', { status: { observedGeneration: 2, availableReplicas: 1 } }),
    ...{ ready: 0, wanted: 1 },
  },
  {
    name: 'nodes, of which one has its agent',
    object: object('DaemonSet', {
      status: { observedGeneration: 2, desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberAvailable: 1 },
    }),
    ...{ ready: 1, wanted: 2 },
  },
  {
    name: 'a cluster without nodes',
    object: object('DaemonSet', { status: { observedGeneration: 2, desiredNumberScheduled: 0 } }),
    ...{ ready: 0, wanted: 0 },
  },
];
for (const { name, object: one, ready, wanted } of rollouts)
  test(`what is ready of ${name}`, () => assert.deepEqual(rolloutOf(one), { ready, wanted }));
