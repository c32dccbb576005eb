import assert from 'node:assert/strict';
import http from 'node:http';
import test, { type TestContext } from 'node:test';
import type { HttpCors, HttpMirror } from '#model/waypoint/filters.ts';
import { type App, curl, deadPort, rawClient, startApp, startRawApp } from '#waypoint/clients.testing.ts';
import { ask2, http2Client } from '#waypoint/http2-clients.testing.ts';
import { CART, configOf, type Rig, type RigOptions, rule, settle, startRig, to, until } from '#waypoint/waypoint-rig.testing.ts';

/** A rig whose services are one app each; every app answers its own name. */
async function shop(t: TestContext, options: RigOptions, ...names: string[]): Promise<{ rig: Rig; apps: Record<string, App> }> {
  const rig = await startRig(options);
  t.after(() => rig.close());
  const apps: Record<string, App> = {};
  for (const name of names) {
    const app = await startApp(t, (_heard, response) => response.setHeader('x-version', name).end(name));
    apps[name] = app;
    rig.endpoints([app.port], {}, name);
  }
  return { rig, apps };
}

const under = (value: string) => ({ path: { type: 'prefix' as const, value } });
const location = (headers: string): string | undefined => /^location: (.*)$/m.exec(headers.replaceAll('\r', ''))?.[1];

test('redirect: all five statuses, with what is named and the rest from the request; no backend is asked', async (t) => {
  const redirect = { scheme: null, hostname: null, port: null, path: null, status: 302 } as const;
  const routes = [
    ...([301, 302, 303, 307, 308] as const).map((status) => rule(under(`/${status}`), [], { redirect: { ...redirect, status } })),
    rule(under('/host'), [], { redirect: { ...redirect, hostname: 'example.org', scheme: 'https' } }),
    rule(under('/port'), [], { redirect: { ...redirect, port: 8083 } }),
    rule(under('/full'), [], { redirect: { ...redirect, path: { kind: 'full', value: '/one' } } }),
    rule(under('/pre'), [], { redirect: { ...redirect, path: { kind: 'prefix', value: '/' } } }),
  ];
  const { rig, apps } = await shop(t, { routes }, 'cart');
  const asked = async (path: string): Promise<[number, string | undefined]> => {
    const { status, headers } = await curl(rig.port, path, '-H', 'host: shop.example:99');
    return [status, location(headers)];
  };
  for (const status of [301, 302, 303, 307, 308])
    assert.deepEqual(await asked(`/${status}?q=1`), [status, `http://shop.example/${status}?q=1`]);
  assert.deepEqual(await asked('/host/x'), [302, 'https://example.org/host/x']);
  assert.deepEqual(await asked('/port'), [302, 'http://shop.example:8083/port']);
  assert.deepEqual(await asked('/full/two?q'), [302, 'http://shop.example/one?q']);
  assert.deepEqual(await asked('/pre/two'), [302, 'http://shop.example/two']);
  assert.equal(apps.cart?.heard.length, 0);
  assert.equal(rig.lines.at(-1)?.response_code_details, 'direct_response');
});

test('rewrite: host and path reach the upstream, policies and logs see the client’s; over HTTP/1 and HTTP/2', async (t) => {
  const routes = [
    rule(under('/prefix'), [to('cart')], { rewrite: { hostname: 'inner.mesh', path: { kind: 'prefix', value: '' } } }),
    rule(under('/full'), [to('cart')], { rewrite: { hostname: null, path: { kind: 'full', value: '/one' } } }),
  ];
  const { rig, apps } = await shop(t, { routes }, 'cart');
  await curl(rig.port, '/prefix/three?a=b');
  await curl(rig.port, '/full/two');
  const client = await http2Client(t, rig.port);
  await ask2(client, { ':path': '/prefix' });
  const seen = apps.cart?.heard.map(({ url, headers }) => [url, headers.host === 'inner.mesh']);
  assert.deepEqual(seen, [
    ['/three?a=b', true],
    ['/one', false],
    ['/', true],
  ]);
  assert.equal(rig.lines.at(-1)?.path, '/prefix');
});

