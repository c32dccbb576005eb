import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EnrollmentRequest } from '#node-agent/enrollment/enrollment.ts';
import type { KubeObject } from '#protocol/kubernetes/objects.ts';
import { inMesh, settle, setUp } from './pods-rig.testing.ts';

test('nothing is judged before pods and namespaces are all known', async () => {
  const { pods, namespace, pod, all, steps } = setUp();
  await pods.restore();
  pods.watch();
  await pod('web');
  assert.deepEqual([steps(), pods.isReady()], [[], true]);
  await namespace('ambient');
  await all();
  assert.deepEqual(steps(), ['enroll web', 'mark web', 'leftovers']);
});

test('a pod that is meant is enrolled as what it is, where it is', async () => {
  const { pod, seen } = await inMesh();
  await pod('web', { ip: '10.1.0.7', account: 'shopkeeper' });
  assert.deepEqual(seen.requests, [
    {
      ...{ uid: 'k//Pod/shop/web', name: 'web', namespace: 'shop', serviceAccount: 'shopkeeper' },
      ...{ labels: {}, nativeTunnel: false, addresses: ['10.1.0.7'], netnsPath: '/n/web', link: null },
      pod: { uid: 'uid-web', ranOutside: false, probed: [] },
    },
  ]);
  assert.deepEqual(seen.saved, seen.requests, 'kept for the next agent');
});

test('K29: a label that comes takes a pod in that runs, and what it had open goes on; one that goes lets it go', async () => {
  const { namespace, pod, steps, seen } = await inMesh('');
  await pod('web');
  assert.deepEqual(steps(), []);
  await namespace('ambient');
  assert.deepEqual([steps(), seen.requests[0]?.pod?.ranOutside], [['enroll web', 'mark web'], true]);
  await pod('web', { marked: true });
  await namespace();
  assert.deepEqual([steps(), seen.saved], [['leave k//Pod/shop/web', 'unmark web'], []]);
  await pod('web');
  await namespace('weft');
  assert.deepEqual(steps(), ['enroll web', 'mark web']);
});

test('a pod has no address for a while: then it is taken in', async () => {
  const { pod, steps, seen } = await inMesh();
  await pod('web', { ip: '', phase: 'Pending' });
  assert.deepEqual(steps(), []);
  await pod('web');
  assert.deepEqual([steps(), seen.requests[0]?.pod?.ranOutside], [['enroll web', 'mark web'], false]);
});

test('a pod that says nothing new is left alone; so are containers that are started again', async () => {
  const { pod, steps } = await inMesh();
  await pod('web');
  await pod('web', { marked: true });
  steps();
  await pod('web', { marked: true });
  assert.deepEqual(steps(), []);
});

test('K26: another namespace or address of the same pod is enrolled in place of the former', async () => {
  const { pod, places, steps, clock } = await inMesh();
  await pod('web', { marked: true });
  steps();
  places.set('uid-web', { path: '/n/anew', inode: 99 });
  clock.advance(30_000);
  await settle();
  assert.deepEqual(steps(), ['enroll web']);
  await pod('web', { ip: '10.1.0.9', marked: true });
  assert.deepEqual(steps(), ['enroll web']);
});

test('another pod of the same name is another pod: the former leaves first', async () => {
  const { pod, steps } = await inMesh();
  await pod('web', { marked: true });
  steps();
  await pod('web', { uid: 'another' });
  assert.deepEqual(steps(), ['leave k//Pod/shop/web', 'enroll web', 'mark web']);
});

test('K25: a pod whose containers have ended is heard to its last byte, and nothing is written any more; then it is gone', async () => {
  const { pod, gone, steps } = await inMesh();
  await pod('job', { marked: true });
  steps();
  await pod('job', { phase: 'Succeeded', marked: true });
  assert.deepEqual(steps(), ['last bytes k//Pod/shop/job', 'leave k//Pod/shop/job']);
  await gone('job');
  assert.deepEqual(steps(), []);
});

test('a pod that is gone leaves', async () => {
  const { pod, gone, steps, seen } = await inMesh();
  await pod('web', { marked: true });
  steps();
  await gone('web');
  assert.deepEqual(steps(), ['leave k//Pod/shop/web']);
  await pod('other');
  assert.deepEqual(
    seen.saved.map(({ name }) => name),
    ['other'],
  );
});

