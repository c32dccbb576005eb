import assert from 'node:assert/strict';
import type http2 from 'node:http2';
import { test } from 'node:test';
import { createMishaps } from '#model/effects/mishaps.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { InboundTunnel } from '#protocol/hbone/transport.ts';
import {
  answerOf,
  connectHttp2,
  connectStream,
  createTestIdentities,
  REQUEST,
  recordingLog,
  serverOf,
  startTestClient,
  until,
} from './peers.testing.ts';

const { web, cart } = await createTestIdentities();

const serve = serverOf(cart);

test('B6: a request that is not CONNECT is answered 400 with END_STREAM', async (t) => {
  const { port } = await serve(t);
  const client = connectHttp2(t, port, web);
  const get = await answerOf(client.request({ ':method': 'GET', ':path': '/' }));
  assert.deepEqual([get.status, get.ended], [400, true]);
  const post = await answerOf(client.request({ ':method': 'POST', ':path': '/' }, { endStream: false }));
  assert.deepEqual([post.status, post.ended], [400, true]);
});

for (const [label, status] of [
  ['B7, an address that is not ours', 400],
  ['B10, denied by policy', 401],
  ['B9 and B11, not reachable', 503],
] as const) {
  test(`${label}: ${status} with END_STREAM and no body`, async (t) => {
    const { port } = await serve(t, (tunnel) => tunnel.refuse(status));
    const client = connectHttp2(t, port, web);
    const answer = await answerOf(connectStream(client, '10.0.0.1:80'));
    assert.deepEqual([answer.status, answer.ended], [status, true]);
  });
}

test('B12: 200 carries the baggage it is accepted with, and none for none', async (t) => {
  let baggage = 'service.name=cart';
  const { port } = await serve(t, (tunnel) => void tunnel.accept(baggage));
  const client = connectHttp2(t, port, web);
  const first = await answerOf(connectStream(client, '127.0.0.1:1'));
  assert.equal(first.headers.baggage, 'service.name=cart');
  baggage = '';
  const second = await answerOf(connectStream(client, '127.0.0.1:1'));
  assert.deepEqual([second.status, 'baggage' in second.headers], [200, false]);
});

test('B11: nothing is answered before the owner has answered', async (t) => {
  const tunnels: InboundTunnel[] = [];
  const { port } = await serve(t, (tunnel) => void tunnels.push(tunnel));
  const client = connectHttp2(t, port, web);
  const stream = connectStream(client, '127.0.0.1:1');
  let answered = false;
  stream.on('response', () => {
    answered = true;
  });
  await until(() => tunnels.length === 1, 'the tunnel');
  await new Promise<void>((resolve) => client.ping(() => resolve()));
  assert.equal(answered, false);
  tunnels[0]?.refuse(503);
  tunnels[0]?.accept('ignored: already answered');
  await until(() => answered, 'the answer');
});

test('the owner sees what the client said and who it is', async (t) => {
  const tunnels: InboundTunnel[] = [];
  const { port } = await serve(t, (tunnel) => void tunnels.push(tunnel));
  const { pool, dialled, target } = startTestClient(t, { source: web, peer: cart });
  void pool.open(target(port), { ...REQUEST, serviceHost: 'cart.shop.svc' });
  await until(() => tunnels.length === 1, 'the tunnel');
  const { accept: _accept, refuse: _refuse, ...seen } = tunnels[0] ?? assert.fail();
  assert.deepEqual(seen, {
    authority: '127.0.0.1:8080',
    peer: web.identity,
    remoteAddress: '127.0.0.1',
    remotePort: dialled[0]?.localPort,
    localAddress: '127.0.0.1',
    baggage: REQUEST.baggage,
    forwarded: 'for="127.0.0.1:40000";host=cart.shop.svc',
    traceparent: REQUEST.traceparent,
  });
});

test('B15: SETTINGS show window 128 KiB, frame 1 MiB, 200 streams; the connection window is 16 MiB', async (t) => {
  const { port } = await serve(t);
  const client = connectHttp2(t, port, web);
  const settings = await new Promise<http2.Settings>((resolve) => client.on('remoteSettings', resolve));
  assert.deepEqual(
    [settings.initialWindowSize, settings.maxFrameSize, settings.maxConcurrentStreams, settings.maxHeaderListSize],
    [128 << 10, 1 << 20, 200, 64 << 10],
  );
  await until(() => client.state.remoteWindowSize === 16 << 20, 'the connection window');
});

test('the 201st stream of a connection is refused without harm to the others', async (t) => {
  const { port, server } = await serve(t, (tunnel) => void tunnel.accept(''));
  const client = connectHttp2(t, port, web);
  // node:http2 keeps the limit by itself, so it is told a higher one by asking before the settings arrive.
  const streams = Array.from({ length: 210 }, () => connectStream(client, '127.0.0.1:1'));
  const ended = await Promise.all(streams.slice(0, 200).map((stream) => answerOf(stream).then(({ status }) => status)));
  assert.ok(ended.every((status) => status === 200));
  assert.equal(server.sessions()[0]?.tunnels, 200);
  for (const stream of streams) stream.on('error', () => {});
});

test('an owner that throws costs one 503 and one log line', async (t) => {
  const { log, lines } = recordingLog();
  const { port } = await serve(
    t,
    () => {
      throw new Error('broken owner');
    },
    { mishaps: createMishaps(log, new SteppedClock()) },
  );
  const client = connectHttp2(t, port, web);
  assert.equal((await answerOf(connectStream(client, '127.0.0.1:1'))).status, 503);
  assert.match(lines.join('\n'), /broken owner/);
});
