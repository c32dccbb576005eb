import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionWindow, GrownWindows } from './receive-window.ts';
import { connectedPair, exchange, openStream, SETTINGS, send } from './wire.testing.ts';

const GROWING = { ...SETTINGS, streamWindowBytesMax: 400, grownWindowsBytesMax: 250 };

test('windows of connections with one bound grow by no more than that all together', () => {
  const grown = new GrownWindows();
  const [one, other] = [new ConnectionWindow(GROWING, grown, () => {}), new ConnectionWindow(GROWING, grown, () => {})];
  assert.equal(one.growth(100), 100);
  assert.equal(other.growth(100), 100);
  assert.equal(one.growth(100), 0, 'the other has used it up');
  other.shrink(100);
  assert.equal(one.growth(100), 100);
  assert.equal(new ConnectionWindow(GROWING, new GrownWindows(), () => {}).growth(100), 100, 'another workload has its own');
});

test('a stream has room for what its windows and the transport let out, and none while something waits', () => {
  const { client, server } = connectedPair();
  const { near, far } = openStream(client, server);
  assert.equal(near.stream?.room(), SETTINGS.streamWindowBytes);
  client.writable = false;
  assert.equal(near.stream?.room(), 0);
  client.writable = true;
  far.autoTake = false;
  send(near, Buffer.alloc(SETTINGS.streamWindowBytes - 10));
  assert.equal(near.stream?.room(), 10);
  send(near, Buffer.alloc(20));
  assert.equal(near.stream?.room(), 0);
  exchange(client, server);
  far.stream?.giveBack(SETTINGS.streamWindowBytes);
  exchange(client, server);
  assert.equal(near.stream?.room(), SETTINGS.streamWindowBytes - 10);
});