test('a pod that goes while it is being enrolled is left', async () => {
  const { pod, gone, steps, agent } = await inMesh();
  const enrolling = Promise.withResolvers<never>();
  agent.enroll = () => enrolling.promise;
  await pod('web');
  await gone('web');
  assert.deepEqual(steps(), ['leave k//Pod/shop/web']);
  enrolling.reject(new Error('WEFT_WORKLOAD_LEFT'));
  await settle();
  assert.deepEqual(steps(), []);
});

test('what fails for one is tried again, later and later, shown and told once, and keeps no other out', async () => {
  const { pods, pod, fails, steps, seen, clock } = await inMesh();
  fails.enroll.add('web');
  await pod('web');
  assert.deepEqual([pods.outside(), seen.warned], [[], []], 'a sandbox may be a moment late');
  await pod('other', { ip: '10.1.0.2' });
  assert.deepEqual(steps(), ['enroll other', 'mark other']);
  for (const waitMs of [500, 1_000, 2_000]) {
    clock.advance(waitMs);
    await settle();
  }
  assert.deepEqual(
    pods.outside().map(({ request, problem }) => `${request.name}: ${problem}`),
    ['web: it talks in plain text, as it cannot be taken into the mesh: EADDRINUSE'],
  );
  assert.deepEqual(seen.warned, ['web: it cannot be taken into the mesh, which is tried again: EADDRINUSE']);
  assert.equal(pods.isReady(), true, 'the node is served');
  fails.enroll.clear();
  clock.advance(4_000);
  await settle();
  assert.deepEqual([steps(), pods.outside()], [['enroll web', 'mark web'], []]);
});

test('a namespace that is not found is told with what to look at', async () => {
  const { pods, pod, places, clock } = await inMesh();
  places.set('uid-web', { problem: 'no network namespace of this node has its address 10.1.0.1' });
  await pod('web');
  clock.advance(500);
  await settle();
  assert.match(pods.outside()[0]?.problem ?? '', /no network namespace of this node has its address/);
});

test('a mark that cannot be written is written later; one that somebody took away is put back', async () => {
  const { pod, fails, steps, clock } = await inMesh();
  fails.mark = 1;
  await pod('web');
  assert.deepEqual(steps(), ['enroll web']);
  clock.advance(500);
  await settle();
  assert.deepEqual(steps(), ['mark web']);
  await pod('web', { marked: true });
  await pod('web');
  assert.deepEqual(steps(), ['mark web']);
});

test('K28: a pod that is meant and cannot be is told so, and left as it is, whoever marked it', async () => {
  const { pod, steps, seen } = await inMesh();
  await pod('host', { hostNetwork: true, marked: true });
  await pod('typo', { mode: 'ambiant', marked: true });
  await pod('host', { hostNetwork: true, marked: true });
  assert.deepEqual(steps(), []);
  assert.equal(seen.warned.length, 2);
  assert.match(seen.warned[0] ?? '', /^host: it stays out of the mesh: it has the network of its node/);
  assert.match(seen.warned[1] ?? '', /^typo: .*label istio.io.dataplane-mode is "ambiant"/);
});

test('a mark of one that nobody means is wiped off: peers would tunnel to nobody', async () => {
  const { pod, steps } = await inMesh('');
  await pod('web', { marked: true });
  assert.deepEqual(steps(), ['unmark web']);
});

const KEPT: EnrollmentRequest = {
  ...{ uid: 'k//Pod/shop/web', name: 'web', namespace: 'shop', serviceAccount: 'default', labels: {}, nativeTunnel: false },
  ...{ addresses: ['10.1.0.1'], netnsPath: '/old', link: null },
  pod: { uid: 'uid-web', ranOutside: true, probed: [] },
};

test('K43: pods of a former agent are enrolled before anybody tells of them, wherever their namespace is now', async () => {
  const { pods, steps, seen, namespace, pod, all } = setUp({ saved: [KEPT] });
  await pods.restore();
  assert.deepEqual(steps(), ['enroll web']);
  assert.deepEqual(seen.requests, [{ ...KEPT, netnsPath: '/n/web' }]);
  pods.watch();
  await pod('web', { marked: true });
  await namespace('ambient');
  assert.deepEqual(steps(), []);
  await all();
  assert.deepEqual(steps(), ['leftovers']);
});

