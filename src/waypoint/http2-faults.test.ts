import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import test, { type TestContext } from 'node:test';
import { FRAME_TYPE, type Frame, frameBytes, framesIn, STATUS_200, settingsAndAck } from '#platform/http2/frames.testing.ts';
import { encodeHeaders } from '#protocol/http/v2/hpack-encoder.ts';
import { ask2, http2Client, startHttp2App } from './http2-clients.testing.ts';
import { type Rig, settle, startRig, until } from './waypoint-rig.testing.ts';

async function rigFor(t: TestContext, port: number): Promise<Rig> {
  const rig = await startRig({ appProtocol: 'grpc' });
  t.after(() => rig.close());
  rig.endpoints([port]);
  return rig;
}

/** One connection to an app whose frames the test writes. `streams`: those whose requests have come. */
type Peer = { socket: net.Socket; streams: number[]; frames(): Frame[]; say(...frames: Frame[]): void };

/** `onRequest`: called with the number of the connection, from 1, and of the stream. */
async function startFrameApp(
  t: TestContext,
  onRequest: (peer: Peer, connection: number, stream: number) => void,
): Promise<number> {
  let connections = 0;
  const sockets: net.Socket[] = [];
  const server = net.createServer((socket) => {
    const connection = ++connections;
    sockets.push(socket.on('error', () => {}));
    let heard = Buffer.alloc(0);
    const peer: Peer = {
      socket,
      streams: [],
      frames: () => framesIn(heard, true),
      say: (...frames) => socket.write(Buffer.concat(frames.map(frameBytes))),
    };
    socket.write(settingsAndAck());
    socket.on('data', (data) => {
      heard = Buffer.concat([heard, data]);
      for (const { type, stream } of peer.frames()) {
        if (type !== FRAME_TYPE.headers || peer.streams.includes(stream)) continue;
        peer.streams.push(stream);
        onRequest(peer, connection, stream);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as net.AddressInfo).port;
}

const ok = (stream: number): Frame => ({ type: FRAME_TYPE.headers, flags: 5, stream, payload: STATUS_200 });
const GOAWAY = 7;
const goaway = (last: number): Frame => ({
  type: GOAWAY,
  flags: 0,
  stream: 0,
  payload: Buffer.from([0, 0, 0, last, 0, 0, 0, 0]),
});
const rstCodes = (frames: Frame[]): number[] =>
  frames.filter(({ type }) => type === FRAME_TYPE.rstStream).map(({ payload }) => payload.readUInt32BE(0));

/** The values of `name`, in order. */
function valuesOf(raw: readonly string[], name: string): string[] {
  return raw.flatMap((text, at) => (at % 2 === 0 && text === name ? [raw[at + 1] ?? ''] : []));
}

test('F14: metadata that occurs twice stays apart and in order, in heads and trailers, both ways', async (t) => {
  const twice = { 'x-meta': ['b', 'a', 'b'], 'x-data-bin': ['AAE', 'AAI'] };
  const heard: string[][] = [];
  const server = http2.createServer();
  server.on('stream', (stream, _headers, _flags, raw: string[]) => {
    heard.push(raw);
    stream.on('trailers', (_trailers, _ended, rawTrailers: string[]) => heard.push(rawTrailers));
    stream.resume().on('end', () => {
      stream.on('wantTrailers', () => stream.sendTrailers(twice));
      stream.respond({ ':status': 200, ...twice }, { waitForTrailers: true });
      stream.end('body');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const rig = await rigFor(t, (server.address() as net.AddressInfo).port);
  const client = http2Client(t, rig.port);
  const stream = client.request({ ':method': 'POST', ':path': '/', ...twice }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(twice));
  stream.on('response', (_headers, _flags, raw: string[]) => heard.push(raw));
  stream.on('trailers', (_headers, _flags, raw: string[]) => heard.push(raw));
  stream.resume().end('body');
  await once(stream, 'close');
  client.destroy();
  assert.equal(heard.length, 4);
  for (const raw of heard) {
    assert.deepEqual(valuesOf(raw, 'x-meta'), ['b', 'a', 'b']);
    assert.deepEqual(valuesOf(raw, 'x-data-bin'), ['AAE', 'AAI']);
  }
});

const ENDS: { name: string; end(peer: Peer, stream: number): void; status: number }[] = [
  { name: 'FIN', end: ({ socket }) => socket.end(), status: 503 },
  { name: 'RST', end: ({ socket }) => socket.resetAndDestroy(), status: 503 },
  {
    name: 'GOAWAY that covers the call, and FIN',
    end(peer, stream) {
      peer.say(goaway(stream));
      peer.socket.end();
    },
    status: 503,
  },
  {
    name: 'a header block that cannot be read',
    end: (peer, stream) => peer.say({ type: FRAME_TYPE.headers, flags: 5, stream, payload: Buffer.from([0xff]) }),
    status: 502,
  },
  { name: 'HTTP/1', end: ({ socket }) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'), status: 502 },
];
for (const { name, end, status } of ENDS) {
  test(`F1: ${name} fails every call of the connection at once, and the next one dials anew`, async (t) => {
    const port = await startFrameApp(t, (peer, connection, stream) => {
      if (connection > 1) peer.say(ok(stream));
      else if (peer.streams.length === 2) end(peer, stream);
    });
    const rig = await rigFor(t, port);
    const client = http2Client(t, rig.port);
    const both = await Promise.all([ask2(client, { ':path': '/a' }), ask2(client, { ':path': '/b' })]);
    assert.deepEqual(
      both.map((answer) => answer.status),
      [status, status],
    );
    assert.equal((await ask2(client, { ':path': '/c' })).status, 200);
    assert.equal(rig.waypoint.counters.upstreamConnections, 2);
  });
}

test('F2: what a GOAWAY does not cover is sent again over a new connection, with its body', async (t) => {
  const port = await startFrameApp(t, (peer, connection, stream) => {
    if (connection === 1) peer.say(goaway(0));
    else peer.say(ok(stream));
  });
  const rig = await rigFor(t, port);
  const seen = await ask2(http2Client(t, rig.port), { ':method': 'POST', ':path': '/' }, 'body');
  assert.equal(seen.status, 200);
  assert.deepEqual([rig.waypoint.counters.upstreamConnections, rig.waypoint.counters.upstreamRetries], [2, 1]);
});

test('F2: fifty callers of an app that takes ten streams a connection are all answered', async (t) => {
  const server = http2.createServer({ settings: { maxConcurrentStreams: 10 } });
  server.on('stream', (stream) =>
    setImmediate(() => {
      if (stream.destroyed) return;
      stream.respond({ ':status': 200 });
      stream.end('ok');
    }),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const rig = await rigFor(t, (server.address() as net.AddressInfo).port);
  const client = http2Client(t, rig.port);
  const answers = await Promise.all(Array.from({ length: 50 }, () => ask2(client, { ':method': 'POST', ':path': '/' }, 'x')));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  assert.equal(rig.waypoint.counters.upstreamRetries, 0);
  client.destroy();
});

test('F1: a head of 70 kB fails alone: the other call of its connection is answered', async (t) => {
  const large = encodeHeaders([
    [':status', '200'],
    ['x-large', 'x'.repeat(70_000)],
  ]);
  const pieces = [0, 1, 2, 3, 4].map((at) => large.subarray(at * 16_384, (at + 1) * 16_384));
  const port = await startFrameApp(t, (peer) => {
    const [first, second] = peer.streams;
    if (first === undefined || second === undefined) return;
    peer.say(
      ...pieces.map((payload, at) => ({
        type: at === 0 ? FRAME_TYPE.headers : 9,
        flags: at === 4 ? 4 : 0,
        stream: first,
        payload,
      })),
      ok(second),
    );
  });
  const rig = await rigFor(t, port);
  const client = http2Client(t, rig.port);
  const answers = await Promise.all([ask2(client, { ':path': '/a' }), ask2(client, { ':path': '/b' })]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 503]);
  assert.equal(rig.waypoint.counters.upstreamConnections, 1);
});

test('F1: a client that leaves ends its requests at the app, with CANCEL', async (t) => {
  let app: Peer | null = null;
  const port = await startFrameApp(t, (peer) => {
    app = peer;
  });
  const rig = await rigFor(t, port);
  const client = http2Client(t, rig.port);
  client.request({ ':path': '/' }).on('error', () => {});
  await until(() => app !== null);
  client.destroy();
  await until(() => rstCodes((app as Peer | null)?.frames() ?? []).length === 1);
  assert.deepEqual(rstCodes((app as Peer | null)?.frames() ?? []), [http2.constants.NGHTTP2_CANCEL]);
});

test('F1: an answer before the end of its request is whole, and what is left of the request is reset without an error', async (t) => {
  let app: Peer | null = null;
  const port = await startFrameApp(t, (peer, _connection, stream) => {
    app = peer;
    peer.say(ok(stream));
  });
  const rig = await rigFor(t, port);
  const stream = http2Client(t, rig.port).request({ ':method': 'POST', ':path': '/' });
  stream.write('some');
  stream.resume();
  const [headers] = await once(stream, 'response');
  assert.equal(headers[':status'], 200);
  await once(stream, 'close');
  assert.equal(stream.rstCode, http2.constants.NGHTTP2_NO_ERROR);
  await until(() => rstCodes((app as Peer | null)?.frames() ?? []).length === 1);
  assert.deepEqual(rstCodes((app as Peer | null)?.frames() ?? []), [http2.constants.NGHTTP2_NO_ERROR]);
});

test('F5: twenty readers that have stopped hold up nobody on the same two connections', async (t) => {
  const app = await startHttp2App(t, (stream, { headers }) => {
    stream.respond({ ':status': 200 });
    stream.end(Buffer.alloc(headers[':path'] === '/large' ? 400_000 : 100_000));
  });
  const rig = await rigFor(t, app.port);
  const client = http2Client(t, rig.port);
  const stopped = Array.from({ length: 20 }, () =>
    client
      .request({ ':path': '/large' })
      .pause()
      .on('error', () => {}),
  );
  await Promise.all(stopped.map((stream) => once(stream, 'response')));
  await settle(50);
  client.setLocalWindowSize(64 * 1024 * 1024);
  for (let round = 0; round < 20; round++) {
    const seen = await ask2(client, { ':path': '/' });
    assert.equal(seen.body.length, 100_000, JSON.stringify(rig.lines.at(-1)));
  }
  assert.equal(rig.waypoint.counters.upstreamConnections, 1);
});

test('F17 W31 over HTTP/2: Expect reaches the app, and its 100 the client', async (t) => {
  const server = http2.createServer();
  // The listener that makes node look at Expect at all.
  server.on('request', (_request, response) => response.end());
  server.on('checkContinue', (request, response) => {
    response.writeContinue();
    request.resume().on('end', () => response.end(String(request.headers.expect)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const rig = await rigFor(t, (server.address() as net.AddressInfo).port);
  const stream = http2Client(t, rig.port).request({ ':method': 'PUT', ':path': '/', expect: '100-continue' });
  await once(stream, 'continue');
  stream.end('body');
  let heard = '';
  stream.on('data', (data) => {
    heard += data;
  });
  await once(stream, 'close');
  assert.equal(heard, '100-continue');
});

test('draining says so twice, and serves what was on its way', async (t) => {
  const app = await startHttp2App(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.end('ok');
  });
  const rig = await rigFor(t, app.port);
  const client = http2Client(t, rig.port);
  const last: number[] = [];
  client.on('goaway', (_code, lastStream: number) => last.push(lastStream));
  const slow = client.request({ ':method': 'POST', ':path': '/' });
  slow.write('part');
  await until(() => rig.waypoint.counters.openRequests === 1);
  rig.waypoint.drain();
  await until(() => last.length === 2);
  slow.end();
  const [headers] = await once(slow, 'response');
  assert.equal(headers[':status'], 200);
  assert.deepEqual(last, [0x7fff_ffff, 1]);
});
