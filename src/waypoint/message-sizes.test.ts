import assert from 'node:assert/strict';
import http2 from 'node:http2';
import test, { type TestContext } from 'node:test';
import { Distribution } from '#model/telemetry/meters.ts';
import type { CounterName, HistogramName } from '#model/telemetry/metrics.ts';
import { framed } from '#protocol/grpc/unary.ts';
import { deadPort, rawClient, startApp, startRawApp } from '#waypoint/clients.testing.ts';
import { ask2, http2Client, startHttp2App } from '#waypoint/http2-clients.testing.ts';
import { CART, type Rig, type RigOptions, startRig, until } from '#waypoint/waypoint-rig.testing.ts';

async function startedRig(t: TestContext, port: number, options: RigOptions = {}): Promise<Rig> {
  const rig = await startRig(options);
  t.after(() => rig.close());
  rig.endpoints([port]);
  return rig;
}

/** The sum of what was observed, of how many messages, over all series. */
function observed(rig: Rig, name: HistogramName): [bytes: number, messages: number] {
  const all = rig.waypoint.meters.collect().find((family) => family.name === name)?.series ?? [];
  const found = all.flatMap(({ value }) => (value instanceof Distribution ? [value] : []));
  const messages = found.flatMap(({ counts }) => counts).reduce((sum, count) => sum + count, 0);
  return [found.reduce((sum, { sum: bytes }) => sum + bytes, 0), messages];
}

const sizes = (rig: Rig) => [observed(rig, 'istio_request_bytes'), observed(rig, 'istio_response_bytes')];
const messages = (rig: Rig) =>
  (['istio_request_messages_total', 'istio_response_messages_total'] satisfies CounterName[]).map((name) =>
    rig.waypoint.meters.total(name),
  );

const POST = 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello';
const CHUNKED =
  'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nt: v\r\n\r\n';
const GET = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';
const HEAD = 'HEAD / HTTP/1.1\r\nhost: a\r\n\r\n';

test('W68 the size of a request and of its response is what each was on the wire: head, body and framing', async (t) => {
  const app = await startApp(t, ({ method, body }, response) => {
    if (method === 'POST') response.setHeader('content-length', 3 * body.length);
    if (method === 'POST') response.end(body.repeat(3));
    else response.end();
  });
  const rig = await startedRig(t, app.port);
  const client = await rawClient(t, rig.port);
  let sent = 0;
  for (const [at, request] of [POST, CHUNKED, GET, HEAD].entries()) {
    client.socket.write(request);
    sent += request.length;
    await until(() => observed(rig, 'istio_response_bytes')[1] === at + 1);
    await until(() => client.received().length === observed(rig, 'istio_response_bytes')[0]);
    assert.deepEqual(observed(rig, 'istio_request_bytes'), [sent, at + 1]);
  }
});

test('W68 requests that come in one piece, and one that comes byte by byte, are as long as each of them is', async (t) => {
  const app = await startApp(t);
  const rig = await startedRig(t, app.port);
  const client = await rawClient(t, rig.port);
  client.socket.setNoDelay(true);
  client.socket.write(POST + CHUNKED + GET);
  await until(() => observed(rig, 'istio_response_bytes')[1] === 3);
  for (const byte of CHUNKED) await new Promise((resolve) => client.socket.write(byte, resolve));
  await until(() => observed(rig, 'istio_response_bytes')[1] === 4);
  await until(() => client.received().length === observed(rig, 'istio_response_bytes')[0]);
  assert.deepEqual(observed(rig, 'istio_request_bytes'), [POST.length + 2 * CHUNKED.length + GET.length, 4]);
});

test('W68 an answer of the waypoint has a size, too, and a chunked one with all its chunks', async (t) => {
  const app = await startApp(t, (_heard, response) => {
    response.write('one');
    response.end('and another');
  });
  const rig = await startedRig(t, await deadPort());
  const client = await rawClient(t, rig.port);
  client.socket.write(GET);
  await until(() => observed(rig, 'istio_response_bytes')[1] === 1);
  rig.endpoints([app.port]);
  client.socket.write(GET);
  await until(() => client.received().endsWith('0\r\n\r\n'));
  assert.match(client.received(), /^HTTP\/1.1 503 [\s\S]*HTTP\/1.1 200 [\s\S]*transfer-encoding: chunked/);
  assert.deepEqual(sizes(rig), [
    [2 * GET.length, 2],
    [client.received().length, 2],
  ]);
});

test('W68 a connection that was upgraded is as long as all that passed', async (t) => {
  const port = await startRawApp(t, (socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello');
      socket.on('end', () => socket.end());
    });
  });
  const rig = await startedRig(t, port);
  const client = await rawClient(t, rig.port);
  const head = 'GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n';
  client.socket.write(head);
  await until(() => client.received().endsWith('hello'));
  client.socket.end('ping');
  await until(() => observed(rig, 'istio_request_bytes')[1] === 1);
  assert.deepEqual(sizes(rig), [
    [head.length + 4, 1],
    [client.received().length, 1],
  ]);
});

