import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { test } from 'node:test';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import {
  answerOf,
  connectHttp2,
  connectStream,
  connectTls,
  createTestIdentities,
  echo,
  opened,
  REQUEST,
  readAll,
  serverOf,
  startTestClient,
  until,
} from './peers.testing.ts';

const { web, cart } = await createTestIdentities();

const serve = serverOf(cart);

test('B21: a client that ignores PING is dropped within 30 s', async (t) => {
  const clock = new SteppedClock();
  const { port, server } = await serve(t, echo, { clock });
  const socket = connectTls(t, port, web);
  socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from('000000040000000000', 'hex')]));
  socket.resume();
  let closed = false;
  socket.on('close', () => {
    closed = true;
  });
  await until(() => server.sessions().length === 1, 'the session');
  clock.advance(10_000);
  clock.advance(19_999);
  await until(() => true, '');
  assert.equal(server.sessions().length, 1);
  clock.advance(1);
  await until(() => closed && server.sessions().length === 0, 'the drop');
});

test('B55: draining sends GOAWAY, takes nothing new, lets streams live to the deadline and then cuts them', async (t) => {
  const clock = new SteppedClock();
  const { port, server } = await serve(t, echo, { clock });
  const client = connectHttp2(t, port, web);
  const stream = connectStream(client, '127.0.0.1:1');
  await answerOf(stream);
  let cut = false;
  stream.on('close', () => {
    cut = true;
  });
  stream.on('error', () => {});
  const goaway = new Promise<number>((resolve) => client.on('goaway', (code) => resolve(code)));
  let drained = false;
  const draining = server.drain(25_000).then(() => {
    drained = true;
  });
  assert.equal(await goaway, 0);
  const refused = net.connect(port, '127.0.0.1');
  refused.on('error', () => {});
  await new Promise((resolve) => refused.on('close', resolve));
  stream.write('still here');
  const [echoed] = await new Promise<[Buffer]>((resolve) => stream.on('data', (chunk) => resolve([chunk])));
  assert.equal(echoed.toString(), 'still here');
  assert.deepEqual([cut, drained], [false, false]);
  clock.advance(25_000);
  await draining;
  await until(() => cut, 'the cut');
});

test('B55: draining is over as soon as the last tunnel has ended', async (t) => {
  const { port, server } = await serve(t);
  const { pool, target } = startTestClient(t, { source: web, peer: cart });
  const stream = opened(await pool.open(target(port), REQUEST));
  const draining = server.drain(25_000);
  stream.end('bye');
  assert.equal((await readAll(stream)).toString(), 'bye');
  await draining;
  await until(() => pool.size() === 0, 'the end of the connection');
});

test('B55: a tunnel that is opened while GOAWAY is on its way is served, on a connection that was unused as well', async (t) => {
  for (const isUsed of [true, false]) {
    const { port, server } = await serve(t);
    const client = connectHttp2(t, port, web);
    const first = connectStream(client, '127.0.0.1:1');
    await answerOf(first);
    if (!isUsed) {
      first.end();
      await once(first.resume(), 'close');
      await until(() => server.sessions()[0]?.tunnels === 0, 'the end of the tunnel');
    }
    const draining = server.drain(25_000);
    const late = connectStream(client, '127.0.0.1:1'); // before anything of the server can be read
    assert.equal((await answerOf(late)).headers[':status'], 200);
    for (const stream of isUsed ? [first, late] : [late]) {
      stream.end('bye');
      await once(stream.resume(), 'close');
    }
    await draining;
  }
});

test('B55: a handshake that is under way when draining begins is finished, and its tunnel finds the next server', async (t) => {
  const [former, next] = [await serve(t), await serve(t)];
  let release = (): void => {};
  let dialled = 0;
  const slow = net.createServer((near) => {
    const far = net.connect(dialled++ === 0 ? former.port : next.port, '127.0.0.1');
    for (const socket of [near, far]) socket.on('error', () => socket.destroy());
    far.pipe(near);
    release = () => void near.pipe(far);
    if (dialled > 1) release();
  });
  slow.listen(0, '127.0.0.1');
  await once(slow, 'listening');
  t.after(() => slow.close());
  const { pool, target } = startTestClient(t, { source: web, peer: cart });
  const opening = pool.open(target((slow.address() as net.AddressInfo).port), REQUEST);
  await until(() => former.accepted.length === 1, 'the connection');
  const draining = former.server.drain(25_000);
  release();
  const stream = opened(await opening);
  stream.end('bye');
  assert.equal((await readAll(stream)).toString(), 'bye');
  await draining;
});

test('floods end the connection: rapid reset, PING, SETTINGS, empty frames', async (t) => {
  const preface = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from('000000040000000000', 'hex')]);
  const floods: [string, (at: number) => Buffer][] = [
    ['rapid reset', (at) => Buffer.concat([requestFrame(1 + 2 * at), resetFrame(1 + 2 * at)])],
    ['PING', () => Buffer.from('0000080600000000000000000000000000', 'hex')],
    ['SETTINGS', () => Buffer.from('000000040000000000', 'hex')],
    ['empty DATA', (at) => (at === 0 ? requestFrame(1) : Buffer.from('000000000000000001', 'hex'))],
  ];
  for (const [name, frame] of floods) {
    // What is answered has been paid for: a rapid reset is one that comes before.
    const { port, server } = await serve(t, (tunnel) => void (name === 'rapid reset' || tunnel.accept('')));
    const socket = connectTls(t, port, web);
    socket.on('error', () => {});
    let received = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
    });
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.write(
      Buffer.concat([
        preface,
        ...Array.from({ length: name === 'rapid reset' ? TUNNEL.resetBurst + 200 : 1_200 }, (_, at) => frame(at)),
      ]),
    );
    await closed;
    assert.match(received.toString('latin1'), /too many/, name);
    await until(() => server.sessions().length === 0, name);
  }
});

test('S21: 4,000 tunnels that apps give up at once are no attack: another one of the connection goes on', async (t) => {
  for (const answers of [false, true]) {
    const { port } = await serve(t, (tunnel) => {
      if (tunnel.authority !== 'a:1') echo(tunnel);
      else if (answers) tunnel.accept('');
    });
    const client = connectHttp2(t, port, web);
    const innocent = connectStream(client, '127.0.0.1:1');
    await answerOf(innocent);
    for (let round = 0; round < 40; round++) {
      const given = Array.from({ length: 100 }, () => connectStream(client, 'a:1').on('error', () => {}));
      if (answers) await Promise.all(given.map((stream) => once(stream, 'response')));
      const closed = given.map((stream) => once(stream, 'close'));
      for (const stream of given) stream.close(http2.constants.NGHTTP2_CANCEL);
      await Promise.all(closed);
    }
    innocent.end('still here');
    assert.equal(String((await once(innocent, 'data'))[0]), 'still here');
  }
});

function resetFrame(id: number): Buffer {
  const frame = Buffer.from('00000403000000000000000008', 'hex');
  frame.writeUInt32BE(id, 5);
  return frame;
}

/** A CONNECT to `a:1` by hand. */
function requestFrame(id: number): Buffer {
  const block = Buffer.concat([
    Buffer.from('0207', 'hex'),
    Buffer.from('CONNECT'),
    Buffer.from('0103', 'hex'),
    Buffer.from('a:1'),
  ]);
  const header = Buffer.from('000000010400000000', 'hex');
  header[2] = block.length;
  header.writeUInt32BE(id, 5);
  return Buffer.concat([header, block]);
}
