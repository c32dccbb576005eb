import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { parseIdentity } from '#model/identity/identity.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { type L7Operation, type L7Policy, type L7Rule, PATH_NORMALIZATIONS } from '#model/waypoint/config.ts';
import { type App, curl, rawClient, startApp, startRawApp } from '#waypoint/clients.testing.ts';
import { CART, configOf, type Rig, type RigOptions, rule, settle, startRig, to, until } from '#waypoint/waypoint-rig.testing.ts';

/** A rig whose services are one app each; every app answers its own name. */
async function bookshop(
  t: TestContext,
  options: RigOptions,
  ...names: string[]
): Promise<{ rig: Rig; apps: Record<string, App> }> {
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

function operation(partial: Partial<L7Operation>): L7Rule {
  const empty = { hosts: [], notHosts: [], ports: [], notPorts: [], methods: [], notMethods: [], paths: [], notPaths: [] };
  return { from: [], to: [{ ...empty, ...partial }], when: [] };
}

function policy(action: 'allow' | 'deny', ...rules: L7Rule[]): L7Policy {
  return { namespace: 'shop', name: 'p', action, dryRun: false, rules };
}

test('routing: a weighted route keeps its shares, and a header match overrides it', async (t) => {
  let draws = 0;
  const header = { headers: [{ name: 'x-user', type: 'exact' as const, value: 'tester' }] };
  const routes = [rule({}, [to('v1', 90), to('v22', 10)]), rule(header, [to('v333')])];
  const { rig } = await bookshop(t, { routes, random: () => (draws++ % 100) / 100 }, 'v1', 'v22', 'v333');
  const { default: http } = await import('node:http');
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const ask = (headers: Record<string, string>): Promise<string> =>
    new Promise((resolve) =>
      http.get({ port: rig.port, agent, headers }, (response) => response.on('data', (data) => resolve(String(data)))),
    );
  const counts: Record<string, number> = {};
  for (let request = 0; request < 200; request++) {
    const version = await ask({});
    counts[version] = (counts[version] ?? 0) + 1;
  }
  assert.deepEqual(counts, { v1: 180, v22: 20 });
  for (let request = 0; request < 20; request++) assert.equal(await ask({ 'x-user': 'tester' }), 'v333');
});

test('routing: matches on path, method and query choose their backends; nothing that matches is 404, NR', async (t) => {
  const routes = [
    rule({ path: { type: 'prefix', value: '/reviews' } }, [to('v1')]),
    rule({ method: 'DELETE' }, [to('v22')]),
    rule({ queryParams: [{ name: 'debug', type: 'exact', value: '1' }] }, [to('v333')]),
  ];
  const { rig } = await bookshop(t, { routes }, 'v1', 'v22', 'v333');
  assert.equal((await curl(rig.port, '/reviews/1')).body, 'v1');
  assert.equal((await curl(rig.port, '/x', '-X', 'DELETE')).body, 'v22');
  assert.equal((await curl(rig.port, '/x?debug=1')).body, 'v333');
  assert.equal((await curl(rig.port, '/x')).status, 404);
  assert.equal(rig.lines.at(-1)?.response_flags, 'NR');
});

test('W45 an unresolved or missing backend is 500; so are no backends and no weight', async (t) => {
  const at = (path: string) => ({ path: { type: 'exact' as const, value: path } });
  const routes = [
    rule(at('/unresolved'), [{ service: null, port: 80, weight: 1 }]),
    rule(at('/missing'), [to('nowhere')]),
    rule(at('/port'), [{ service: CART, port: 99, weight: 1 }]),
    rule(at('/none'), []),
    rule(at('/zero'), [to('cart', 0)]),
  ];
  const { rig } = await bookshop(t, { routes }, 'cart');
  for (const path of ['/unresolved', '/missing', '/port', '/none', '/zero'])
    assert.equal((await curl(rig.port, path)).status, 500, path);
});

test('routing: header changes apply to request, authority and response', async (t) => {
  const requestHeaders = {
    set: [
      { name: 'X-Set', value: 'new' },
      { name: 'Host', value: 'other.mesh' },
    ],
    add: [{ name: 'x-add', value: '2' }],
    remove: ['x-gone'],
  };
  const responseHeaders = { set: [{ name: 'x-version', value: 'hidden' }], add: [], remove: [] };
  const { rig, apps } = await bookshop(t, { routes: [rule({}, [to('cart')], { requestHeaders, responseHeaders })] }, 'cart');
  const seen = await curl(rig.port, '/', '-H', 'x-set: old', '-H', 'x-add: 1', '-H', 'x-gone: 1');
  const headers = apps.cart?.heard[0]?.headers ?? {};
  assert.equal(headers['x-set'], 'new');
  assert.equal(headers['x-add'], '1, 2');
  assert.equal(headers['x-gone'], undefined);
  assert.equal(headers.host, 'other.mesh');
  assert.match(seen.headers, /x-version: hidden/);
});

test('routing (config-api 1.12): consumer routes go by the namespace of the client’s identity', async (t) => {
  const service = {
    key: CART,
    policies: [],
    routes: [
      { namespace: 'shop', name: 'producer', ports: null, clientNamespace: null, rules: [rule({}, [to('v1')])] },
      { namespace: 'web', name: 'consumer', ports: null, clientNamespace: 'web', rules: [rule({}, [to('v22')])] },
    ],
  };
  const { rig } = await bookshop(t, { config: { services: [service] } }, 'v1', 'v22');
  assert.equal((await curl(rig.port, '/')).body, 'v22');
  rig.peer = parseIdentity('spiffe://cluster.local/ns/bank/sa/teller');
  assert.equal((await curl(rig.port, '/')).body, 'v1');
  rig.peer = null;
  assert.equal((await curl(rig.port, '/')).body, 'v1');
});

test('authorization: a denied method is 403 and the log names policy and rule', async (t) => {
  const { rig, apps } = await bookshop(t, { policies: [policy('deny', operation({ methods: ['DELETE'] }))] }, 'cart');
  const seen = await curl(rig.port, '/', '-X', 'DELETE');
  assert.equal(seen.status, 403);
  assert.equal(seen.body, 'RBAC: access denied');
  assert.deepEqual([rig.lines.at(-1)?.policy, rig.lines.at(-1)?.rule], ['shop/p', 0]);
  assert.equal(rig.lines.at(-1)?.response_code_details, 'rbac_access_denied_matched_policy[shop/p#0]');
  assert.equal((await curl(rig.port, '/')).status, 200);
  assert.equal(apps.cart?.heard.length, 1);
});

test('W15 authorization sees the normalized path, and 403 comes before 404', async (t) => {
  const options = {
    policies: [policy('deny', operation({ paths: ['/admin', '/admin/*'] }))],
    routes: [rule({ path: { type: 'prefix', value: '/a' } }, [to('cart')])],
  };
  const { rig } = await bookshop(t, options, 'cart');
  for (const path of ['/admin', '/x/../admin', '/%61dmin', '/./admin/y', '/a\\..\\admin'])
    assert.equal((await curl(rig.port, path)).status, 403, path);
  assert.equal((await curl(rig.port, '/nowhere')).status, 404);
});

/** Spellings that some server somewhere walks to /admin, and what each level makes of them: 403, 400, or what goes on. */
const ADMIN_SPELLINGS: readonly (readonly [string, ...(number | string)[]])[] = [
  ['/..;/admin', '/..;/admin', 400, 400, 400],
  ['/a/..;x=1/admin', '/a/..;x=1/admin', 400, 400, 400],
  ['/.;/admin', '/.;/admin', 400, 400, 400],
  ['/a/..%2fadmin', '/a/..%2fadmin', 400, 400, 403],
  ['/%2e/admin', '/%2e/admin', 403, 403, 403],
  ['//admin', '//admin', '//admin', 403, 403],
  ['/%2fadmin', '/%2fadmin', '/%2fadmin', '/%2fadmin', 403],
  ['/a\\..\\admin', '/a\\..\\admin', 403, 403, 403],
];

for (const [at, level] of PATH_NORMALIZATIONS.entries())
  test(`W15-W18 ${level}: what policy judges is what the upstream gets`, async (t) => {
    const policies = [policy('deny', operation({ paths: ['/admin', '/admin/*'] }))];
    const { rig, apps } = await bookshop(t, { policies, config: { pathNormalization: level } }, 'cart');
    for (const [path, ...wants] of ADMIN_SPELLINGS) {
      const { status } = await curl(rig.port, path);
      const seen = status === 200 ? apps.cart?.heard.at(-1)?.url : status;
      assert.equal(seen, wants[at], `${path} at ${level}`);
    }
  });

test('W15-W18 another level is in force with the next request of an open connection', async (t) => {
  const policies = [policy('deny', operation({ paths: ['/admin'] }))];
  const { rig } = await bookshop(t, { policies }, 'cart');
  const { default: http } = await import('node:http');
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const ask = (): Promise<number | undefined> =>
    new Promise((resolve) =>
      http.get({ port: rig.port, agent, path: '//admin' }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode));
      }),
    );
  assert.equal(await ask(), 200);
  rig.waypoint.configure(configOf({ policies, config: { pathNormalization: 'MERGE_SLASHES' } }));
  assert.equal(await ask(), 403);
});