test('W68 a client that leaves has got what it has got', async (t) => {
  const app = await startApp(t, (_heard, response) => void response.write('begun'));
  const rig = await startedRig(t, app.port);
  const client = await rawClient(t, rig.port);
  client.socket.write(GET);
  await until(() => client.received().includes('begun'));
  client.socket.destroy();
  await until(() => observed(rig, 'istio_response_bytes')[1] === 1);
  assert.deepEqual(sizes(rig), [
    [GET.length, 1],
    [client.received().length, 1],
  ]);
});

/** No code of HPACK makes this shorter. */
const LONG = '~'.repeat(500);
const CALL = { ':method': 'POST', ':path': '/shop.Cart/Get', 'content-type': 'application/grpc', te: 'trailers', 'x-long': LONG };

/** Answers each call with these messages, written in these pieces. */
function answering(pieces: readonly Buffer[]) {
  return (stream: http2.ServerHttp2Stream): void => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-long': LONG }));
    for (const piece of pieces) stream.write(piece);
    stream.end();
  };
}

test('W69 messages of gRPC calls are counted each way, however frames cut them', async (t) => {
  const three = Buffer.concat([framed(Buffer.alloc(10)), framed(Buffer.alloc(0)), framed(Buffer.alloc(40_000))]);
  const app = await startHttp2App(t, answering([three.subarray(0, 3), three.subarray(3, 17), three.subarray(17)]));
  const rig = await startedRig(t, app.port, { appProtocol: 'grpc' });
  const session = http2Client(t, rig.port);
  const two = Buffer.concat([framed(Buffer.alloc(100)), framed(Buffer.alloc(1))]);
  const stream = session.request(CALL);
  for (const piece of [two.subarray(0, 4), two.subarray(4, 106), two.subarray(106)])
    await new Promise<void>((resolve) => stream.write(piece, () => resolve()));
  stream.end();
  stream.resume();
  await until(() => stream.closed);
  await until(() => messages(rig)[1] === 3);
  assert.deepEqual(messages(rig), [2, 3]);
  const [[requestBytes, requests = 0] = [0], [responseBytes, responses = 0] = [0]] = sizes(rig);
  assert.deepEqual([requests, responses], [1, 1]);
  // How far heads are compressed, and how many frames there are, is up to their codecs.
  const within = (bytes: number, body: number) => bytes > body + LONG.length + 18 && bytes < body + LONG.length + 400;
  assert.ok(within(requestBytes, two.length) && within(responseBytes, three.length), `${requestBytes}, ${responseBytes}`);
});

test('W69 what is no gRPC has no messages: neither a plain request nor the page of a server that speaks none', async (t) => {
  const app = await startHttp2App(t, (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'text/html' });
    stream.end(Buffer.alloc(50));
  });
  const rig = await startedRig(t, app.port, { appProtocol: 'http2' });
  const session = http2Client(t, rig.port);
  await ask2(session, { ...CALL, 'content-type': 'text/plain' }, framed(Buffer.alloc(3)));
  await until(() => observed(rig, 'istio_response_bytes')[1] === 1);
  assert.deepEqual(messages(rig), [0, 0]);
  await ask2(session, CALL, framed(Buffer.alloc(3)));
  await until(() => messages(rig)[0] === 1);
  assert.deepEqual(messages(rig), [1, 0]);
});

test('W68 what a client of HTTP/2 has yet to make room for belongs to its response', async (t) => {
  const bytes = 1_500;
  const app = await startHttp2App(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.end(Buffer.alloc(bytes));
  });
  const rig = await startedRig(t, app.port, { appProtocol: 'http2' });
  const session = http2.connect(`http://127.0.0.1:${rig.port}`, { settings: { initialWindowSize: 1_000 } });
  t.after(() => session.destroy());
  const stream = session.request({ ':path': '/' });
  await until(() => observed(rig, 'istio_response_bytes')[1] === 1);
  let got = 0;
  stream.on('data', (data: Buffer) => {
    got += data.length;
  });
  await until(() => stream.closed);
  assert.equal(got, bytes);
  const [, [sent = 0] = []] = sizes(rig);
  assert.ok(sent > bytes + 18 && sent < bytes + 400, String(sent));
});

test('config-api 5.1: sizes and messages are counted with the labels that are asked for, or not at all', async (t) => {
  const telemetry = {
    metrics: {
      istio_request_bytes: false,
      istio_response_bytes: [{ tag: 'page', value: 'request.url_path' }],
      istio_request_messages_total: [{ tag: 'destination_app', value: null }],
      istio_response_messages_total: false,
    },
  } as const;
  const app = await startHttp2App(t, answering([framed(Buffer.alloc(2))]));
  const config = { services: [{ key: CART, routes: [], policies: [], telemetry }] };
  const rig = await startedRig(t, app.port, { appProtocol: 'grpc', config });
  await ask2(http2Client(t, rig.port), CALL, framed(Buffer.alloc(3)));
  await until(() => observed(rig, 'istio_response_bytes')[1] === 1);
  const shown = (name: string) => rig.waypoint.meters.collect().find((family) => family.name === name)?.series ?? [];
  assert.deepEqual([shown('istio_request_bytes'), shown('istio_response_messages_total')], [[], []]);
  assert.equal(shown('istio_response_bytes')[0]?.labels.page, CALL[':path']);
  assert.deepEqual(
    shown('istio_request_messages_total').map(({ labels, value }) => [labels.destination_app, value]),
    [['', 1]],
  );
});
