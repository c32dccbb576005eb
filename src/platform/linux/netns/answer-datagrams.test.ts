import assert from 'node:assert/strict';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import test, { type TestContext } from 'node:test';
import { answerDatagrams, type DatagramAnswers } from '#platform/linux/netns/answer-datagrams.ts';

/** A server on loopback, a client that asks it, and what was dropped. */
async function setUp(t: TestContext, answer: DatagramAnswers['answer']) {
  const [server, client] = [createSocket('udp4'), createSocket('udp4')];
  await Promise.all([server, client].map((socket) => once(socket.bind(0, '127.0.0.1'), 'listening')));
  const dropped: string[] = [];
  const close = answerDatagrams(server, {
    answer,
    dropped: (error) => void dropped.push(error instanceof Error ? (Reflect.get(error, 'code') ?? error.message) : 'no error'),
  });
  t.after(() => {
    close();
    client.close();
  });
  const ask = (text: string): void => client.send(text, server.address().port, '127.0.0.1');
  const heard = async (): Promise<string> => String((await once(client, 'message'))[0]);
  return { server, ask, heard, dropped, close };
}

/** As if a datagram had come from there. */
function arrive(server: Socket, from: Partial<RemoteInfo>): void {
  server.emit('message', Buffer.from('q'), { address: '127.0.0.1', family: 'IPv4', port: 9, size: 1, ...from });
}

test('a datagram is answered to whoever sent it', async (t) => {
  const { ask, heard } = await setUp(t, async (query, { ip }) => Buffer.from(`${query} from ${ip}`));
  ask('one');
  assert.equal(await heard(), 'one from 127.0.0.1');
});

test('S17: an answer that is ready after its socket was closed is nobody’s: nothing is thrown, nothing is told', async (t) => {
  const late = Promise.withResolvers<Buffer>();
  const { server, close, dropped } = await setUp(t, () => late.promise);
  arrive(server, {});
  close();
  close(); // and a second close is none
  late.resolve(Buffer.from('too late'));
  await new Promise(setImmediate);
  assert.deepEqual(dropped, []);
});

test('S17: what cannot be answered is dropped alone: the next query gets its answer', async (t) => {
  const { server, ask, heard, dropped } = await setUp(t, async (query) => {
    if (String(query) === 'mistake') throw new Error('planted');
    return query;
  });
  arrive(server, { port: 0 }); // a raw socket can ask from port 0, to which nothing can be sent
  ask('mistake');
  ask('fine');
  assert.equal(await heard(), 'fine');
  assert.deepEqual(dropped, ['ERR_SOCKET_BAD_PORT', 'planted']);
});

test('a failed read drops one datagram, and a link-local client is left without an answer', async (t) => {
  const { server, ask, heard, dropped } = await setUp(t, async (query) => query);
  arrive(server, { address: 'fe80::1%eth0', family: 'IPv6' });
  server.emit('error', new Error('read failed'));
  ask('fine');
  assert.equal(await heard(), 'fine');
  assert.deepEqual(dropped, ['read failed']);
});
