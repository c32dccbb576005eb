import assert from 'node:assert/strict';
import http2 from 'node:http2';
import type net from 'node:net';
import test, { type TestContext } from 'node:test';
import type { AppProtocol } from '#model/mesh/service.ts';
import { type AttemptPolicy, DEFAULT_ATTEMPTS } from '#model/resilience/attempts.ts';
import { rawClient, startRawApp } from '#waypoint/clients.testing.ts';
import { ask2, http2Client } from '#waypoint/http2-clients.testing.ts';
import { type Rig, settle, startRig, until } from '#waypoint/waypoint-rig.testing.ts';

const KIB = 1024;
/** As a route may ask for: also what was sent over a connection that had gone stale, whatever it is. */
const KEEPING: AttemptPolicy = {
  ...DEFAULT_ATTEMPTS,
  after: ['not-processed', 'stale'],
  keptBodyBytesMax: 64 * KIB,
  keptBodiesBytesMax: 64 * KIB,
};

type FirstTry = {
  port: number;
  /** Bodies of requests that came whole, in order. */
  bodies: string[];
  /** Bytes of body that the tries that failed had got, one entry each. */
  wasted: number[];
};

/**
 * An HTTP/1.1 app that answers the first request of each connection. A later one it drops without a word, once it has
 * `after` bytes of its body: what a server does whose idle timeout ends in that moment.
 */
async function startStale(t: TestContext, after: number): Promise<FirstTry> {
  const app: FirstTry = { port: 0, bodies: [], wasted: [] };
  app.port = await startRawApp(t, (socket) => {
    let served = 0;
    let heard = '';
    socket.on('data', (data) => {
      heard += data.toString('latin1');
      const [head = '', ...rest] = heard.split('\r\n\r\n');
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? -1);
      const body = rest.join('\r\n\r\n');
      const whole = length >= 0 ? body.length >= length : heard.endsWith('0\r\n\r\n');
      if (served > 0 && body.length >= after) {
        app.wasted.push(body.length);
        socket.destroy();
      } else if (whole && rest.length > 0) {
        app.bodies.push(body);
        heard = '';
        served++;
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      }
    });
  });
  return app;
}