test('W65 an ALLOW policy without rules denies everyone', async (t) => {
  const { rig } = await bookshop(t, { policies: [policy('allow')] }, 'cart');
  assert.equal((await curl(rig.port, '/')).status, 403);
});

test('authorization: policies of the Gateway apply beside those of the service', async (t) => {
  const gateway = policy('deny', operation({ hosts: ['forbidden.mesh'] }));
  const { rig } = await bookshop(
    t,
    { config: { policies: [gateway] }, policies: [policy('allow', operation({ methods: ['GET'] }))] },
    'cart',
  );
  assert.equal((await curl(rig.port, '/')).status, 200);
  assert.equal((await curl(rig.port, '/', '-H', 'host: Forbidden.Mesh')).status, 403);
  assert.equal((await curl(rig.port, '/', '-d', 'x')).status, 403);
});

test('authorization: a policy in dry run is logged and not enforced', async (t) => {
  const { rig } = await bookshop(t, { policies: [{ ...policy('deny', operation({})), dryRun: true }] }, 'cart');
  assert.equal((await curl(rig.port, '/')).status, 200);
  const line = rig.lines.find(({ message }) => message === 'a policy in dry run would have decided');
  assert.deepEqual([line?.policy, line?.rule, line?.decision], ['shop/p', 0, 'deny']);
  assert.equal(rig.waypoint.meters.total('weft_dry_run_decisions_total'), 1);
});

