import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { readDirectly } from '#platform/io/node/direct-read.ts';

async function acceptedPair(): Promise<[client: net.Socket, accepted: net.Socket, listener: net.Server]> {
  const listener = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  assert.ok(address !== null && typeof address === 'object');
  const client = net.connect(address.port, '127.0.0.1');
  const [accepted] = await once(listener, 'connection');
  assert.ok(accepted instanceof net.Socket);
  return [client, accepted, listener];
}

test('this Node.js can read accepted sockets into a given buffer', async () => {
  const [client, accepted, listener] = await acceptedPair();
  const buffer = Buffer.alloc(8);
  const pieces: string[] = [];
  assert.equal(
    readDirectly(accepted, buffer, (bytes) => {
      pieces.push(buffer.toString('latin1', 0, bytes));
      return true;
    }),
    true,
  );
  accepted.on('data', () => assert.fail("'data' is not emitted any more"));
  accepted.resume();
  client.end('0123456789abcdef!');
  await once(accepted, 'end');
  assert.deepEqual(pieces, ['01234567', '89abcdef', '!']);
  accepted.destroy();
  listener.close();
});

test('returning false pauses, resume() goes on', async () => {
  const [client, accepted, listener] = await acceptedPair();
  const buffer = Buffer.alloc(4);
  let reads = 0;
  readDirectly(accepted, buffer, () => ++reads !== 1);
  accepted.resume();
  client.write('aaaabbbbcccc');
  while (reads === 0) await new Promise((resolve) => setImmediate(resolve));
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(reads, 1);
  accepted.resume();
  while (reads < 3) await new Promise((resolve) => setImmediate(resolve));
  client.destroy();
  accepted.destroy();
  listener.close();
});

test('a socket without a handle is left alone', () => {
  assert.equal(
    readDirectly(new net.Socket(), Buffer.alloc(1), () => true),
    false,
  );
});
