import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import http2 from 'node:http2';
import test, { type TestContext } from 'node:test';
import type { L7Policy } from '#model/waypoint/config.ts';
import { curl, startApp } from '#waypoint/clients.testing.ts';
import { type App2, ask2, http2Client, startHttp2App } from '#waypoint/http2-clients.testing.ts';
import { type Rig, type RigOptions, rule, settle, startRig, to, until } from '#waypoint/waypoint-rig.testing.ts';

const GRPC = { 'content-type': 'application/grpc', te: 'trailers', ':method': 'POST', ':path': '/shop.Cart/Get' };

async function rigWithApp(
  t: TestContext,
  options: RigOptions,
  answer: Parameters<typeof startHttp2App>[1],
): Promise<{ rig: Rig; app: App2 }> {
  const app = await startHttp2App(t, answer);
  const rig = await startRig(options);
  t.after(() => rig.close());
  rig.endpoints([app.port]);
  return { rig, app };
}

/** A gRPC app that echoes its message and puts its status into trailers. */
function echoGrpc(stream: http2.ServerHttp2Stream, { body }: { body: string }): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-more': 'yes' }));
  stream.end(body);
}

test('W27 an undeclared port: an HTTP/2 client reaches the app in HTTP/2, an HTTP/1.1 client in HTTP/1.1', async (t) => {
  const { rig, app } = await rigWithApp(t, { appProtocol: 'unknown' }, (stream) => {
    stream.respond({ ':status': 200, 'x-app': 'h2' });
    stream.end('hi');
  });
  const seen = await curl(rig.port, '/a?b', '--http2-prior-knowledge');
  assert.equal(seen.status, 200);
  assert.equal(seen.body, 'hi');
  assert.equal(app.heard[0]?.headers[':path'], '/a?b');
  assert.equal(app.heard[0]?.headers['x-forwarded-proto'], 'http');
  const plain = await startApp(t);
  rig.endpoints([plain.port]);
  assert.equal((await curl(rig.port, '/')).body, 'ok');
});

test('W27 a port declared http: an HTTP/2 client is sent on in HTTP/1.1', async (t) => {
  const app = await startApp(t, (heard, response) => response.setHeader('x-seen', heard.method).end(heard.body));
  const rig = await startRig({ appProtocol: 'http11' });
  t.after(() => rig.close());
  rig.endpoints([app.port]);
  const session = http2Client(t, rig.port);
  const seen = await ask2(session, { ':method': 'POST', ':path': '/x', cookie: ['a=1', 'b=2'] }, 'body');
  assert.equal(seen.status, 200);
  assert.equal(seen.body, 'body');
  assert.equal(seen.headers['x-seen'], 'POST');
  assert.equal(app.heard[0]?.headers.cookie, 'a=1; b=2');
  assert.equal(app.heard[0]?.headers.host, `127.0.0.1:${rig.port}`);
  assert.equal((await ask2(session, { ':path': '/y' })).status, 200);
  assert.equal(rig.waypoint.counters.upstreamConnections, 1);
});

test('W27 a port declared grpc: an HTTP/1.1 client is sent on in HTTP/2', async (t) => {
  const { rig, app } = await rigWithApp(t, { appProtocol: 'grpc' }, (stream, { body }) => {
    stream.respond({ ':status': 201 });
    stream.end(`got ${body}`);
  });
  const seen = await curl(rig.port, '/', '-d', 'abc', '-H', 'transfer-encoding: chunked');
  assert.equal(seen.status, 201);
  assert.equal(seen.body, 'got abc');
  assert.equal(app.heard[0]?.headers['transfer-encoding'], undefined);
});

test('gRPC passes: message, trailers both ways, and the status is in the log', async (t) => {
  const { rig, app } = await rigWithApp(t, { appProtocol: 'grpc' }, echoGrpc);
  const seen = await ask2(http2Client(t, rig.port), GRPC, Buffer.from('\0\0\0\0\x02hi'), { 'x-request-trailer': '1' });
  assert.equal(seen.body, '\0\0\0\0\x02hi');
  assert.equal(seen.trailers?.['grpc-status'], '0');
  assert.equal(seen.trailers?.['x-more'], 'yes');
  assert.equal(app.heard[0]?.trailers?.['x-request-trailer'], '1');
  assert.equal(app.heard[0]?.headers.te, 'trailers');
  assert.equal(rig.lines.at(-1)?.grpc_status, '0');
});

