import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import type net from 'node:net';
import test, { type TestContext } from 'node:test';
import { FRAME_TYPE, type Frame, frameBytes, framesIn, STATUS_200, settingsAndAck } from '#platform/http2/frames.testing.ts';
import { rawClient, startRawApp } from './clients.testing.ts';
import { ask2, http2Client } from './http2-clients.testing.ts';
import { type Rig, startRig, until } from './waypoint-rig.testing.ts';

const METHODS = ['POST', 'PATCH', 'DELETE'];
const BODIES = ['', 'x'];
const LIMIT = 10;

/** How an app ends a connection on which a request has come, without an answer. */
const ENDS: { name: string; end(socket: net.Socket): void }[] = [
  { name: 'FIN', end: (socket) => socket.end() },
  { name: 'RST', end: (socket) => socket.resetAndDestroy() },
];

/** `executed`: ids of the requests that the app has got, in order. */
type Victim = { port: number; executed: string[] };

/** Answers what goes to `/warm`, and ends the connection over everything else: once it has read it all, or at its first byte. */
async function startHttp1(t: TestContext, end: (socket: net.Socket) => void, read: boolean): Promise<Victim> {
  const victim: Victim = { port: 0, executed: [] };
  victim.port = await startRawApp(t, (socket) => {
    let heard = '';
    let warm = false;
    socket.on('data', (data) => {
      if (warm && !read) return end(socket);
      heard += data.toString('latin1');
      const head = heard.slice(0, heard.indexOf('\r\n\r\n') + 4);
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (head.length < 4 || heard.length < head.length + length) return;
      heard = heard.slice(head.length + length);
      if (head.includes(' /warm ')) {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
        warm = true;
        return;
      }
      victim.executed.push(/x-id: (\S+)/i.exec(head)?.[1] ?? '?');
      end(socket);
    });
  });
  return victim;
}

async function startHttp2(t: TestContext, end: (socket: net.Socket) => void): Promise<Victim> {
  const victim: Victim = { port: 0, executed: [] };
  victim.port = await startRawApp(t, (socket) => {
    let heard = Buffer.alloc(0);
    const seen = new Set<number>();
    const say = (...frames: Frame[]): boolean => socket.write(Buffer.concat(frames.map(frameBytes)));
    socket.write(settingsAndAck());
    socket.on('data', (data) => {
      heard = Buffer.concat([heard, data]);
      for (const { type, stream, flags } of framesIn(heard, true)) {
        const ended = (type === FRAME_TYPE.headers || type === FRAME_TYPE.data) && (flags & 1) !== 0;
        if (!ended || seen.has(stream)) continue;
        seen.add(stream);
        if (stream === 1) say({ type: FRAME_TYPE.headers, flags: 5, stream, payload: STATUS_200 });
        else {
          victim.executed.push(String(stream));
          end(socket);
        }
      }
    });
  });
  return victim;
}

async function rigFor(t: TestContext, { port }: Victim, appProtocol: 'http11' | 'http2'): Promise<Rig> {
  const rig = await startRig({ appProtocol });
  t.after(() => rig.close());
  rig.endpoints([port]);
  return rig;
}

type Client = (method: string, path: string, id: string, body: string) => Promise<number>;

async function http1Client(t: TestContext, rig: Rig): Promise<Client> {
  const client = await rawClient(t, rig.port);
  let answered = 0;
  return async (method, path, id, body) => {
    const length = `content-length: ${body.length}`;
    client.socket.write(`${method} ${path} HTTP/1.1\r\nhost: a\r\nx-id: ${id}\r\n${length}\r\n\r\n${body}`);
    await until(() => client.received().split('HTTP/1.1 ').length > answered + 1);
    answered++;
    return Number(client.received().split('HTTP/1.1 ').at(-1)?.slice(0, 3));
  };
}

async function clientFor(t: TestContext, rig: Rig, version: string): Promise<Client> {
  if (version === 'HTTP/1.1') return http1Client(t, rig);
  const session = http2Client(t, rig.port);
  return async (method, path, id, body) => {
    const headers = { ':method': method, ':path': path, 'x-id': id, 'content-length': String(body.length) };
    return (await ask2(session, headers, body)).status;
  };
}

/** Over one kept connection: a request that is answered, then one over which the app ends it. */
async function notTwice(t: TestContext, victim: Victim, appProtocol: 'http11' | 'http2', version: string): Promise<void> {
  const rig = await rigFor(t, victim, appProtocol);
  for (const method of METHODS)
    for (const body of BODIES) {
      const call = await clientFor(t, rig, version);
      const [what, before] = [`${method} with ${body.length} bytes`, victim.executed.length];
      assert.equal(await call('GET', '/warm', 'warm', ''), 200, what);
      const opened = rig.waypoint.counters.upstreamConnections;
      assert.equal(await call(method, '/', what, body), 503, what);
      assert.equal(rig.waypoint.counters.upstreamConnections, opened, `${what}: over the connection that was kept`);
      assert.ok(victim.executed.length <= before + 1, `${what} was executed ${victim.executed.length - before} times`);
    }
  assert.equal(rig.waypoint.counters.upstreamRetries, 0);
}

