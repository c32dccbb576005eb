import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { type App, curl, deadPort, rawClient, startApp, startRawApp } from '#waypoint/clients.testing.ts';
import { type Rig, type RigOptions, rule, settle, startRig, to, until } from '#waypoint/waypoint-rig.testing.ts';

async function rigWithApp(
  t: TestContext,
  options: RigOptions = {},
  answer?: Parameters<typeof startApp>[1],
): Promise<{ rig: Rig; app: App }> {
  const app = await startApp(t, answer);
  const rig = await startRig(options);
  t.after(() => rig.close());
  rig.endpoints([app.port]);
  return { rig, app };
}

test('waypoint: curl gets the app’s answer', async (t) => {
  const { rig, app } = await rigWithApp(t, {}, (_heard, response) => response.setHeader('X-App', 'yes').end('hello'));
  const seen = await curl(rig.port, '/a?b=c', '-H', 'X-Mine: 1');
  assert.equal(seen.status, 200);
  assert.equal(seen.body, 'hello');
  assert.match(seen.headers, /x-app: yes/);
  const [heard] = app.heard;
  assert.equal(heard?.url, '/a?b=c');
  assert.equal(heard?.headers['x-mine'], '1');
  assert.equal(heard?.headers.host, `127.0.0.1:${rig.port}`);
});

test('W12 W13 the request gets an id and a scheme, the response server, date and the upstream’s time', async (t) => {
  const { rig, app } = await rigWithApp(t);
  const seen = await curl(rig.port, '/');
  assert.match(seen.headers, /server: weft\r\n/);
  assert.match(seen.headers, /x-envoy-upstream-service-time: \d+/);
  assert.equal(seen.headers.match(/^date: /gim)?.length, 1);
  assert.match(String(app.heard[0]?.headers['x-request-id']), /^[0-9a-f-]{36}$/);
  assert.equal(app.heard[0]?.headers['x-forwarded-proto'], 'http');
  await curl(rig.port, '/', '-H', 'X-Request-Id: mine', '-H', 'x-forwarded-proto: https');
  assert.equal(app.heard[1]?.headers['x-request-id'], 'mine');
  assert.equal(app.heard[1]?.headers['x-forwarded-proto'], 'https');
});

test('W9 W10 W11 W14 W25 W26 what the client may not say is removed, the rest stays', async (t) => {
  const { rig, app } = await rigWithApp(t);
  const sent = [
    'x-forwarded-client-cert: evil',
    'x-envoy-max-retries: 9',
    'x-envoy-upstream-rq-timeout-ms: 1',
    'te: gzip',
    'connection: x-foo',
    'x-foo: 1',
    'x-forwarded-for: 1.2.3.4',
    'x-envoy-decorator-operation: op',
  ];
  await curl(rig.port, '/', ...sent.flatMap((header) => ['-H', header]));
  const headers = app.heard[0]?.headers ?? {};
  for (const gone of [
    'x-forwarded-client-cert',
    'x-envoy-max-retries',
    'x-envoy-upstream-rq-timeout-ms',
    'te',
    'x-foo',
    'x-envoy-attempt-count',
  ]) {
    assert.equal(headers[gone], undefined, gone);
  }
  assert.equal(headers['x-forwarded-for'], '1.2.3.4');
  assert.equal(headers['x-envoy-decorator-operation'], 'op');
});

test('W15 W18 the normalized path is forwarded', async (t) => {
  const { rig, app } = await rigWithApp(t);
  await curl(rig.port, '/a/./b/../c%2Fd//e?x=/../');
  assert.equal(app.heard[0]?.url, '/a/c%2Fd//e?x=/../');
});

test('waypoint: bodies of known and unknown length pass both ways', async (t) => {
  const { rig, app } = await rigWithApp(t, {}, ({ body }, response) => {
    response.write(body.slice(0, 10));
    response.end(body.slice(10));
  });
  const text = 'x'.repeat(3_000_000);
  const client = await rawClient(t, rig.port);
  client.socket.write(`POST /known HTTP/1.1\r\nhost: a\r\ncontent-length: ${text.length}\r\n\r\n${text}`);
  await until(() => client.received().endsWith('\r\n0\r\n\r\n'));
  assert.equal(app.heard[0]?.body.length, text.length);
  assert.equal(app.heard[0]?.headers['content-length'], String(text.length));
  client.socket.write(
    `POST /chunked HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n${text.length.toString(16)}\r\n${text}\r\n0\r\nX-Trailer: dropped\r\n\r\n`,
  );
  await until(() => app.heard.length === 2);
  assert.equal(app.heard[1]?.body.length, text.length);
  assert.equal(app.heard[1]?.headers['transfer-encoding'], 'chunked');
  await until(() => client.received().split('\r\n0\r\n\r\n').length === 3);
});

