import assert from 'node:assert/strict';
import test from 'node:test';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import type { FollowedKind, ObjectChange } from '#protocol/kubernetes/following.ts';
import { SteppedClock } from '../stepped-clock.testing.ts';
import { ApiError } from './connection.ts';
import { FollowKind } from './follow-kind.ts';
import { bookmark, refusedWith, ScriptedServer, service } from './scripted-server.testing.ts';
import { Turns } from './turns.ts';

const KIND: FollowedKind = { group: '', kind: 'Service', versions: ['v1'], keep: (object) => object };
const SERVED = { group: '', version: 'v1', kind: 'Service', plural: 'services', namespaced: true };

function follow(server = new ScriptedServer()) {
  const clock = new SteppedClock();
  const told: string[] = [];
  const troubles: string[] = [];
  const listener = {
    changed(_kind: FollowedKind, changes: readonly ObjectChange[]) {
      for (const { key, object } of changes)
        told.push(object === null ? `-${key}` : `+${key}@${object.metadata.resourceVersion}`);
    },
    trouble: (problem: Error) => void troubles.push(problem.message),
  };
  const effects = { connection: server, clock, random: () => 0.5, initials: new Turns(1) };
  const following = new FollowKind(KIND, SERVED, effects, listener);
  return { server, clock, told, troubles, following };
}

