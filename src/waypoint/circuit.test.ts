import assert from 'node:assert/strict';
import type http from 'node:http';
import test, { type TestContext } from 'node:test';
import type { CircuitBreaker, ConnectionSettings, ServiceDestination } from '#model/waypoint/destination-settings.ts';
import { type App, type Curled, curl, rawClient, startApp, startRawApp } from '#waypoint/clients.testing.ts';
import { ask2, http2Client, startHttp2App } from '#waypoint/http2-clients.testing.ts';
import { CART, configOf, type Rig, type RigOptions, rule, startRig, to, until } from '#waypoint/waypoint-rig.testing.ts';

const NO_TIMES: ConnectionSettings = {
  connectTimeoutMs: null,
  idleTimeoutMs: null,
  tcpIdleTimeoutMs: null,
  maxConnectionMs: null,
};
const NO_LIMITS: CircuitBreaker = {
  maxConnections: null,
  maxPendingRequests: null,
  maxRequests: null,
  maxRetries: null,
  maxRequestsPerConnection: null,
};

/** What the configuration says of `cart`. */
function settings(change: Partial<ServiceDestination>): ServiceDestination {
  return { service: CART, port: null, subset: null, ...change };
}

function breaker(limits: Partial<CircuitBreaker>, more: Partial<ServiceDestination> = {}): ServiceDestination {
  return settings({ circuitBreaker: { ...NO_LIMITS, ...limits }, ...more });
}

function optionsOf(destinations: ServiceDestination[], more: RigOptions = {}): RigOptions {
  const { services } = configOf(more);
  return { ...more, config: { services: services.map((service) => ({ ...service, destinations })) } };
}

/** `cart` under these settings, with an app that holds its answers back until told. */
async function held(
  t: TestContext,
  destinations: ServiceDestination[],
  more: RigOptions = {},
): Promise<{ rig: Rig; app: App; answer(): void }> {
  const rig = await startRig(optionsOf(destinations, more));
  t.after(() => rig.close());
  const responses: http.ServerResponse[] = [];
  const app = await startApp(t, (_heard, response) => responses.push(response));
  rig.endpoints([app.port]);
  return { rig, app, answer: () => responses.shift()?.end('ok') };
}

const overflows = (rig: Rig): number => rig.waypoint.meters.total('weft_circuit_overflow_total');

test('W54 past its limit of requests one is 503 with UO and x-envoy-overloaded, and the next passes once there is room', async (t) => {
  const { rig, app, answer } = await held(t, [breaker({ maxRequests: 1 })]);
  const first = curl(rig.port, '/');
  await until(() => app.heard.length === 1);
  const second = await curl(rig.port, '/');
  assert.deepEqual([second.status, /x-envoy-overloaded: true/.test(second.headers)], [503, true]);
  assert.match(second.body, /reset reason: overflow/);
  assert.equal(rig.lines.at(-1)?.response_flags, 'UO');
  const grpc = await ask2(
    http2Client(t, rig.port),
    { ':path': '/a.B/C', ':method': 'POST', 'content-type': 'application/grpc' },
    'x',
  );
  assert.deepEqual([grpc.status, grpc.headers['grpc-status']], [200, '14']);
  answer();
  assert.equal((await first).status, 200);
  const third = curl(rig.port, '/');
  await until(() => app.heard.length === 2);
  answer();
  assert.deepEqual([(await third).status, overflows(rig)], [200, 2]);
});