test('gRPC: a trailers-only answer stays one', async (t) => {
  const { rig } = await rigWithApp(t, { appProtocol: 'grpc' }, (stream) => {
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '5', 'grpc-message': 'no such cart' },
      { endStream: true },
    );
  });
  const seen = await ask2(http2Client(t, rig.port), GRPC, '');
  assert.equal(seen.headers['grpc-status'], '5');
  assert.equal(seen.trailers, null);
  assert.equal(rig.lines.at(-1)?.grpc_status, '5');
});

test('gRPC: streams in both directions flow as they come', async (t) => {
  const server = await startHttp2App(t, () => {});
  const rig = await startRig({ appProtocol: 'grpc' });
  t.after(() => rig.close());
  const echo = http2.createServer();
  echo.on('stream', (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    stream.on('data', (data) => stream.write(`echo ${data};`));
    stream.on('end', () => stream.end());
  });
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
  t.after(() => echo.close());
  assert.ok(server.port > 0);
  rig.endpoints([(echo.address() as import('node:net').AddressInfo).port]);
  const stream = http2Client(t, rig.port).request(GRPC);
  let seen = '';
  stream.on('data', (data) => {
    seen += data;
  });
  for (const word of ['one', 'two', 'three']) {
    stream.write(word);
    await until(() => seen.endsWith(`echo ${word};`));
  }
  stream.end();
  await new Promise((resolve) => stream.on('close', resolve));
  rig.close();
});

const REFUSALS: { name: string; options: RigOptions; grpcStatus: string; message: string | undefined }[] = [
  {
    name: 'denied by policy: PERMISSION_DENIED',
    options: { policies: [{ namespace: 'shop', name: 'none', action: 'allow', dryRun: false, rules: [] } satisfies L7Policy] },
    grpcStatus: '7',
    message: 'RBAC: access denied',
  },
  {
    name: 'no route: UNIMPLEMENTED',
    options: { routes: [rule({ path: { type: 'exact', value: '/x' } }, [to('cart')])] },
    grpcStatus: '12',
    message: undefined,
  },
  {
    name: 'no endpoint: UNAVAILABLE',
    options: {},
    grpcStatus: '14',
    message: 'no healthy upstream: cart.shop.svc.cluster.local',
  },
  { name: 'an invalid backend: UNAVAILABLE', options: { routes: [rule({}, [])] }, grpcStatus: '14', message: undefined },
];

for (const { name, options, grpcStatus, message } of REFUSALS) {
  test(`gRPC (9.6): ${name}, as a trailers-only response`, async (t) => {
    const rig = await startRig({ ...options, appProtocol: 'grpc' });
    t.after(() => rig.close());
    const seen = await ask2(http2Client(t, rig.port), GRPC, 'x');
    assert.equal(seen.status, 200);
    assert.equal(seen.headers['grpc-status'], grpcStatus);
    assert.equal(seen.headers['grpc-message'], message);
    assert.equal(seen.headers['content-type'], 'application/grpc');
  });
}

test('HTTP/2: large bodies pass whole in both directions', async (t) => {
  const { rig } = await rigWithApp(t, { appProtocol: 'http2' }, (stream, { body }) => {
    stream.respond({ ':status': 200 });
    stream.end(Buffer.from(body, 'latin1'));
  });
  const body = Buffer.alloc(5_000_000, 'abcdefghij');
  const seen = await ask2(http2Client(t, rig.port), { ':method': 'POST', ':path': '/' }, body);
  assert.equal(seen.body, body.toString('latin1'));
});

test('HTTP/2: many requests at once share one upstream connection', async (t) => {
  const { rig, app } = await rigWithApp(t, { appProtocol: 'http2' }, (stream) => {
    stream.respond({ ':status': 200 });
    stream.end('ok');
  });
  const session = http2Client(t, rig.port);
  const answers = await Promise.all(Array.from({ length: 90 }, (_, at) => ask2(session, { ':path': `/${at}` })));
  assert.ok(answers.every(({ body }) => body === 'ok'));
  assert.equal(app.sessions.size, 1);
});