/** Lets what was sent be read. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
}

async function followed() {
  const rig = follow();
  await settle();
  rig.server.last.send({ type: 'ADDED', object: service('a', 1) }, { type: 'ADDED', object: service('b', 2) }, bookmark(5, true));
  await settle();
  await rig.following.told;
  return rig;
}

test('all objects come by one watch, which goes on telling what becomes of them', async () => {
  const { server, told } = await followed();
  const { query } = server.last.request;
  assert.equal(query?.sendInitialEvents, 'true');
  assert.equal(query?.resourceVersion, undefined, 'any version would do');
  server.last.send({ type: 'MODIFIED', object: service('a', 6) }, { type: 'DELETED', object: service('b', 7) });
  await settle();
  assert.deepEqual(told, ['+shop/a@1', '+shop/b@2', '+shop/a@6', '-shop/b']);
  assert.equal(server.watches.length, 1);
});

test('after a break it goes on from the last version, of an event or of a bookmark, and reads nothing twice', async () => {
  const { server, clock, told } = await followed();
  server.last.send(bookmark(9));
  await settle();
  server.last.end();
  await settle();
  clock.advance(KUBERNETES.shortWatchMs);
  await settle();
  assert.equal(server.watches.length, 2);
  assert.equal(server.last.request.query?.resourceVersion, '9');
  assert.equal(server.last.request.query?.sendInitialEvents, undefined);
  assert.equal(told.length, 2);
});

test('K84: a version that the server has forgotten makes it read everything once, and what did not change is not told', async () => {
  const { server, clock, told } = await followed();
  server.last.send({ type: 'ERROR', object: { code: 410, reason: 'Expired', message: 'too old' } });
  await settle();
  clock.advance(KUBERNETES.backoffFirstMs * 2);
  await settle();
  assert.equal(server.last.request.query?.sendInitialEvents, 'true');
  server.last.send({ type: 'ADDED', object: service('a', 1) }, { type: 'ADDED', object: service('b', 2) }, bookmark(20, true));
  await settle();
  assert.deepEqual(told, ['+shop/a@1', '+shop/b@2']);
  assert.equal(server.watches.length, 2);
});

test('K86: what was deleted in the gap is told gone, what was made anew under its name is told gone and there', async () => {
  const { server, clock, told } = await followed();
  server.last.send({ type: 'ERROR', object: { code: 410, reason: 'Expired' } });
  await settle();
  clock.advance(KUBERNETES.backoffFirstMs * 2);
  await settle();
  server.last.send({ type: 'ADDED', object: service('a', 30, 'another') });
  await settle();
  assert.deepEqual(told.slice(2), ['-shop/a', '+shop/a@30'], 'and b stays until everything was read');
  server.last.send(bookmark(31, true));
  await settle();
  assert.deepEqual(told.slice(4), ['-shop/b']);
});

test('K83: a server without streamed lists is read page by page', async () => {
  const server = new ScriptedServer();
  server.refusal = ({ query }) => (query?.sendInitialEvents === 'true' ? refusedWith(422, 'Invalid') : null);
  server.answer = ({ query }) =>
    query?.continue === undefined
      ? { metadata: { resourceVersion: '8', continue: 'next' }, items: [service('a', 1)] }
      : { metadata: { resourceVersion: '8' }, items: [service('b', 2)] };
  const { told, following } = follow(server);
  await settle();
  await following.told;
  assert.deepEqual(told, ['+shop/a@1', '+shop/b@2']);
  assert.equal(server.asked[0]?.query?.limit, String(KUBERNETES.listObjects));
});

test('K87: a page that has expired begins the list anew, and nothing of the first beginning is left over', async () => {
  const server = new ScriptedServer();
  server.refusal = ({ query }) => (query?.sendInitialEvents === 'true' ? refusedWith(422, 'Invalid') : null);
  let expired = false;
  server.answer = ({ query }) => {
    if (query?.continue !== undefined && !expired) {
      expired = true;
      return refusedWith(410, 'Expired');
    }
    if (expired) return { metadata: { resourceVersion: '9' }, items: [service('b', 2)] };
    return { metadata: { resourceVersion: '8', continue: 'next' }, items: [service('a', 1)] };
  };
  const { told, following } = follow(server);
  await settle();
  await following.told;
  assert.deepEqual(told, ['+shop/a@1', '+shop/b@2', '-shop/a']);
});

test('K88: a watch on which nothing comes is begun anew where it was, and that is no trouble; that nobody takes the next one is', async () => {
  const { server, clock, troubles } = await followed();
  clock.advance(KUBERNETES.silentMs);
  await settle();
  clock.advance(KUBERNETES.shortWatchMs);
  await settle();
  assert.deepEqual([server.watches.length, server.last.request.query?.resourceVersion], [2, '5']);
  assert.deepEqual(troubles, []);
  server.refusal = () => refusedWith(503, 'Unavailable');
  clock.advance(KUBERNETES.silentMs);
  await settle();
  clock.advance(KUBERNETES.shortWatchMs);
  await settle();
  assert.match(troubles.join(), /503/);
});

test('K89: a server that says when to come back is not asked before', async () => {
  const { server, clock } = await followed();
  server.refusal = () => refusedWith(429, 'TooManyRequests', 5);
  server.last.end();
  await settle();
  clock.advance(KUBERNETES.shortWatchMs);
  await settle();
  assert.equal(server.watches.length, 2, 'refused');
  clock.advance(4_900);
  await settle();
  assert.equal(server.watches.length, 2);
  clock.advance(200);
  await settle();
  assert.equal(server.watches.length, 3);
});

test('waits grow while nothing is reached, and a problem is told once', async () => {
  const { server, clock, troubles, following } = await followed();
  server.refusal = () => new Error('connect ECONNREFUSED');
  server.last.end();
  await settle();
  for (let step = 0; step < 200; step++) {
    clock.advance(1_000);
    await settle();
  }
  assert.ok(server.watches.length < 15, `${server.watches.length} attempts in 200 s`);
  assert.equal(troubles.length, 1);
  assert.notEqual(following.problem, null);
});

test('one that is closed tells nothing more', async () => {
  const { server, told, following } = await followed();
  following.close();
  server.last.send({ type: 'ADDED', object: service('c', 9) });
  await settle();
  assert.equal(told.length, 2);
});

test('K85: whoever had no answer does not wait on when the API server is back; whoever was told to come later does', async () => {
  const { server, clock } = await followed();
  const fails = async (error: Error): Promise<void> => {
    server.refusal = () => error;
    for (let tries = 0; tries < 8; tries++) {
      server.last.end();
      await settle();
      clock.advance(KUBERNETES.backoffMaxMs);
      await settle();
    }
    server.refusal = () => null;
    const before = server.watches.length;
    server.reach.failed('ECONNREFUSED');
    server.reach.answered();
    await settle();
    clock.advance(KUBERNETES.shortWatchMs);
    await settle();
    assert.equal(server.watches.length - before, error instanceof ApiError ? 0 : 1);
    clock.advance(KUBERNETES.backoffMaxMs);
    await settle();
  };
  await fails(new Error('connect ECONNREFUSED'));
  await fails(refusedWith(429, 'TooManyRequests'));
});