for (const { name, end } of ENDS)
  for (const version of ['HTTP/1.1', 'HTTP/2']) {
    test(`F2: ${version} client, HTTP/1.1 app that reads a request and ends with ${name}: no method is sent twice`, async (t) => {
      const victim = await startHttp1(t, end, true);
      await notTwice(t, victim, 'http11', version);
      assert.equal(victim.executed.length, METHODS.length * BODIES.length);
    });
    test(`F2: ${version} client, HTTP/1.1 app that ends with ${name} before it reads: no method is sent twice`, async (t) => {
      const victim = await startHttp1(t, end, false);
      await notTwice(t, victim, 'http11', version);
    });
    test(`F2: ${version} client, HTTP/2 app that reads a request and ends with ${name}: no method is sent twice`, async (t) => {
      const victim = await startHttp2(t, end);
      await notTwice(t, victim, 'http2', version);
      assert.equal(victim.executed.length, METHODS.length * BODIES.length);
    });
  }

/**
 * Takes ten streams at once on a connection, and refuses what is more. `says`: at the beginning, on the first connection only once
 * a request has come, or never.
 */
async function startLimited(t: TestContext, says: 'first' | 'late' | 'never'): Promise<Victim> {
  const victim: Victim = { port: 0, executed: [] };
  const server = http2.createServer();
  let sessions = 0;
  server.on('session', (session) => {
    let open = 0;
    const late = says === 'late' && sessions++ === 0;
    if (says !== 'never' && !late) session.settings({ maxConcurrentStreams: LIMIT });
    session.on('stream', (stream, headers) => {
      stream.on('error', () => {}).once('close', () => open--);
      if (late && open === 0) session.settings({ maxConcurrentStreams: LIMIT });
      if (++open > LIMIT) {
        stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
        return;
      }
      victim.executed.push(String(headers['x-id']));
      const answer = (): void => {
        if (stream.destroyed) return;
        stream.respond({ ':status': 200 });
        stream.end('ok');
      };
      stream.resume().on('end', () => setTimeout(answer, 5));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  victim.port = (server.address() as net.AddressInfo).port;
  return victim;
}

/** One that never says its limit is known by what it refuses, once: as many callers as two connections take. */
for (const [says, callers] of [
  ['first', 50],
  ['late', 50],
  ['never', 20],
] as const)
  test(`F2: ${callers} callers, an app that takes ten streams at once and says so ${says}: all are answered, none is executed twice`, async (t) => {
    const victim = await startLimited(t, says);
    const rig = await rigFor(t, victim, 'http2');
    const session = http2Client(t, rig.port);
    const call = (at: number): ReturnType<typeof ask2> => {
      const method = METHODS[at % METHODS.length] ?? '';
      return ask2(session, { ':method': method, ':path': '/', 'x-id': String(at) }, at % 2 === 0 ? 'x' : null);
    };
    const answers = await Promise.all(Array.from({ length: callers }, (_, at) => call(at)));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    assert.deepEqual([victim.executed.length, new Set(victim.executed).size], [callers, callers]);
    assert.equal(rig.waypoint.counters.upstreamRetries > 0, says !== 'first');
    session.destroy();
  });

test('F2: of three calls, GOAWAY covers two: those are answered where they are, the third elsewhere, each executed once', async (t) => {
  const executed: string[] = [];
  let connections = 0;
  const port = await startRawApp(t, (socket) => {
    const connection = ++connections;
    let heard = Buffer.alloc(0);
    const streams: number[] = [];
    const say = (...frames: Frame[]): boolean => socket.write(Buffer.concat(frames.map(frameBytes)));
    const ok = (stream: number): Frame => ({ type: FRAME_TYPE.headers, flags: 5, stream, payload: STATUS_200 });
    socket.write(settingsAndAck());
    socket.on('data', (data) => {
      heard = Buffer.concat([heard, data]);
      for (const { type, stream } of framesIn(heard, true)) {
        if (type !== FRAME_TYPE.headers || streams.includes(stream)) continue;
        streams.push(stream);
        if (connection > 1) {
          executed.push(`again/${stream}`);
          say(ok(stream));
        } else if (streams.length === 3) {
          const last = Buffer.from([0, 0, 0, streams[1] ?? 0, 0, 0, 0, 0]);
          say({ type: 7, flags: 0, stream: 0, payload: last });
          for (const covered of streams.slice(0, 2)) {
            executed.push(`first/${covered}`);
            say(ok(covered));
          }
        }
      }
    });
  });
  const rig = await rigFor(t, { port, executed }, 'http2');
  const session = http2Client(t, rig.port);
  const answers = await Promise.all(METHODS.map((method) => ask2(session, { ':method': method, ':path': '/' }, 'x')));
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200],
  );
  assert.deepEqual(executed, ['first/1', 'first/3', 'again/1']);
  assert.deepEqual([rig.waypoint.counters.upstreamConnections, rig.waypoint.counters.upstreamRetries], [2, 1]);
});