test('W54 a change of the configuration forgets nothing that is under way, and a limit that is gone holds nobody', async (t) => {
  const { rig, app, answer } = await held(t, [breaker({ maxRequests: 1 })]);
  const first = curl(rig.port, '/');
  await until(() => app.heard.length === 1);
  rig.waypoint.configure(configOf(optionsOf([breaker({ maxRequests: 1, maxRetries: 7 })])));
  assert.equal((await curl(rig.port, '/')).status, 503);
  rig.waypoint.configure(configOf(optionsOf([])));
  const other = curl(rig.port, '/');
  await until(() => app.heard.length === 2);
  rig.waypoint.configure(configOf(optionsOf([breaker({ maxRequests: 1 })])));
  answer();
  answer();
  assert.deepEqual([(await first).status, (await other).status], [200, 200]);
  const last = curl(rig.port, '/');
  await until(() => app.heard.length === 3);
  answer();
  assert.equal((await last).status, 200);
});

test('what is said of a port or of a subset holds there only', async (t) => {
  const { rig, app, answer } = await held(t, [breaker({ maxRequests: 1 }), settings({ port: 80 })]);
  const both = [curl(rig.port, '/'), curl(rig.port, '/')];
  await until(() => app.heard.length === 2);
  answer();
  answer();
  for (const one of both) assert.equal((await one).status, 200);
});

for (const [waits, statuses] of [
  [1, [200, 200, 503]],
  [2, [200, 200, 200]],
] as const)
  test(`with one connection, ${waits} may wait for it, in the order in which they came`, async (t) => {
    const { rig, app, answer } = await held(t, [breaker({ maxConnections: 1, maxPendingRequests: waits })]);
    const asked: Promise<Curled>[] = [];
    for (const path of ['/1', '/2', '/3']) {
      asked.push(curl(rig.port, path));
      // The first has its connection, so that it waits no more.
      await until(() => app.heard.length === 1 && rig.waypoint.counters.requests === asked.length);
    }
    for (let heard = 1; heard <= waits + 1; heard++) {
      await until(() => app.heard.length === heard);
      assert.equal(app.sockets.size, 1);
      answer();
    }
    assert.deepEqual(
      (await Promise.all(asked)).map(({ status }) => status),
      statuses,
    );
    assert.deepEqual(
      app.heard.map(({ url }) => url),
      ['/1', '/2', '/3'].slice(0, waits + 1),
    );
    assert.equal(rig.waypoint.counters.upstreamConnections, 1);
    assert.equal(overflows(rig), 2 - waits);
  });

test('who waits and leaves gives its place to others', async (t) => {
  const { rig, app, answer } = await held(t, [breaker({ maxConnections: 1, maxPendingRequests: 1 })]);
  const first = curl(rig.port, '/1');
  await until(() => app.heard.length === 1);
  const client = await rawClient(t, rig.port);
  client.socket.write('GET /2 HTTP/1.1\r\nhost: a\r\n\r\n');
  await until(() => rig.waypoint.counters.requests === 2);
  client.socket.destroy();
  await until(() => rig.waypoint.counters.downstreamGone === 1);
  const third = curl(rig.port, '/3');
  await until(() => rig.waypoint.counters.requests === 3);
  answer();
  await until(() => app.heard.length === 2);
  answer();
  assert.deepEqual([(await first).status, (await third).status], [200, 200]);
  assert.deepEqual(
    app.heard.map(({ url }) => url),
    ['/1', '/3'],
  );
});

test('a connection that is lost lets the next request that waits open one', async (t) => {
  const rig = await startRig(optionsOf([breaker({ maxConnections: 1 })]));
  t.after(() => rig.close());
  const app = await startApp(t, ({ url }, response) => {
    if (url === '/1') setImmediate(() => response.socket?.destroy());
    else response.end('ok');
  });
  rig.endpoints([app.port]);
  const [lost, next] = await Promise.all([curl(rig.port, '/1', '-X', 'POST'), curl(rig.port, '/2')]);
  assert.deepEqual([lost.status, next.status], [503, 200]);
});

test('an endpoint without a connection gets one, whatever others hold', async (t) => {
  const { rig, app } = await held(t, [breaker({ maxConnections: 1 })], { random: () => 0.99 });
  const other = await startApp(t);
  const first = curl(rig.port, '/');
  await until(() => app.heard.length === 1);
  rig.endpoints([app.port, other.port]);
  assert.equal((await curl(rig.port, '/')).status, 200);
  assert.equal(other.heard.length, 1);
  rig.close();
  await first;
});

