import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AGENT } from '#model/settings/agents.ts';
import { inMesh, settle, setUp } from './pods-rig.testing.ts';

test('K24: a pod that starts is in the mesh when its runtime goes on, though nobody has told of its address, and is not looked through for what it has open', async () => {
  const { pod, starts, steps, seen } = await inMesh();
  await pod('web', { ip: '', phase: 'Pending' });
  await starts('web', { ip: '10.1.0.7' });
  assert.deepEqual(steps().slice(0, 1), ['enroll web before it runs']);
  const [{ addresses, netnsPath } = { addresses: [], netnsPath: '' }] = seen.requests;
  assert.deepEqual([addresses, netnsPath], [['10.1.0.7'], '/n/web']);
  await settle();
  assert.deepEqual(seen.saved, seen.requests);
  steps();
  await pod('web', { ip: '', phase: 'Pending', marked: true });
  await pod('web', { ip: '10.1.0.7', marked: true });
  assert.deepEqual(steps(), [], 'what is told then is no news');
});

test('K4: a pod that is asked for twice, by two entries of one chain, is taken in once', async () => {
  const { pod, starts, steps } = await inMesh();
  await pod('web', { ip: '' });
  await starts('web');
  steps();
  await starts('web');
  assert.deepEqual(steps(), []);
});

test('a runtime waits until the API server has told of the pod, and of everything else', async () => {
  const rig = setUp();
  await rig.pods.restore();
  rig.pods.watch();
  let went = false;
  const done = rig.starts('web').then(() => {
    went = true;
  });
  await rig.namespace('ambient');
  await rig.pod('web', { ip: '' });
  assert.equal(went, false);
  await rig.all();
  await done;
  assert.ok(rig.steps().includes('enroll web before it runs'));
});

test('K21: a pod of which nobody tells does not start, and hears why', async () => {
  const { starts, clock, pod, steps } = await inMesh();
  await pod('web', { uid: 'the one before', ip: '' });
  const refused = assert.rejects(starts('web'), { code: 'WEFT_POD_UNKNOWN' });
  clock.advance(AGENT.cniKnownMs);
  await refused;
  assert.deepEqual(steps(), []);
});

test('K85: while pods are not followed one that starts is asked for, which tells that the API server is back', async () => {
  const { starts, pod, fails, steps } = await inMesh();
  fails.follow = ['the API server does not answer'];
  const started = starts('web');
  assert.deepEqual(steps(), ['seek web']);
  await pod('web', { ip: '' });
  await started;
  steps();
  await starts('web');
  assert.ok(!steps().includes('seek web'), 'it is known');
});

test('a pod that is not meant starts as it is', async () => {
  const { pod, starts, steps } = await inMesh();
  await pod('web', { mode: 'none', ip: '' });
  await starts('web');
  assert.deepEqual(steps(), []);
});

test('a pod that cannot be taken in does not start; its runtime asks again', async () => {
  const { pod, starts, steps, fails } = await inMesh();
  await pod('web', { ip: '' });
  fails.enroll.add('web');
  await assert.rejects(starts('web'), /EADDRINUSE/);
  fails.enroll.clear();
  await starts('web');
  assert.ok(steps().includes('enroll web before it runs'));
});

test('K26: another sandbox of a pod has its own address at once, whatever was told of the former', async () => {
  const { pod, starts, seen, places } = await inMesh();
  await pod('web', { ip: '10.1.0.1' });
  await starts('web', { ip: '10.1.0.2' });
  await pod('web', { ip: '10.1.0.1', account: 'another' });
  await pod('web', { ip: '', account: 'another' });
  await pod('web', { ip: '10.1.0.2', account: 'another' });
  assert.deepEqual(
    seen.requests.map(({ addresses }) => addresses.join()),
    ['10.1.0.1', '10.1.0.2', '10.1.0.2'],
  );
  places.set('uid-web', { path: '/n/elsewhere', inode: 99 });
  await pod('web', { ip: '10.1.0.3', account: 'another' });
  assert.equal(seen.requests.at(-1)?.addresses.join(), '10.1.0.3', 'one that no runtime asked for is believed, too');
});

test('what was judged before a pod had its network takes nothing back', async () => {
  const { pod, starts, steps, pods } = await inMesh();
  const told = pod('web', { ip: '', phase: 'Pending' }); // is looked at, and found to have no address
  await starts('web');
  await told;
  await settle();
  assert.ok(!steps().includes('leave web'));
  assert.equal(pods.outside().length, 0);
});

test('K31: a pod that a file of the node describes is known by the name that its runtime has for it', async () => {
  const { pod, starts, steps } = await inMesh();
  await pod('web', { ip: '', annotations: { 'kubernetes.io/config.hash': 'of the file' } });
  await starts('web', { uid: 'of the file' });
  assert.ok(steps().includes('enroll web before it runs'));
});

test('K17: whose pods wait while there is no agent is written whenever it changes: by labels of namespaces, and of pods', async () => {
  const { pod, namespace, gone, seen } = await inMesh();
  await namespace('none');
  await pod('web', { mode: 'weft' });
  await pod('other');
  await gone('web');
  assert.deepEqual(seen.listed, ['shop', '', 'shop', '']);
});

test('K17: a list that found no room is written when there is some', async () => {
  const { namespace, clock, fails, seen } = await inMesh();
  fails.list = 1;
  await namespace('none');
  assert.deepEqual(seen.listed, ['shop']);
  clock.advance(AGENT.cniLookMs);
  await settle();
  assert.deepEqual(seen.listed, ['shop', '']);
});

test('an agent that leaves the node sends runtimes to the next one', async () => {
  const { pods, starts, steps } = await inMesh();
  const refused = assert.rejects(starts('web'), { code: 'WEFT_AGENT_LEAVING' });
  await pods.leaveNode();
  await refused;
  assert.ok(steps().includes('not asked any more'));
});