test('filters of one backend come after the rule’s, and only where it is chosen', async (t) => {
  const changes = (name: string, value: string) => ({ set: [{ name, value }], add: [], remove: [] });
  const filters = {
    requestHeaders: changes('x-who', 'backend'),
    responseHeaders: changes('x-seen', 'backend'),
    rewrite: { hostname: null, path: { kind: 'full' as const, value: '/inner' } },
  };
  let draw = 0;
  const routes = [
    rule({}, [{ ...to('v1'), filters }, to('v22')], {
      requestHeaders: changes('x-who', 'rule'),
      responseHeaders: changes('x-seen', 'rule'),
    }),
  ];
  const { rig, apps } = await shop(t, { routes, random: () => draw }, 'v1', 'v22');
  const first = await curl(rig.port, '/x');
  draw = 0.9;
  const second = await curl(rig.port, '/x');
  assert.deepEqual([apps.v1?.heard[0]?.url, apps.v1?.heard[0]?.headers['x-who']], ['/inner', 'backend']);
  assert.deepEqual([apps.v22?.heard[0]?.url, apps.v22?.heard[0]?.headers['x-who']], ['/x', 'rule']);
  assert.match(first.headers, /x-seen: backend/);
  assert.match(second.headers, /x-seen: rule/);
});

const CORS: HttpCors = {
  allowOrigins: ['https://*.shop.example'],
  allowCredentials: true,
  allowMethods: ['PUT'],
  allowHeaders: ['x-a'],
  exposeHeaders: ['x-version'],
  maxAgeSeconds: 5,
};

test('W63 a preflight is answered here, and only for an origin that is allowed; responses say who may read them', async (t) => {
  const { rig, apps } = await shop(t, { routes: [rule({}, [to('cart')], { cors: CORS })] }, 'cart');
  const preflight = (origin: string) =>
    curl(rig.port, '/', '-X', 'OPTIONS', '-H', `origin: ${origin}`, '-H', 'access-control-request-method: PUT');
  const allowed = await preflight('https://a.shop.example');
  assert.equal(allowed.status, 204);
  assert.match(allowed.headers, /access-control-allow-origin: https:\/\/a\.shop\.example\r\n/);
  assert.match(allowed.headers, /access-control-allow-methods: PUT\r\n/);
  assert.equal(allowed.headers.match(/access-control-allow-origin/g)?.length, 1);
  const foreign = await preflight('https://evil.example');
  assert.equal(foreign.status, 204);
  assert.doesNotMatch(foreign.headers, /access-control/);
  assert.equal(apps.cart?.heard.length, 0);
  const read = await curl(rig.port, '/', '-H', 'origin: https://a.shop.example');
  assert.match(read.headers, /access-control-expose-headers: x-version/);
  assert.match(read.headers, /vary: origin/);
  const unread = await curl(rig.port, '/', '-H', 'origin: https://evil.example');
  assert.equal(unread.body, 'cart');
  assert.doesNotMatch(unread.headers, /access-control/);
  // No preflight: an app may have uses of its own for OPTIONS.
  assert.equal((await curl(rig.port, '/', '-X', 'OPTIONS', '-H', 'origin: https://a.shop.example')).body, 'cart');
});

test('W63 what an app says of other origins is replaced by what its route says', async (t) => {
  const rig = await startRig({ routes: [rule({}, [to('cart')], { cors: CORS })] });
  t.after(() => rig.close());
  const app = await startApp(t, (_heard, response) => response.setHeader('access-control-allow-origin', '*').end());
  rig.endpoints([app.port]);
  assert.doesNotMatch((await curl(rig.port, '/', '-H', 'origin: https://evil.example')).headers, /access-control/);
});

test('W63 under an ALLOW policy that does not name OPTIONS a preflight is 403', async (t) => {
  const none = { hosts: [], notHosts: [], ports: [], notPorts: [], notMethods: [], paths: [], notPaths: [] };
  const rules = [{ from: [], to: [{ ...none, methods: ['GET'] }], when: [] }];
  const policies = [{ namespace: 'shop', name: 'p', action: 'allow' as const, dryRun: false, rules }];
  const { rig } = await shop(t, { policies, routes: [rule({}, [to('cart')], { cors: CORS })] }, 'cart');
  const args = ['-X', 'OPTIONS', '-H', 'origin: https://a.shop.example', '-H', 'access-control-request-method: PUT'];
  assert.equal((await curl(rig.port, '/', ...args)).status, 403);
});

function mirrorTo(service: string, change: Partial<HttpMirror> = {}): HttpMirror {
  return { service: CART.replace('cart', service), port: 80, numerator: 100, denominator: 100, ...change };
}