test('W73 a new configuration holds for the next request of an open connection, and does not disturb one under way', async (t) => {
  const { rig } = await bookshop(t, { routes: [rule({}, [to('v1')])] }, 'v1', 'v22');
  let answer = (): void => assert.fail('the app was never asked');
  const port = await startRawApp(t, (socket) =>
    socket.on('data', () => {
      answer = () => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow');
    }),
  );
  rig.endpoints([port], {}, 'v1');
  const client = await rawClient(t, rig.port);
  client.socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
  await until(() => rig.waypoint.counters.upstreamConnections === 1);
  await settle();
  rig.waypoint.configure(configOf({ routes: [rule({}, [to('v22')])] }));
  answer();
  await until(() => client.received().endsWith('slow'));
  client.socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
  await until(() => client.received().endsWith('v22'));
});

test('policy change: a request under way that a new policy denies is ended with 403', async (t) => {
  const { rig } = await bookshop(t, {}, 'cart');
  const port = await startRawApp(t, (socket) => socket.resume());
  rig.endpoints([port]);
  const waiting = curl(rig.port, '/hang');
  await until(() => rig.waypoint.counters.upstreamConnections === 1);
  rig.waypoint.configure(configOf({ policies: [policy('deny', operation({ paths: ['/other'] }))] }));
  await settle();
  assert.equal(rig.waypoint.counters.openRequests, 1);
  rig.waypoint.configure(configOf({ policies: [policy('deny', operation({ paths: ['/hang'] }))] }));
  assert.equal((await waiting).status, 403);
});

test('policy change: an upgraded connection that a new policy denies is closed', async (t) => {
  const { rig } = await bookshop(t, {}, 'cart');
  const port = await startRawApp(t, (socket) =>
    socket.once('data', () => socket.write('HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')),
  );
  rig.endpoints([port]);
  const client = await rawClient(t, rig.port);
  client.socket.write('GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n');
  await until(() => client.received().startsWith('HTTP/1.1 101'));
  rig.waypoint.configure(configOf({ policies: [policy('deny', operation({ paths: ['/other'] }))] }));
  await settle();
  assert.ok(!client.ended());
  rig.waypoint.configure(configOf({ policies: [policy('deny', operation({ paths: ['/chat'] }))] }));
  await until(() => client.ended() || client.socket.destroyed);
  assert.equal(rig.waypoint.counters.openRequests, 0);
});

test('promise 2: without a configuration, or without the service in it, everything is refused', async (t) => {
  const { rig, apps } = await bookshop(t, {}, 'cart');
  const refusedCurl = async () => {
    const asked = curl(rig.port, '/');
    await until(() => rig.clock.pendingMs().includes(WAYPOINT.comingMs));
    rig.clock.advance(WAYPOINT.comingMs);
    return asked;
  };
  rig.waypoint.configure(null);
  assert.deepEqual(rig.waypoint.admit('10.96.0.10:80'), {
    kind: 'refuse',
    status: 503,
    why: 'the waypoint has no configuration yet',
  });
  assert.notEqual((await refusedCurl()).code, 0);
  rig.waypoint.configure(configOf({ config: { services: [] } }));
  assert.equal(rig.waypoint.admit('10.96.0.10:80').kind, 'refuse');
  assert.notEqual((await refusedCurl()).code, 0);
  assert.equal(apps.cart?.heard.length, 0);
});