test('HTTP/2: a client that withdraws a request ends it upstream, flag DR', async (t) => {
  let aborted = false;
  const server = http2.createServer();
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.on('close', () => {
      aborted = true;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const rig = await startRig({ appProtocol: 'http2' });
  t.after(() => rig.close());
  rig.endpoints([(server.address() as import('node:net').AddressInfo).port]);
  const stream = http2Client(t, rig.port).request({ ':path': '/' });
  stream.on('error', () => {});
  await until(() => rig.waypoint.counters.upstreamConnections === 1);
  await new Promise((resolve) => setImmediate(resolve));
  stream.close(http2.constants.NGHTTP2_CANCEL);
  await until(() => rig.lines.some(({ message }) => message === 'request'));
  assert.equal(rig.lines.find(({ message }) => message === 'request')?.response_flags, 'DR');
  await until(() => aborted || rig.waypoint.counters.openRequests === 0);
});

test('HTTP/2: an app that resets the stream is 503 before a response, and a reset after it began', async (t) => {
  const { rig } = await rigWithApp(t, { appProtocol: 'http2' }, (stream, { headers }) => {
    if (headers[':path'] === '/late') {
      // node ends a stream before it resets it, unless it still waits for trailers.
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.write('some');
    }
    setImmediate(() => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR));
  });
  const session = http2Client(t, rig.port);
  const early = await ask2(session, { ':path': '/early' });
  assert.equal(early.status, 503);
  assert.match(early.body, /reset reason: remote reset$/);
  const late = await ask2(session, { ':path': '/late' });
  assert.equal(late.status, 200);
  assert.notEqual(late.error, null);
});

test('HTTP/2: the path is normalized and judged like that of HTTP/1.1', async (t) => {
  const { rig, app } = await rigWithApp(t, { appProtocol: 'http2' }, (stream) => {
    stream.respond({ ':status': 200 });
    stream.end();
  });
  const session = http2Client(t, rig.port);
  await ask2(session, { ':path': '/a/../b%2e?x#y' });
  assert.equal(app.heard[0]?.headers[':path'], '/b.?x');
  assert.equal((await ask2(session, { ':path': '/%00' })).status, 400);
  assert.equal((await ask2(session, { ':method': 'get', ':path': '/' })).status, 400);
  // nghttp2 resets what the protocol itself forbids.
  for (const path of ['nopath', '/a b']) {
    const { status, error } = await ask2(session, { ':path': path });
    assert.ok(status === 400 || error !== null, path);
  }
  assert.equal(app.heard.length, 1);
});

test('W24 HTTP/2: a request of more than 100 headers is a stream error', async (t) => {
  const { rig, app } = await rigWithApp(t, { appProtocol: 'http2' }, (stream) => {
    stream.respond({ ':status': 200 });
    stream.end();
  });
  const headers: http2.OutgoingHttpHeaders = { ':path': '/' };
  for (let at = 0; at < 101; at++) headers[`x-${at}`] = '1';
  const seen = await ask2(http2Client(t, rig.port), headers);
  assert.notEqual(seen.error, null);
  assert.equal(app.heard.length, 0);
});

test('W74 a flood of withdrawn requests ends the connection', async (t) => {
  const { rig } = await rigWithApp(t, { appProtocol: 'http2' }, () => {});
  const session = http2Client(t, rig.port);
  let closed = false;
  session.on('close', () => {
    closed = true;
  });
  for (let round = 0; round < 60 && !closed; round++) {
    for (let count = 0; count < 10 && !session.destroyed; count++) {
      const stream = session.request({ ':path': '/', ':method': 'POST' });
      stream.on('error', () => {});
      stream.close(http2.constants.NGHTTP2_CANCEL);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => closed);
  assert.ok(rig.waypoint.counters.requests <= 600);
});

test('W73 HTTP/2: draining finishes what is under way and then closes', async (t) => {
  const asked: (() => void)[] = [];
  const { rig } = await rigWithApp(t, { appProtocol: 'http2' }, (stream) => {
    asked.push(() => {
      stream.respond({ ':status': 200 });
      stream.end('done');
    });
  });
  const session = http2Client(t, rig.port);
  const pending = ask2(session, { ':path': '/' });
  await until(() => asked.length === 1);
  rig.waypoint.drain();
  for (const answer of asked) answer();
  assert.equal((await pending).body, 'done');
  await until(() => session.closed);
  // A tunnel that was on its way is served; nothing is, once all has been cut.
  assert.equal(rig.waypoint.admit('10.96.0.10:80').kind, 'accept');
  rig.waypoint.close();
  assert.deepEqual(rig.waypoint.admit('10.96.0.10:80'), {
    kind: 'refuse',
    status: 503,
    why: 'the waypoint is shutting down',
  });
});

test('HTTP/2: nghttp and h2load agree with us', async (t) => {
  const { rig } = await rigWithApp(t, { appProtocol: 'unknown' }, (stream) => {
    stream.respond({ ':status': 200 });
    stream.end('x'.repeat(1_000));
  });
  const output = await new Promise<string>((resolve) => {
    execFile('h2load', ['-n', '500', '-c', '4', '-m', '10', `http://127.0.0.1:${rig.port}/`], (error, stdout) =>
      resolve(error === null ? stdout : `missing: ${error.message}`),
    );
  });
  if (output.startsWith('missing: spawn')) t.skip('h2load is not installed: apt-get install nghttp2-client');
  else assert.match(output, /500 succeeded, 0 failed, 0 errored/);
});

/** An app that takes calls and never answers; `ended`: how many of them were ended by the waypoint. */
async function silentApp(t: TestContext, options: RigOptions = {}): Promise<{ rig: Rig; app: App2; ended(): number }> {
  let ended = 0;
  const { rig, app } = await rigWithApp(
    t,
    { appProtocol: 'grpc', ...options },
    (stream) => void stream.on('close', () => ended++),
  );
  return { rig, app, ended: () => ended };
}

test('W41 W79 a call ends when the time is over that it brought, as one whose deadline is exceeded, and so does it upstream', async (t) => {
  const { rig, app, ended } = await silentApp(t);
  const client = await http2Client(t, rig.port);
  const asked = ask2(client, { ...GRPC, 'grpc-timeout': '200m' }, 'x');
  await until(() => app.heard.length === 1);
  assert.equal(app.heard[0]?.headers['grpc-timeout'], '200m');
  rig.clock.advance(199);
  await settle();
  assert.equal(rig.waypoint.counters.openRequests, 1);
  rig.clock.advance(1);
  const { status, headers } = await asked;
  assert.deepEqual([status, headers['grpc-status']], [200, '4']);
  assert.deepEqual([rig.lines.at(-1)?.response_flags, rig.lines.at(-1)?.response_code_details], ['UT', 'response_timeout']);
  await until(() => ended() === 1);
});

test('W41 the time of a call counts from its beginning, though its messages go on', async (t) => {
  const { rig } = await silentApp(t);
  const client = await http2Client(t, rig.port);
  const stream = client.request({ ...GRPC, 'grpc-timeout': '1S' });
  stream.write('x');
  const answered = new Promise<http2.IncomingHttpHeaders>((resolve) => stream.on('response', resolve));
  await until(() => rig.waypoint.counters.openRequests === 1);
  rig.clock.advance(1_000);
  assert.equal((await answered)['grpc-status'], '4');
});

test('W42 of the time of a route and that of a call the shorter one counts', async (t) => {
  const { rig, app } = await silentApp(t, { routes: [rule({}, [to('cart')], { requestTimeoutMs: 100 })] });
  const client = await http2Client(t, rig.port);
  const asked = ask2(client, { ...GRPC, 'grpc-timeout': '1S' }, 'x');
  await until(() => app.heard.length === 1);
  rig.clock.advance(100);
  assert.equal((await asked).headers['grpc-status'], '14');
  const shorter = ask2(client, { ...GRPC, 'grpc-timeout': '50m' }, 'x');
  await until(() => app.heard.length === 2);
  rig.clock.advance(50);
  assert.equal((await shorter).headers['grpc-status'], '4');
});