test('W62 several mirrors get the request as the rule has changed it, with its body and its own Host', async (t) => {
  const requestHeaders = { set: [{ name: 'x-set', value: 'new' }], add: [], remove: [] };
  const mirrors = [mirrorTo('v1'), mirrorTo('v22')];
  const { rig, apps } = await shop(t, { routes: [rule({}, [to('cart')], { mirrors, requestHeaders })] }, 'cart', 'v1', 'v22');
  const { body } = await curl(rig.port, '/x?y', '-H', 'host: shop.example', '-d', 'hello'.repeat(1_000));
  assert.equal(body, 'cart');
  for (const name of ['v1', 'v22']) {
    await until(() => apps[name]?.heard.length === 1);
    const heard = apps[name]?.heard[0];
    assert.deepEqual(
      [heard?.method, heard?.url, heard?.headers.host, heard?.headers['x-set'], heard?.body.length],
      ['POST', '/x?y', 'shop.example', 'new', 5_000],
    );
  }
  await until(() => rig.waypoint.counters.mirrorsAnswered === 2);
  // Bodiless, and over HTTP/2 from the client.
  await ask2(await http2Client(t, rig.port), { ':path': '/two' });
  await until(() => apps.v22?.heard.at(-1)?.url === '/two');
  assert.equal(rig.waypoint.counters.openRequests, 0);
});

test('W62 mirrors take their share', async (t) => {
  let draw = 0;
  const routes = [rule({}, [to('cart')], { mirrors: [mirrorTo('v1', { numerator: 1, denominator: 4 })] })];
  const { rig, apps } = await shop(t, { routes, random: () => (draw++ % 8) / 8 }, 'cart', 'v1');
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const ask = (): Promise<void> =>
    new Promise((resolve) => http.get({ port: rig.port, agent }, (response) => response.resume().on('end', resolve)));
  for (let request = 0; request < 24; request++) await ask();
  await settle();
  const copies = apps.v1?.heard.length ?? 0;
  assert.ok(copies > 0 && copies < 24, String(copies));
});

test('W62 a mirror that is dead, hangs or does not read leaves the client alone', async (t) => {
  const { rig } = await shop(t, { routes: [rule({}, [to('cart')], { mirrors: [mirrorTo('v1')] })] }, 'cart');
  assert.equal((await curl(rig.port, '/none')).body, 'cart');
  assert.equal(rig.waypoint.counters.mirrorsFailed, 1);
  rig.endpoints([await deadPort()], {}, 'v1');
  assert.equal((await curl(rig.port, '/dead', '-d', 'x')).body, 'cart');
  await until(() => rig.waypoint.counters.mirrorsFailed === 2);
  const silent = await startRawApp(t, (socket) => socket.pause());
  rig.endpoints([silent], {}, 'v1');
  // Far more than sockets take: the copy is given up, the request is not.
  const big = await curl(rig.port, '/big', '-H', 'expect:', '--data-binary', `@${process.execPath}`);
  assert.equal(big.body, 'cart');
  await until(() => rig.waypoint.counters.mirrorsDropped === 1);
  assert.equal((await curl(rig.port, '/hang')).body, 'cart');
  rig.clock.advance(15_000);
  await until(() => rig.waypoint.counters.mirrorsDropped === 2);
});

test('W62 a request that its client breaks off takes its copy with it; an upgrade has none', async (t) => {
  const { rig, apps } = await shop(t, { routes: [rule({}, [to('cart')], { mirrors: [mirrorTo('v1')] })] }, 'cart', 'v1');
  const client = await rawClient(t, rig.port);
  client.socket.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf');
  await until(() => rig.waypoint.counters.upstreamConnections === 2);
  client.socket.destroy();
  await until(() => rig.waypoint.counters.mirrorsDropped === 1);
  await curl(rig.port, '/chat', '-H', 'connection: upgrade', '-H', 'upgrade: websocket');
  await settle();
  assert.equal(apps.v1?.heard.length, 0);
});

test('a configuration without filters compiles to what does nothing', async (t) => {
  const { rig } = await shop(t, { routes: [rule({}, [to('cart')])] }, 'cart');
  assert.equal((await curl(rig.port, '/')).body, 'cart');
  rig.waypoint.configure(configOf({ routes: [rule({}, [to('cart')], { mirrors: [] })] }));
  assert.equal((await curl(rig.port, '/')).body, 'cart');
});
