import assert from 'node:assert/strict';
import test from 'node:test';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import type { KubeObject } from '#protocol/kubernetes/objects.ts';
import { type ClusterEffects, installMesh, removeMesh } from './cluster.ts';

const object = (kind: string, name = kind.toLowerCase()): KubeObject => ({ apiVersion: 'v1', kind, metadata: { name } });
const IMAGE = { spec: { image: 'localhost/weft:0.1.0' } };
const MANIFESTS = [
  object('Namespace'),
  object('CustomResourceDefinition'),
  object('Role'),
  { ...object('Deployment'), ...IMAGE },
  { ...object('DaemonSet'), ...IMAGE },
];
const OPTIONS = { kubeconfig: '', image: null, isUpgrade: false };

/** A cluster on which everything is ready after that many looks, and agents end after as many; `has`: what is there at first. */
function setUp({ looks = 0, has = MANIFESTS, marks = 0 }: { looks?: number; has?: readonly KubeObject[]; marks?: number }) {
  const steps: string[] = [];
  let [nowMs, left] = [0, looks];
  const there = new Set(has.map(({ kind }) => kind));
  const effects: ClusterEffects = {
    async get(one) {
      if (!there.has(one.kind)) return null;
      const count = left > 0 ? 0 : 1;
      left--;
      return {
        ...one,
        status: { availableReplicas: count, updatedReplicas: count, updatedNumberScheduled: 1, numberAvailable: count },
      };
    },
    async apply(one) {
      there.add(one.kind);
      steps.push(`apply ${one.kind}${'spec' in one ? ` ${(one.spec as { image: string }).image}` : ''}`);
    },
    async remove({ kind }) {
      steps.push(`remove ${kind}`);
      return there.delete(kind);
    },
    podsOf: async () => (left-- > 0 ? ['weft-agent-1'] : []),
    async unmark() {
      steps.push('unmark');
      return marks;
    },
    async pause(ms) {
      nowMs += ms;
    },
    nowMs: () => nowMs,
    tell: (line) => void steps.push(line),
  };
  return { effects, steps };
}

test('the manifests are applied in their order, with the image, and it waits for what runs', async () => {
  const { effects, steps } = setUp({ has: [], looks: 3 });
  await installMesh({ ...OPTIONS, image: 'r.example/weft:2' }, MANIFESTS, effects);
  assert.deepEqual(steps, [
    ...['apply Namespace', 'apply CustomResourceDefinition', 'apply Role'],
    ...['apply Deployment r.example/weft:2', 'apply DaemonSet r.example/weft:2', 'applied: 5 objects'],
    ...['Deployment deployment: ready', 'DaemonSet daemonset: ready'],
  ]);
});

test('what does not become ready is told by its name', async () => {
  const { effects } = setUp({ looks: KUBERNETES.rolloutMs });
  const message = /^Deployment deployment is not ready after 300 s$/;
  await assert.rejects(installMesh(OPTIONS, MANIFESTS, effects), { code: 'WEFT_CLUSTER_WAITS', message });
});

test('there is nothing to upgrade where a part is missing, and then nothing is written', async () => {
  const { effects, steps } = setUp({ has: MANIFESTS.slice(0, -1) });
  await assert.rejects(installMesh({ ...OPTIONS, isUpgrade: true }, MANIFESTS, effects), { code: 'WEFT_CLUSTER_ABSENT' });
  assert.deepEqual(steps, []);
});

test('K46: the rights of agents go when these have ended, and what users keep stays', async () => {
  const { effects, steps } = setUp({ looks: 2, marks: 1 });
  await removeMesh(MANIFESTS, effects);
  assert.deepEqual(steps, [
    ...['remove DaemonSet', 'agents: have left their nodes', 'remove Deployment', 'remove Role'],
    ...['unmark', 'marks of pods that were left: 1 removed', 'removed: 3 objects'],
  ]);
});

test('agents that do not end keep their rights', async () => {
  const { effects, steps } = setUp({ looks: KUBERNETES.rolloutMs });
  await assert.rejects(removeMesh(MANIFESTS, effects), { code: 'WEFT_CLUSTER_WAITS', message: /^agents have not ended/ });
  assert.deepEqual(steps, ['remove DaemonSet']);
});

test('where there is no mesh nothing is removed, and that is told', async () => {
  const { effects, steps } = setUp({ has: [] });
  await removeMesh(MANIFESTS, effects);
  assert.equal(steps.at(-1), 'nothing to remove');
});
