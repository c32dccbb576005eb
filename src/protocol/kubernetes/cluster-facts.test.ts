import assert from 'node:assert/strict';
import test from 'node:test';
import { clusterPartOf, clusterPodOf, clusterPolicyOf, isReadyObject } from './cluster-facts.ts';
import type { KubeObject } from './objects.ts';

const NOW_MS = Date.parse('2026-01-01T00:01:00Z');
const object = (fields: object, annotations: Record<string, string> = {}): KubeObject => ({
  ...{ apiVersion: 'v1', kind: 'X', metadata: { name: 'x', namespace: 'shop', annotations } },
  ...fields,
});

test('a pod that runs tells since when, one that does not tells nothing', () => {
  const running = { phase: 'Running', startTime: '2026-01-01T00:00:00Z' };
  const pod = clusterPodOf(
    object({ spec: { nodeName: 'a' }, status: running }, { 'ambient.istio.io/redirection': 'enabled' }),
    NOW_MS,
  );
  assert.deepEqual([pod.node, pod.agoMs, pod.isMarked], ['a', 60_000, true]);
  assert.equal(clusterPodOf(object({ status: { ...running, phase: 'Succeeded' } }), NOW_MS).agoMs, null);
});

test('what is ready says so by its condition; a Deployment and a DaemonSet count in their own ways', () => {
  assert.equal(isReadyObject(object({ status: { conditions: [{ type: 'Ready', status: 'True' }] } })), true);
  assert.equal(isReadyObject(object({ status: { conditions: [{ type: 'Ready', status: 'Unknown' }] } })), false);
  assert.equal(isReadyObject(object({})), false);
  assert.deepEqual(clusterPartOf(object({ spec: { replicas: 2 }, status: { readyReplicas: 1 } })), {
    name: 'x',
    wanted: 2,
    ready: 1,
  });
  const daemons = { desiredNumberScheduled: 3, numberReady: 2 };
  assert.deepEqual(clusterPartOf(object({ status: daemons })), { name: 'x', wanted: 3, ready: 2 });
});

const policies: { name: string; spec: object; ports: unknown }[] = [
  { name: 'no rule lets nobody in', spec: {}, ports: [] },
  { name: 'a rule without ports lets all in', spec: { ingress: [{}] }, ports: [null] },
  { name: 'a port without a number is every port', spec: { ingress: [{ ports: [{ protocol: 'TCP' }] }] }, ports: [null] },
  { name: 'UDP is another', spec: { ingress: [{ ports: [{ protocol: 'UDP', port: 15_008 }] }] }, ports: [[]] },
  { name: 'a name is of a port of the pod', spec: { ingress: [{ ports: [{ port: 'http' }] }] }, ports: [[]] },
  {
    name: 'ports are told with both ends',
    spec: { ingress: [{ ports: [{ port: 80 }, { port: 15_000, endPort: 15_010 }] }] },
    ports: [
      [
        { from: 80, to: 80 },
        { from: 15_000, to: 15_010 },
      ],
    ],
  },
];
for (const { name, spec, ports } of policies)
  test(`of a NetworkPolicy, ${name}`, () => assert.deepEqual(clusterPolicyOf(object({ spec }))?.ports, ports));

test('a NetworkPolicy on what goes out is none here, and which pods one is of may not be known', () => {
  assert.equal(clusterPolicyOf(object({ spec: { policyTypes: ['Egress'] } })), null);
  assert.deepEqual(clusterPolicyOf(object({ spec: { podSelector: { matchLabels: { app: 'web' } } } }))?.selects, { app: 'web' });
  assert.equal(clusterPolicyOf(object({ spec: { podSelector: { matchExpressions: [{}] } } }))?.selects, null);
});