test('waypoint: keep-alive on both sides: two requests of one client use one connection to the app', async (t) => {
  const { rig, app } = await rigWithApp(t);
  const client = await rawClient(t, rig.port);
  for (let count = 1; count <= 3; count++) {
    client.socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    await until(() => client.received().split('HTTP/1.1 200').length === count + 1 && client.received().endsWith('ok'));
  }
  assert.equal(rig.waypoint.counters.upstreamConnections, 1);
  assert.equal(rig.waypoint.counters.upstreamReuses, 2);
  assert.equal(app.sockets.size, 1);
});

test('W8 identities never share a connection to the app', async (t) => {
  const { rig } = await rigWithApp(t);
  const { parseIdentity } = await import('#model/identity/identity.ts');
  for (const name of ['front', 'back', 'front']) {
    rig.peer = parseIdentity(`spiffe://cluster.local/ns/web/sa/${name}`);
    assert.equal((await curl(rig.port, '/')).status, 200);
  }
  rig.peer = null;
  assert.equal((await curl(rig.port, '/')).status, 200);
  assert.equal(rig.waypoint.counters.upstreamConnections, 3);
  assert.equal(rig.waypoint.counters.upstreamReuses, 1);
});

test('waypoint: pipelined requests are answered in order', async (t) => {
  const { rig } = await rigWithApp(t, {}, ({ url }, response) => setImmediate(() => response.end(url)));
  const client = await rawClient(t, rig.port);
  client.socket.write([1, 2, 3, 4].map((at) => `GET /${at} HTTP/1.1\r\nhost: a\r\n\r\n`).join(''));
  await until(() => client.received().endsWith('/4'));
  assert.deepEqual(client.received().match(/\/\d$|\/\d(?=HTTP)/g), ['/1', '/2', '/3', '/4']);
});

test('W19 W20 W21 W22 W24 messages that cannot be trusted are refused and never reach the app', async (t) => {
  const { rig, app } = await rigWithApp(t);
  const cases: [string, number][] = [
    ['GET / HTTP/1.0\r\nhost: a\r\n\r\n', 426],
    ['POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', 400],
    ['POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n', 501],
    ['GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(62_000)}\r\n\r\n`, 431],
    [`GET / HTTP/1.1\r\nhost: a\r\n${'x: y\r\n'.repeat(100)}\r\n`, 431],
  ];
  for (const [bytes, status] of cases) {
    const client = await rawClient(t, rig.port);
    client.socket.write(bytes);
    await until(() => client.ended());
    assert.match(client.received(), new RegExp(`^HTTP/1.1 ${status} `));
  }
  assert.equal(app.heard.length, 0);
  assert.equal(rig.waypoint.counters.protocolErrors, cases.length);
});

test('W29 a websocket upgrade passes, bytes flow both ways, and the end is recorded', async (t) => {
  const port = await startRawApp(t, (socket) => {
    socket.once('data', (head) => {
      assert.match(head.toString(), /connection: upgrade\r\nupgrade: websocket\r\n/);
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nUpgrade: websocket\r\nsec-websocket-accept: k\r\n\r\nhello',
      );
      socket.on('data', (data) => socket.write(`echo ${data}`));
      socket.on('end', () => socket.end());
    });
  });
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([port]);
  const client = await rawClient(t, rig.port);
  client.socket.write('GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\r\n');
  await until(() => client.received().endsWith('hello'));
  assert.match(
    client.received(),
    /^HTTP\/1\.1 101 Switching Protocols\r\n[\s\S]*connection: upgrade\r\nupgrade: websocket\r\n\r\nhello$/,
  );
  client.socket.write('ping');
  await until(() => client.received().endsWith('echo ping'));
  client.socket.end();
  await until(() => rig.lines.some(({ message }) => message === 'request'));
  const line = rig.lines.find(({ message }) => message === 'request');
  assert.equal(line?.response_code, 101);
  assert.equal(line?.bytes_recv, 4);
});

test('W30 another upgrade is ignored, as RFC 9110 7.8 says; W28 so is h2c', async (t) => {
  const { rig, app } = await rigWithApp(t);
  assert.equal((await curl(rig.port, '/', '-H', 'connection: upgrade', '-H', 'upgrade: foo')).status, 200);
  assert.equal(app.heard[0]?.headers.upgrade, undefined);
  assert.equal((await curl(rig.port, '/', '--http2')).status, 200);
  assert.equal(app.heard.length, 2);
  assert.equal(app.heard[1]?.headers.upgrade, undefined);
  assert.equal(app.heard[1]?.headers['http2-settings'], undefined);
});