test('over HTTP/2, what does not fit into one connection waits for a place in it', async (t) => {
  const rig = await startRig(optionsOf([breaker({ maxConnections: 1, maxPendingRequests: 2 })], { appProtocol: 'http2' }));
  t.after(() => rig.close());
  const streams: { respond(): void }[] = [];
  const app = await startHttp2App(t, (stream) =>
    streams.push({
      respond: () => {
        stream.respond({ ':status': 200 });
        stream.end('ok');
      },
    }),
  );
  rig.endpoints([app.port]);
  const client = http2Client(t, rig.port);
  const asked = Array.from({ length: 3 }, (_, at) => ask2(client, { ':path': `/${at}` }));
  // All three wait until there is a connection: one of them is too many.
  const answers = Promise.all(asked);
  await until(() => streams.length === 2);
  for (const stream of streams) stream.respond();
  const statuses = (await answers).map(({ status }) => status).sort();
  assert.deepEqual([statuses, app.sessions.size, overflows(rig)], [[200, 200, 503], 1, 1]);
});

test('maxRequestsPerConnection: with its last request a connection ends', async (t) => {
  const rig = await startRig(optionsOf([breaker({ maxRequestsPerConnection: 2 })]));
  t.after(() => rig.close());
  const app = await startApp(t);
  rig.endpoints([app.port]);
  for (let request = 0; request < 5; request++) assert.equal((await curl(rig.port, '/')).status, 200);
  assert.equal(rig.waypoint.counters.upstreamConnections, 3);
});

test('idleTimeout: a connection that was idle for longer carries nothing more', async (t) => {
  const connection = { ...NO_TIMES, idleTimeoutMs: 3_000 };
  const rig = await startRig(optionsOf([settings({ connection })]));
  t.after(() => rig.close());
  const app = await startApp(t);
  rig.endpoints([app.port]);
  for (const [idleMs, connections] of [
    [0, 1],
    [2_999, 1],
    [3_000, 2],
  ] as const) {
    rig.clock.advance(idleMs);
    assert.equal((await curl(rig.port, '/')).status, 200);
    assert.equal(rig.waypoint.counters.upstreamConnections, connections);
  }
});

test('connectTimeout: no connection within it is 503, UF', async (t) => {
  const connection = { ...NO_TIMES, connectTimeoutMs: 700 };
  const { promise: never } = Promise.withResolvers<never>();
  const attempts = { triesMax: 1, after: [], keptBodyBytesMax: 0, keptBodiesBytesMax: 0 };
  const rig = await startRig(optionsOf([settings({ connection })], { attempts, effects: { dialDirect: () => never } }));
  t.after(() => rig.close());
  rig.endpoints([1]);
  const asked = curl(rig.port, '/');
  await until(() => rig.clock.pendingMs().includes(700));
  rig.clock.advance(700);
  assert.match((await asked).body, /reset reason: connection timeout/);
  assert.equal(rig.lines.at(-1)?.response_flags, 'UF');
});