/** An HTTP/2 app that refuses the stream of the first request to `/again` once it has `after` bytes of its body. */
async function startRefusing(t: TestContext, after: number): Promise<FirstTry> {
  const app: FirstTry = { port: 0, bodies: [], wasted: [] };
  const server = http2.createServer();
  server.on('stream', (stream) => {
    let body = '';
    stream.on('error', () => {});
    stream.on('data', (data: Buffer) => {
      body += data.toString('latin1');
      if (app.wasted.length > 0 || body.length < after) return;
      app.wasted.push(body.length);
      stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
    });
    stream.on('end', () => {
      if (stream.rstCode !== 0) return;
      app.bodies.push(body);
      stream.respond({ ':status': 200 });
      stream.end('ok');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  app.port = (server.address() as net.AddressInfo).port;
  return app;
}

async function rigFor(t: TestContext, port: number, appProtocol: AppProtocol, attempts: AttemptPolicy): Promise<Rig> {
  const rig = await startRig({ appProtocol, attempts });
  t.after(() => rig.close());
  rig.endpoints([port]);
  return rig;
}

/** A client whose connection to a stale app has served one request. */
async function warm(t: TestContext, rig: Rig): Promise<Awaited<ReturnType<typeof rawClient>>> {
  const client = await rawClient(t, rig.port);
  client.socket.write('GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n');
  await until(() => client.received().endsWith('ok'));
  return client;
}

const post = (body: string): string => `POST /again HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
const letters = (length: number): string => 'abcdefghij'.repeat(Math.ceil(length / 10)).slice(0, length);

test('HTTP/1.1: a body that was kept reaches the second try whole', async (t) => {
  const app = await startStale(t, 1_000);
  const rig = await rigFor(t, app.port, 'http11', KEEPING);
  const client = await warm(t, rig);
  client.socket.write(post(letters(5_000)));
  await until(() => client.received().split('200 OK').length === 3 && client.received().endsWith('ok'));
  assert.deepEqual(app.bodies, ['', letters(5_000)]);
  assert.equal(app.wasted.length, 1);
  assert.equal(rig.waypoint.counters.upstreamRetries, 1);
  const [, line] = rig.lines.filter(({ message }) => message === 'request');
  assert.deepEqual([line?.response_code, line?.bytes_recv], [200, 5_000]);
});

test('HTTP/1.1: a body of unknown length that is still coming goes on after the replay', async (t) => {
  const app = await startStale(t, 5);
  const rig = await rigFor(t, app.port, 'http11', KEEPING);
  const client = await warm(t, rig);
  client.socket.write('POST /again HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nHELLO\r\n');
  await until(() => rig.waypoint.counters.upstreamConnections === 2);
  client.socket.write('6\r\n WORLD\r\n');
  await settle();
  client.socket.write('0\r\n\r\n');
  await until(() => client.received().split('200 OK').length === 3);
  assert.equal(app.bodies[1]?.replaceAll(/[0-9a-f]+\r\n|\r\n/g, ''), 'HELLO WORLD');
});

test('HTTP/1.1: by default no body is kept, and such a request has one try', async (t) => {
  const app = await startStale(t, 1_000);
  const rig = await rigFor(t, app.port, 'http11', DEFAULT_ATTEMPTS);
  const client = await warm(t, rig);
  client.socket.write(post(letters(5_000)));
  await until(() => client.received().includes('HTTP/1.1 503'));
  assert.equal(rig.waypoint.counters.upstreamRetries, 0);
  assert.equal(app.bodies.length, 1);
});

test('HTTP/1.1: past the bound there is no second try, and the first gets every byte', async (t) => {
  const app = await startStale(t, 50 * KIB);
  const rig = await rigFor(t, app.port, 'http11', { ...KEEPING, keptBodyBytesMax: 10 * KIB });
  const client = await warm(t, rig);
  client.socket.write('POST /again HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n');
  for (let piece = 0; piece < 20; piece++) client.socket.write(`1000\r\n${letters(4_096)}\r\n`);
  await until(() => client.received().includes('HTTP/1.1 503'));
  assert.equal(rig.waypoint.counters.upstreamRetries, 0);
  assert.ok((app.wasted[0] ?? 0) >= 50 * KIB);
});

test('HTTP/1.1: the bytes of a body are free again once its response begins', async (t) => {
  const app = await startStale(t, 1_000);
  const rig = await rigFor(t, app.port, 'http11', { ...KEEPING, keptBodiesBytesMax: 8 * KIB });
  for (let request = 1; request <= 5; request++) {
    const client = await warm(t, rig);
    client.socket.write(post(letters(5_000)));
    await until(() => client.received().split('200 OK').length === 3);
    assert.equal(rig.waypoint.counters.upstreamRetries, request);
    client.socket.destroy();
    await settle();
  }
  assert.equal(app.bodies.filter((body) => body.length === 5_000).length, 5);
});

test('HTTP/1.1: the bytes of a body are free again when its client leaves', async (t) => {
  const app = await startStale(t, 1_000);
  const rig = await rigFor(t, app.port, 'http11', { ...KEEPING, keptBodiesBytesMax: 8 * KIB });
  const leaver = await rawClient(t, rig.port);
  leaver.socket.write(`POST /never HTTP/1.1\r\nhost: a\r\ncontent-length: 6000\r\n\r\n${letters(5_000)}`);
  await until(() => rig.waypoint.counters.upstreamConnections === 1);
  await settle();
  leaver.socket.destroy();
  await until(() => rig.waypoint.counters.openRequests === 0);
  const client = await warm(t, rig);
  client.socket.write(post(letters(5_000)));
  await until(() => client.received().split('200 OK').length === 3);
  assert.equal(rig.waypoint.counters.upstreamRetries, 1);
});

test('HTTP/1.1: a client that the first try had stopped goes on with the second', async (t) => {
  let first: net.Socket | null = null;
  let received = 0;
  const port = await startRawApp(t, (socket) => {
    if (first === null) {
      first = socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
        socket.once('data', () => socket.pause());
      });
    } else {
      socket.on('data', (data) => {
        received += data.length;
        if (received > 16e6) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      });
    }
  });
  const bound = 20_000_000;
  const rig = await rigFor(t, port, 'http11', { ...KEEPING, keptBodyBytesMax: bound, keptBodiesBytesMax: bound });
  const client = await warm(t, rig);
  client.socket.write(post(letters(16e6)));
  const sent = (): number => client.socket.bytesWritten - client.socket.writableLength;
  for (let last = -1; last !== sent(); ) {
    last = sent();
    await settle(200);
  }
  assert.ok(client.socket.writableNeedDrain, 'the client was not stopped');
  (first as net.Socket | null)?.destroy();
  await until(() => client.received().split('200 OK').length === 3);
  assert.equal(rig.waypoint.counters.upstreamRetries, 1);
});

test('HTTP/1.1: a second try that does not read stops the client', async (t) => {
  let connections = 0;
  const port = await startRawApp(t, (socket) => {
    if (++connections > 1) socket.pause();
    else socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok', () => dropNext(socket)));
  });
  const dropNext = (socket: net.Socket): void => void socket.once('data', () => socket.destroy());
  const rig = await rigFor(t, port, 'http11', KEEPING);
  const client = await warm(t, rig);
  client.socket.write('POST /again HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n');
  await until(() => rig.waypoint.counters.upstreamConnections === 2);
  const piece = Buffer.from(`10000\r\n${letters(64 * KIB)}\r\n`);
  let written = 0;
  const more = (): void => {
    while (written < 1e8) {
      written += piece.length;
      if (!client.socket.write(piece)) return;
    }
  };
  client.socket.on('drain', more);
  more();
  for (let last = -1; last !== written; ) {
    last = written;
    await settle(200);
  }
  // Kernel buffers of four loopback sockets, one watermark on each side, and the bound of a kept body.
  assert.ok(written < 40_000_000, `${written} bytes were taken from the client`);
  assert.equal(rig.waypoint.counters.openRequests, 1);
});

test('HTTP/2: a body that was kept reaches the second try whole, trailers included', async (t) => {
  const app = await startRefusing(t, 20_000);
  const rig = await rigFor(t, app.port, 'http2', KEEPING);
  const seen = await ask2(http2Client(t, rig.port), { ':method': 'POST', ':path': '/' }, letters(50_000), { 'x-sum': '7' });
  assert.deepEqual([seen.status, seen.body], [200, 'ok']);
  assert.deepEqual(app.bodies, [letters(50_000)]);
  assert.equal(app.wasted.length, 1);
  assert.equal(rig.waypoint.counters.upstreamRetries, 1);
});

test('HTTP/2: a body that is still coming goes on after the replay', async (t) => {
  const app = await startRefusing(t, 5);
  const rig = await rigFor(t, app.port, 'grpc', KEEPING);
  const stream = http2Client(t, rig.port).request({ ':method': 'POST', ':path': '/' });
  stream.write('hello');
  await until(() => rig.waypoint.counters.upstreamRetries === 1);
  stream.write(' world');
  await settle();
  stream.end();
  await until(() => app.bodies.length === 1);
  assert.equal(app.bodies[0], 'hello world');
});

test('F2: by default, what an HTTP/2 upstream refused is sent again, with its body', async (t) => {
  const app = await startRefusing(t, 20_000);
  const rig = await rigFor(t, app.port, 'http2', DEFAULT_ATTEMPTS);
  const seen = await ask2(http2Client(t, rig.port), { ':method': 'POST', ':path': '/' }, letters(50_000));
  assert.equal(seen.status, 200);
  assert.deepEqual(app.bodies, [letters(50_000)]);
});

for (const method of ['POST', 'PATCH', 'DELETE', 'PUT'])
  for (const body of ['', 'x'])
    test(`F2: ${method} with a body of ${body.length} bytes is not sent twice over a connection that the app closes`, async (t) => {
      const app = await startStale(t, 0);
      const rig = await rigFor(t, app.port, 'http11', DEFAULT_ATTEMPTS);
      const client = await warm(t, rig);
      client.socket.write(`${method} / HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      await until(() => client.received().includes('HTTP/1.1 503'));
      assert.deepEqual([app.wasted.length, app.bodies.length, rig.waypoint.counters.upstreamRetries], [1, 1, 0]);
    });

test('HTTP/2: past the bound there is no second try', async (t) => {
  const app = await startRefusing(t, 100 * KIB);
  const rig = await rigFor(t, app.port, 'http2', KEEPING);
  const seen = await ask2(http2Client(t, rig.port), { ':method': 'POST', ':path': '/' }, letters(200 * KIB));
  assert.equal(seen.status, 503);
  assert.equal(rig.waypoint.counters.upstreamRetries, 0);
});

test('HTTP/2 client, HTTP/1.1 app: the replay is the same', async (t) => {
  const app = await startStale(t, 1_000);
  const rig = await rigFor(t, app.port, 'http11', KEEPING);
  const session = http2Client(t, rig.port);
  assert.equal((await ask2(session, { ':method': 'POST', ':path': '/', 'content-length': '0' }, '')).status, 200);
  const headers = { ':method': 'POST', ':path': '/', 'content-length': '30000' };
  assert.equal((await ask2(session, headers, letters(30_000))).status, 200);
  assert.deepEqual(app.bodies, ['', letters(30_000)]);
  assert.equal(rig.waypoint.counters.upstreamRetries, 1);
});