test('F17 W31: Expect: 100-continue goes up, the 100 comes down, then the body goes', async (t) => {
  const port = await startRawApp(t, (socket) => {
    let text = '';
    socket.on('data', (data) => {
      const before = text;
      text += data;
      if (before === '') {
        assert.match(text, /expect: 100-continue/);
        assert.doesNotMatch(text, /body/);
        socket.write('HTTP/1.1 100 Continue\r\n\r\n');
      }
      if (text.endsWith('body')) socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
  });
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([port]);
  const client = await rawClient(t, rig.port);
  client.socket.write('PUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n');
  await until(() => client.received() === 'HTTP/1.1 100 Continue\r\n\r\n');
  client.socket.write('body');
  await until(() => client.received().endsWith('ok'));
});

test('waypoint: HEAD, 204 and 304 pass without a body and keep the connection', async (t) => {
  const { rig } = await rigWithApp(t, {}, ({ url }, response) => {
    response.writeHead(Number(url.slice(1)), url === '/200' ? { 'content-length': 7 } : {}).end();
  });
  const client = await rawClient(t, rig.port);
  client.socket.write(
    'HEAD /200 HTTP/1.1\r\nhost: a\r\n\r\nGET /204 HTTP/1.1\r\nhost: a\r\n\r\nGET /304 HTTP/1.1\r\nhost: a\r\n\r\n',
  );
  await until(() => /304 Not Modified\r\n[\s\S]*\r\n\r\n$/.test(client.received()));
  assert.match(client.received(), /^HTTP\/1\.1 200 OK\r\n[\s\S]*content-length: 7\r\n\r\nHTTP\/1\.1 204 No Content\r\n/);
});

/** Answers the first request of each connection and closes at the second: the waypoint cannot know before it sends. */
function startForgetfulApp(t: TestContext): Promise<number> {
  return startRawApp(t, (socket) => {
    let requests = 0;
    socket.on('data', () =>
      ++requests === 1 ? socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok') : socket.destroy(),
    );
  });
}

test('waypoint: a reused connection that had died is replaced once, unseen by the client', async (t) => {
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([await startForgetfulApp(t)]);
  for (let request = 1; request <= 2; request++) assert.equal((await curl(rig.port, '/')).status, 200);
  assert.equal(rig.waypoint.counters.upstreamReuses, 1);
  assert.equal(rig.waypoint.counters.upstreamRetries, 1);
  assert.equal(rig.waypoint.counters.upstreamConnections, 2);
});

test('waypoint: a request with a body is not repeated', async (t) => {
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([await startForgetfulApp(t)]);
  assert.equal((await curl(rig.port, '/')).status, 200);
  assert.equal((await curl(rig.port, '/', '-d', 'x=1')).status, 503);
  assert.equal(rig.waypoint.counters.upstreamRetries, 0);
});

test('waypoint: an upstream that fails is told apart in status, body and flag (docs/rules/waypoint.md)', async (t) => {
  const rig = await startRig();
  t.after(() => rig.close());
  const cases: { app: () => Promise<number>; status: number; reason: string; flag: string }[] = [
    { app: deadPort, status: 503, reason: 'remote connection failure', flag: 'UF' },
    {
      app: () => startRawApp(t, (socket) => socket.once('data', () => socket.end())),
      status: 503,
      reason: 'connection termination',
      flag: 'UC',
    },
    {
      app: () => startRawApp(t, (socket) => socket.once('data', () => socket.resetAndDestroy())),
      status: 503,
      reason: 'remote reset',
      flag: 'UR',
    },
    {
      app: () => startRawApp(t, (socket) => socket.once('data', () => socket.end('nonsense\r\n\r\n'))),
      status: 502,
      reason: 'protocol error',
      flag: 'UPE',
    },
  ];
  for (const { app, status, reason, flag } of cases) {
    rig.endpoints([await app()]);
    const seen = await curl(rig.port, '/');
    assert.equal(seen.status, status, flag);
    assert.equal(seen.body, `upstream connect error or disconnect/reset before headers. reset reason: ${reason}`);
    assert.equal(rig.lines.at(-1)?.response_flags, flag);
  }
});

test('W44 no endpoint: 503 no healthy upstream, UH', async (t) => {
  const { rig, app } = await rigWithApp(t);
  rig.endpoints([]);
  const gone = await curl(rig.port, '/');
  assert.equal(gone.status, 503);
  assert.match(gone.body, /^no healthy upstream: [a-z.]+$/);
  rig.endpoints([app.port], { healthy: false });
  assert.equal((await curl(rig.port, '/')).body, gone.body);
  assert.equal(rig.lines.at(-1)?.response_flags, 'UH');
  rig.endpoints([app.port]);
  assert.equal((await curl(rig.port, '/')).status, 200);
});

test('W39 a route’s timeout answers 504; W40 without one the waypoint waits', async (t) => {
  const { rig } = await rigWithApp(
    t,
    {
      routes: [
        rule({ path: { type: 'prefix', value: '/slow' } }, [to('cart')], { requestTimeoutMs: 1_000 }),
        rule({}, [to('cart')]),
      ],
    },
    () => {},
  );
  const slow = curl(rig.port, '/slow');
  const patient = curl(rig.port, '/patient');
  await until(() => rig.waypoint.counters.openRequests === 2 && rig.dials.length === 2);
  rig.clock.advance(999);
  await settle();
  assert.equal(rig.waypoint.counters.openRequests, 2);
  rig.clock.advance(1);
  const seen = await slow;
  assert.equal(seen.status, 504);
  assert.equal(seen.body, 'upstream request timeout');
  assert.equal(rig.lines.at(-1)?.response_flags, 'UT');
  rig.clock.advance(3_600_000);
  await settle();
  assert.equal(rig.waypoint.counters.openRequests, 1);
  rig.close();
  await patient;
});

test('waypoint: a client that leaves ends the upstream request, flag DC', async (t) => {
  let closed = false;
  const port = await startRawApp(t, (socket) =>
    socket
      .on('close', () => (closed = true))
      .on('end', () => socket.end())
      .resume(),
  );
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([port]);
  const client = await rawClient(t, rig.port);
  client.socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
  await until(() => rig.waypoint.counters.upstreamConnections === 1);
  client.socket.destroy();
  await until(() => closed);
  assert.equal(rig.lines.at(-1)?.response_flags, 'DC');
  assert.equal(rig.waypoint.counters.openRequests, 0);
});

test('waypoint: a response that breaks off is cut, never completed', async (t) => {
  const port = await startRawApp(t, (socket) =>
    socket.once('data', () =>
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n', () => socket.destroy()),
    ),
  );
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([port]);
  const seen = await curl(rig.port, '/');
  assert.equal(seen.code, 56);
  assert.match(String(rig.lines.at(-1)?.response_flags), /^U[CR]$/);
});

test('W78 an app that answers before it has read the request gets its answer through', async (t) => {
  const port = await startRawApp(t, (socket) =>
    socket.once('data', () => socket.write('HTTP/1.1 413 Payload Too Large\r\ncontent-length: 3\r\n\r\nbig')),
  );
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([port]);
  const client = await rawClient(t, rig.port);
  client.socket.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nsome');
  await until(() => client.received().endsWith('big') && client.ended());
  assert.match(client.received(), /^HTTP\/1\.1 413 /);
});

test('W75 a slow reader stops the upstream; memory stays bounded', async (t) => {
  let written = 0;
  let blocked = false;
  const port = await startRawApp(t, (socket) => {
    socket.once('data', () => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${1e9}\r\n\r\n`);
      const piece = Buffer.alloc(64 * 1024);
      const more = (): void => {
        while (!blocked && written < 1e8) {
          written += piece.length;
          if (!socket.write(piece)) return;
        }
      };
      socket.on('drain', more);
      more();
    });
  });
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([port]);
  const client = await rawClient(t, rig.port);
  client.socket.pause();
  client.socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
  let last = -1;
  while (written !== last) {
    last = written;
    await settle(200);
  }
  // Kernel buffers of four loopback sockets, plus one watermark on each side.
  assert.ok(written < 40_000_000, `${written} bytes were taken from the app`);
  assert.ok((rig.waypoint.counters.openRequests as number) === 1);
  blocked = true;
});

test('waypoint: one line tells everything of a request', async (t) => {
  const { rig } = await rigWithApp(t, { routes: [rule({}, [to('cart')], { name: 'all' })] });
  await curl(rig.port, '/x?y', '-d', 'abc', '-H', 'x-request-id: id-1');
  const [line] = rig.lines.filter(({ message }) => message === 'request');
  assert.deepEqual(
    { ...line, 'src.addr': '', 'dst.addr': '' },
    {
      message: 'request',
      'src.addr': '',
      'src.identity': 'spiffe://cluster.local/ns/web/sa/front',
      'dst.addr': '',
      'dst.service': 'cart.shop.svc.cluster.local',
      'dst.workload': 'cart-0',
      'dst.namespace': 'shop',
      'dst.identity': 'spiffe://cluster.local/ns/shop/sa/cart-0',
      'dst.cluster': 'Kubernetes',
      downstream_local_address: '10.96.0.10:80',
      method: 'POST',
      path: '/x',
      protocol: 'HTTP/1.1',
      authority: `127.0.0.1:${rig.port}`,
      request_id: 'id-1',
      route_name: 'shop/r/all',
      response_code: 200,
      bytes_sent: 2,
      bytes_recv: 3,
      duration: '0ms',
      response_flags: '-',
    },
  );
});