test('W35, W36 past the limit of retries the answer of the upstream stands, with UO', async (t) => {
  const retry = { codes: [503], attempts: 2, backoffMs: 1_000 };
  const options = (limits: Partial<CircuitBreaker>) =>
    optionsOf([breaker(limits)], { routes: [rule({}, [to('cart')], { retry })], random: () => 0 });
  const rig = await startRig(options({ maxRetries: 1 }));
  t.after(() => rig.close());
  const app = await startApp(t, (_heard, response) => response.writeHead(503).end('mine'));
  rig.endpoints([app.port]);
  const first = curl(rig.port, '/1');
  await until(() => rig.clock.pendingMs().includes(1_000));
  const second = await curl(rig.port, '/2');
  assert.deepEqual([second.status, second.body, rig.lines.at(-1)?.response_flags], [503, 'mine', 'UO']);
  rig.clock.advance(1_000);
  await until(() => app.heard.length === 3);
  await until(() => rig.clock.pendingMs().includes(1_000));
  rig.clock.advance(1_000);
  // W35: as often as the route asks, and then no more.
  assert.equal((await first).status, 503);
  assert.equal(rig.lines.at(-1)?.response_flags, 'URX');
  // What was held is free again.
  const third = curl(rig.port, '/3');
  await until(() => rig.clock.pendingMs().includes(1_000));
  assert.equal(overflows(rig), 1);
  rig.close();
  await third;
});

test('past its limit a connection that is not HTTP is closed, with UO', async (t) => {
  const rig = await startRig(optionsOf([breaker({ maxConnections: 1 })], { appProtocol: 'tcp' }));
  t.after(() => rig.close());
  rig.endpoints([await startRawApp(t, (socket) => socket.write('hello'))]);
  const first = await rawClient(t, rig.port);
  await until(() => first.received() === 'hello');
  const second = await rawClient(t, rig.port);
  await until(() => rig.lines.some((line) => line.response_flags === 'UO'));
  assert.equal(second.received(), '');
  first.socket.resetAndDestroy();
  await until(() => rig.lines.some((line) => line.response_flags === 'DC'));
  const third = await rawClient(t, rig.port);
  await until(() => third.received() === 'hello');
  assert.equal(rig.waypoint.meters.total('weft_refusals_total'), 1);
});

test('tcp.idleTimeout: a connection that is not HTTP ends when nothing has passed for that long', async (t) => {
  const connection = { ...NO_TIMES, tcpIdleTimeoutMs: 3_000 };
  const rig = await startRig(optionsOf([settings({ connection })], { appProtocol: 'tcp' }));
  t.after(() => rig.close());
  rig.endpoints([
    await startRawApp(t, (socket) => socket.on('data', (data) => socket.write(data)).on('end', () => socket.end())),
  ]);
  const client = await rawClient(t, rig.port);
  const say = async (text: string): Promise<void> => {
    const before = client.received();
    client.socket.write(text);
    await until(() => client.received() === before + text);
  };
  await say('a');
  rig.clock.advance(2_000);
  await say('b');
  rig.clock.advance(2_999);
  await say('c');
  assert.equal(rig.lines.length, 0);
  rig.clock.advance(3_000);
  await until(() => rig.lines.some(({ error }) => error === 'idle_timeout'));
  assert.equal(rig.lines.at(-1)?.response_flags, '-');
});

test('tcp.maxConnectionDuration: a connection that is not HTTP ends then, with DT; no timer outlives one that ended before', async (t) => {
  const connection = { ...NO_TIMES, tcpIdleTimeoutMs: 7_003, maxConnectionMs: 5_003 };
  const rig = await startRig(optionsOf([settings({ connection })], { appProtocol: 'tcp' }));
  t.after(() => rig.close());
  rig.endpoints([await startRawApp(t, (socket) => socket.write('hello'))]);
  const client = await rawClient(t, rig.port);
  await until(() => client.received() === 'hello');
  rig.clock.advance(5_003);
  await until(() => rig.lines.some(({ response_flags: flags }) => flags === 'DT'));
  const waits = (): number[] => rig.clock.pendingMs().filter((ms) => [2_000, 5_003, 7_003].includes(ms));
  assert.deepEqual(waits(), []);
  const other = await rawClient(t, rig.port);
  await until(() => other.received() === 'hello');
  assert.deepEqual(waits(), [5_003, 7_003]);
  other.socket.resetAndDestroy();
  await until(() => rig.lines.some(({ response_flags: flags }) => flags === 'DC'));
  assert.deepEqual(waits(), []);
});
