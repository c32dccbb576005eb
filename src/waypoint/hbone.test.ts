import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import test, { type TestContext } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import type { Dialled } from '#model/effects/byte-stream.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { DOOR_LIMITS } from '#model/guard/door.ts';
import { Doorkeeper } from '#model/guard/doorkeeper.ts';
import { formatIdentity } from '#model/identity/identity.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { systemClock } from '#platform/clock.ts';
import { createClientPool } from '#platform/hbone/client-pool.ts';
import { createHboneServer } from '#platform/hbone/server.ts';
import { createTestCa, type TestCa } from '#platform/hbone/test-ca.testing.ts';
import { NodeIo } from '#platform/io/node/node-io.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { InboundTunnel, TunnelOutcome, TunnelPool } from '#protocol/hbone/transport.ts';
import { asDuplex } from '#protocol/stream/duplex.ts';
import { startApp } from '#waypoint/clients.testing.ts';
import { acceptTunnel } from '#waypoint/listener/accept.ts';
import { configOf, FRONT, type Rig, startRig, until, VIP, WAYPOINT_IDENTITY } from '#waypoint/waypoint-rig.testing.ts';

const io = new NodeIo(systemClock, SILENT_MISHAPS);
const CART_URI = 'spiffe://cluster.local/ns/shop/sa/cart-0';

/** An HBONE server on a loopback port that proves `uri`. */
async function startServer(t: TestContext, ca: TestCa, uri: string, onTunnel: (tunnel: InboundTunnel) => void): Promise<number> {
  const credentials = await ca.issue(uri);
  const server = createHboneServer({
    io,
    credentials: async () => credentials,
    trustDomain: 'cluster.local',
    onTunnel,
    door: new Doorkeeper({ limits: DOOR_LIMITS, clock: new SteppedClock(), isKnown: () => false }),
    clock: new SteppedClock(),
    log: SILENT_LOG,
    mishaps: SILENT_MISHAPS,
  });
  const listener = net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) =>
    server.handle(io.adopt(socket)),
  );
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  t.after(() => {
    listener.close();
    server.close();
  });
  return (listener.address() as net.AddressInfo).port;
}

/** A pool that proves `uri` and finds every HBONE server at `port()`. */
async function startPool(t: TestContext, ca: TestCa, uri: string, port: () => number): Promise<TunnelPool> {
  const credentials = await ca.issue(uri);
  const dial = async (): Promise<Dialled> => {
    const socket = net.connect({ port: port(), host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    await once(socket, 'connect');
    return { kind: 'open', stream: io.adopt(socket) };
  };
  const pool = createClientPool({
    io,
    dial,
    credentials: async () => credentials,
    clock: new SteppedClock(),
    random: () => 0,
    log: SILENT_LOG,
    mishaps: SILENT_MISHAPS,
  });
  t.after(() => pool.close(true));
  return pool;
}

type Mesh = { rig: Rig; connect(authority?: string): Promise<TunnelOutcome> };

/** client ⇄ HBONE ⇄ waypoint ⇄ HBONE ⇄ node of the app ⇄ app, all but the last step with real mutual TLS. */
async function startMesh(t: TestContext, appPort: number): Promise<Mesh> {
  const ca = await createTestCa();
  const nodePort = await startServer(t, ca, CART_URI, async (tunnel) => {
    const socket = net.connect({ port: Number(tunnel.authority.split(':')[1]), host: '127.0.0.1', allowHalfOpen: true });
    await once(socket, 'connect');
    const stream = asDuplex(tunnel.accept(''));
    socket.pipe(stream);
    stream.pipe(socket);
    stream.on('error', () => socket.destroy());
    socket.on('error', () => stream.destroy());
  });
  const rig = await startRig({ tunnelPool: await startPool(t, ca, formatIdentity(WAYPOINT_IDENTITY), () => nodePort) });
  t.after(() => rig.close());
  rig.endpoints([appPort], { node: 'two' });
  const waypointPort = await startServer(t, ca, formatIdentity(WAYPOINT_IDENTITY), (tunnel) =>
    acceptTunnel(rig.waypoint, tunnel, SILENT_LOG),
  );
  const clients = await startPool(t, ca, formatIdentity(FRONT), () => waypointPort);
  const target = { source: FRONT, peers: [WAYPOINT_IDENTITY], address: parseIp('127.0.0.1'), port: 15_008 };
  const connect = (authority = `${VIP}:80`): Promise<TunnelOutcome> =>
    clients.open(target, {
      authority,
      client: '10.0.0.7:40000',
      serviceHost: null,
      baggage: '',
      traceparent: '00-00000000000000000000000000000001-0000000000000001-00',
    });
  return { rig, connect };
}

function streamOf(outcome: TunnelOutcome): Duplex {
  assert.ok(outcome.kind === 'open', JSON.stringify(outcome));
  return asDuplex(outcome.stream);
}

function get(stream: Duplex, path: string, body: string | null = null): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const method = body === null ? 'GET' : 'POST';
    const request = http.request(
      { createConnection: () => stream as net.Socket, path, method, headers: { host: 'cart' } },
      (response) => {
        let text = '';
        response.on('data', (data) => {
          text += data;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
      },
    );
    request.on('error', reject);
    request.end(body ?? undefined);
  });
}

test('HBONE in and out: HTTP/1.1 with bodies through real tunnels, the client known by its certificate', async (t) => {
  const app = await startApp(t, ({ body }, response) => response.end(`got ${body.length}`));
  const { rig, connect } = await startMesh(t, app.port);
  assert.deepEqual(await get(streamOf(await connect()), '/a'), { status: 200, body: 'got 0' });
  assert.deepEqual(await get(streamOf(await connect()), '/b', 'x'.repeat(2_000_000)), { status: 200, body: 'got 2000000' });
  assert.equal(rig.lines.at(-1)?.['src.identity'], formatIdentity(FRONT));
  assert.equal(rig.dials.length, 0);
});

test('HBONE in: HTTP/2 inside a tunnel', async (t) => {
  const app = await startApp(t, (heard, response) => response.end(heard.url));
  const { connect } = await startMesh(t, app.port);
  const stream = streamOf(await connect());
  const session = http2.connect('http://cart', { createConnection: () => stream });
  t.after(() => session.destroy());
  const bodies = await Promise.all(
    ['/1', '/2', '/3'].map(
      (path) => new Promise((resolve) => session.request({ ':path': path }).on('data', (data) => resolve(String(data)))),
    ),
  );
  assert.deepEqual(bodies, ['/1', '/2', '/3']);
});

test('HBONE in: a CONNECT to what is not served is refused before any byte', async (t) => {
  const app = await startApp(t);
  const { rig, connect } = await startMesh(t, app.port);
  const answer = connect('10.9.9.9:80');
  await until(() => rig.clock.pendingMs().includes(WAYPOINT.comingMs));
  rig.clock.advance(WAYPOINT.comingMs);
  assert.deepEqual(await answer, { kind: 'refused', status: 503 });
});

test('promise 1: an endpoint that proves another identity gets nothing', async (t) => {
  const app = await startApp(t);
  const { rig, connect } = await startMesh(t, app.port);
  rig.endpoints([app.port], { node: 'two', serviceAccount: 'someone-else' });
  const { status } = await get(streamOf(await connect()), '/');
  assert.equal(status, 503);
  assert.equal(app.heard.length, 0);
  rig.waypoint.configure(configOf({}));
  assert.equal(rig.lines.at(-1)?.response_flags, 'UF');
});
