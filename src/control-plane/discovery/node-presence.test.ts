import assert from 'node:assert/strict';
import test from 'node:test';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { NodePresence } from './node-presence.ts';

function client(ip: string, instance = '', node: string | null = 'node-1') {
  return { node, origin: { ip, instance } };
}

test('a node is alive while a stream of it is open, and a while longer', () => {
  const clock = new SteppedClock();
  const presence = new NodePresence(clock);
  clock.advance(100_000);
  assert.equal(presence.isAlive('node-1'), false);
  const left = [presence.opened(client('10.0.0.1')), presence.opened(client('10.0.0.1'))];
  left[0]?.();
  clock.advance(100_000);
  assert.deepEqual([presence.isConnected('node-1'), presence.isAlive('node-1')], [true, true]);
  left[1]?.();
  left[1]?.();
  assert.deepEqual([presence.isConnected('node-1'), presence.isAlive('node-1')], [false, true]);
  clock.advance(45_000);
  assert.equal(presence.isAlive('node-1'), false);
});

test('after a start every node counts as alive until it had the time to come back', () => {
  const clock = new SteppedClock();
  const presence = new NodePresence(clock);
  assert.equal(presence.isAlive('node-1'), true);
  clock.advance(45_000);
  assert.equal(presence.isAlive('node-1'), false);
});

const rivals: { name: string; here: ReturnType<typeof client>; comes: ReturnType<typeof client>; rival: string | null }[] = [
  { name: 'the same machine', here: client('10.0.0.1', 'a'), comes: client('10.0.0.1', 'b'), rival: null },
  { name: 'the same process by another address', here: client('10.0.0.1', 'a'), comes: client('fd00::1', 'a'), rival: null },
  { name: 'another machine', here: client('10.0.0.1', 'a'), comes: client('10.0.0.2', 'b'), rival: '10.0.0.1' },
  { name: 'another machine that tells no word', here: client('10.0.0.1'), comes: client('10.0.0.2'), rival: '10.0.0.1' },
  { name: 'the machine of the control plane itself', here: client('127.0.0.1'), comes: client('::1'), rival: null },
  { name: 'another node', here: client('10.0.0.1'), comes: client('10.0.0.2', '', 'node-2'), rival: null },
  { name: 'who speaks for no node', here: client('10.0.0.1'), comes: client('10.0.0.2', '', null), rival: null },
];
for (const { name, here, comes, rival } of rivals) {
  test(`${name} is ${rival === null ? 'let in' : 'a rival'} while the node is there`, () => {
    const presence = new NodePresence(new SteppedClock());
    const left = presence.opened(here);
    assert.equal(presence.rivalOf(comes), rival);
    left();
    assert.equal(presence.rivalOf(comes), null);
  });
}

test('a rival is told of for as long as it goes on trying', () => {
  const clock = new SteppedClock();
  const presence = new NodePresence(clock);
  presence.opened(client('10.0.0.1'));
  presence.rivalOf(client('10.0.0.2'));
  clock.advance(44_000);
  assert.deepEqual(presence.rivals(), [{ node: 'node-1', from: '10.0.0.1', also: '10.0.0.2' }]);
  clock.advance(1_000);
  assert.deepEqual(presence.rivals(), []);
});

test('an address by which an agent comes is that of its node', () => {
  const presence = new NodePresence(new SteppedClock());
  presence.opened(client('10.0.0.1'));
  assert.deepEqual([presence.nodeAt('10.0.0.1'), presence.nodeAt('10.0.0.2')], ['node-1', null]);
});

test('C72: a node that has a stream at another replica is there: another machine with its token is refused, and its end counts', () => {
  const clock = new SteppedClock();
  const presence = new NodePresence(clock);
  clock.advance(100_000);
  presence.follow(new Map([['node-1', [client('10.0.0.1', 'a').origin]]]));
  assert.deepEqual([presence.isAlive('node-1'), presence.nodeAt('10.0.0.1')], [true, 'node-1']);
  assert.equal(presence.rivalOf(client('10.0.0.2', 'b')), '10.0.0.1');
  assert.equal(presence.rivalOf(client('10.0.0.2', 'a')), null, 'the same process');
  presence.follow(new Map([['node-1', []]]));
  assert.deepEqual([presence.isConnected('node-1'), presence.isAlive('node-1')], [false, true]);
  clock.advance(45_000);
  assert.equal(presence.isAlive('node-1'), false);
});

test('C72: other replicas are told from where a node comes, each once, and when its last stream has ended', () => {
  const told: string[] = [];
  const presence = new NodePresence(new SteppedClock(), (node, origins) =>
    told.push(`${node} ${origins.map(({ ip }) => ip).join()}`),
  );
  const left = [presence.opened(client('10.0.0.1')), presence.opened(client('10.0.0.1'))];
  for (const leave of left) leave();
  assert.deepEqual(told, ['node-1 10.0.0.1', 'node-1 10.0.0.1', 'node-1 10.0.0.1', 'node-1 ']);
});