test('what a former agent had and is not meant any more, or is gone, leaves when everything was told', async () => {
  const gone = { ...KEPT, uid: 'k//Pod/shop/gone', name: 'gone', pod: { uid: 'uid-gone', ranOutside: false, probed: [] } };
  const { pods, steps, namespace, pod, all } = setUp({ saved: [KEPT, gone] });
  await pods.restore();
  pods.watch();
  steps();
  await namespace();
  await pod('web', { marked: true });
  await all();
  assert.deepEqual(steps(), ['leave k//Pod/shop/gone', 'leave k//Pod/shop/web', 'unmark web', 'leftovers']);
});

test('what stops follows nothing and touches nothing', async () => {
  const rig = setUp();
  await rig.pods.restore();
  const stop = rig.pods.watch();
  await rig.namespace('ambient');
  await rig.all();
  rig.steps();
  stop();
  await rig.pod('web');
  rig.clock.advance(100_000);
  await settle();
  assert.deepEqual(rig.steps(), ['closed']);
});

test('an agent that is replaced ends what it has begun, and begins nothing', async () => {
  const { pods, pod, steps, agent, seen } = await inMesh();
  const enrolling = Promise.withResolvers<never>();
  agent.enroll = () => enrolling.promise;
  await pod('web');
  let isLeft = false;
  const left = pods.leaveNode().then(() => {
    isLeft = true;
  });
  await settle();
  assert.deepEqual([isLeft, steps()], [false, ['closed', 'not asked any more']]);
  enrolling.reject(new Error('WEFT_AGENT_LEAVING'));
  await left;
  assert.deepEqual([steps(), seen.saved], [[], []]);
});

test('who leaves the mesh takes all pods out, and says so', async () => {
  const { pods, pod, steps } = await inMesh();
  await pod('web', { marked: true });
  steps();
  await pods.stopAll();
  assert.deepEqual(steps(), ['closed', 'leave k//Pod/shop/web', 'unmark web', 'out of the chain']);
});

test('K46: the mesh is taken away when what runs the agents was there and is deleted, and by nothing else', async () => {
  const anAgentSet = (more: object = {}): KubeObject => ({
    ...{ apiVersion: 'apps/v1', kind: 'DaemonSet' },
    metadata: { name: 'weft-agent', namespace: 'istio-system', uid: 'one', ...more },
  });
  const { pods, daemonSet } = await inMesh();
  let isGone = false;
  const gone = pods.uninstalled.then(() => {
    isGone = true;
  });
  daemonSet(anAgentSet());
  daemonSet(anAgentSet({ generation: 2 }));
  await settle();
  assert.equal(isGone, false, 'K47: not by an update');
  daemonSet(anAgentSet({ deletionTimestamp: '2026-01-01T00:00:00Z' }));
  daemonSet(null);
  await gone;
});

test('nothing is started here', async () => {
  const { pods } = setUp();
  assert.throws(() => pods.start(), { code: 'WEFT_PODS_ONLY' });
});

test('B69: annotations about capture are a part of what a pod is enrolled as; another one takes it in anew, one that cannot be read is told', async () => {
  const [dns, inbound] = ['ambient.istio.io/dns-capture', 'ambient.istio.io/bypass-inbound-capture'];
  const { pod, seen, steps } = await inMesh();
  await pod('web', { annotations: { [dns]: 'false', other: 'x' } });
  await pod('web', { annotations: { [dns]: 'false', other: 'y' } });
  assert.deepEqual([seen.requests[0]?.annotations, steps()], [{ [dns]: 'false' }, ['enroll web', 'mark web']]);
  await pod('web', { annotations: { [inbound]: 'true' } });
  assert.deepEqual([seen.requests[1]?.annotations, steps(), seen.warned], [{ [inbound]: 'true' }, ['enroll web'], []]);
  await pod('web', { annotations: { [inbound]: 'perhaps' } });
  assert.deepEqual(steps(), ['enroll web'], 'as usual again');
  assert.match(seen.warned.join(), /^web: annotation ambient.istio.io\/bypass-inbound-capture is neither true nor false/);
});
