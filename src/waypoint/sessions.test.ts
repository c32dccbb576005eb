import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import type { HttpSession } from '#model/waypoint/filters.ts';
import { type App, type Curled, curl, startApp } from '#waypoint/clients.testing.ts';
import { CART, configOf, type Rig, type RigOptions, rule, startRig, to } from '#waypoint/waypoint-rig.testing.ts';

const COOKIE: HttpSession = { carrier: 'cookie', name: 'sid', absoluteTimeoutMs: null, permanent: false };

/** `cart` with three endpoints that answer their number, in two services. */
async function three(t: TestContext, session: HttpSession): Promise<{ rig: Rig; apps: App[] }> {
  let draws = 0;
  const rig = await startRig({
    routes: [rule({}, [to('cart'), to('v1')], { session })],
    random: () => (draws++ % 7) / 7,
  });
  t.after(() => rig.close());
  const apps = await Promise.all([0, 1, 2].map((name) => startApp(t, (_heard, response) => response.end(String(name)))));
  rig.endpoints(apps.slice(0, 2).map(({ port }) => port));
  rig.endpoints(
    apps.slice(2).map(({ port }) => port),
    {},
    'v1',
  );
  return { rig, apps };
}

const cookie = ({ headers }: Curled): string | undefined => /set-cookie: ([^\r;]*)/.exec(headers)?.[1];

test('a session by cookie: every request goes to the endpoint of the first, whatever the weights', async (t) => {
  const { rig } = await three(t, COOKIE);
  const seen = new Set<string>();
  for (let session = 0; session < 6; session++) {
    const first = await curl(rig.port, '/');
    assert.match(first.headers, /set-cookie: sid=[0-9a-f]{16}; Path=\/; HttpOnly\r/);
    seen.add(first.body);
    for (let request = 0; request < 4; request++) {
      const next = await curl(rig.port, '/', '-H', `cookie: a=b; ${cookie(first)}`);
      assert.deepEqual([next.body, cookie(next)], [first.body, undefined]);
    }
  }
  assert.ok(seen.size > 1, 'sessions spread');
});

test('a session that is said of the backend, with no route at all and with one that says nothing of sessions', async (t) => {
  const destinations = [{ service: CART, port: null, subset: null, session: COOKIE }];
  const optionsOf = (more: RigOptions): RigOptions => ({
    ...more,
    config: { services: configOf(more).services.map((service) => ({ ...service, destinations })) },
  });
  let draws = 0;
  const rig = await startRig({ ...optionsOf({}), random: () => (draws++ % 7) / 7 });
  t.after(() => rig.close());
  const apps = await Promise.all([0, 1, 2].map((name) => startApp(t, (_heard, response) => response.end(String(name)))));
  rig.endpoints(apps.map(({ port }) => port));
  for (const options of [
    {},
    { routes: [rule({}, [to('cart')])] },
    { routes: [rule({}, [to('cart')], { session: { ...COOKIE, name: 'own' } })] },
  ]) {
    rig.waypoint.configure(configOf(optionsOf(options)));
    const first = await curl(rig.port, '/');
    assert.match(first.headers, 'routes' in options && options.routes[0]?.session ? /set-cookie: own=/ : /set-cookie: sid=/);
    for (let request = 0; request < 5; request++) {
      const next = await curl(rig.port, '/', '-H', `cookie: ${cookie(first)}`);
      assert.deepEqual([next.body, cookie(next)], [first.body, undefined]);
    }
  }
});

test('a session whose endpoint has left goes to another one, and the client is told', async (t) => {
  const { rig, apps } = await three(t, COOKIE);
  let first = await curl(rig.port, '/');
  while (first.body === '2') first = await curl(rig.port, '/');
  const stays = first.body === '0' ? 1 : 0;
  rig.endpoints([apps[stays]?.port ?? 0]);
  const next = await curl(rig.port, '/', '-H', `cookie: ${cookie(first)}`);
  assert.notEqual(next.body, first.body);
  assert.notEqual(cookie(next), undefined);
});

test('a session by header, and one that ends', async (t) => {
  const { rig } = await three(t, { carrier: 'header', name: 'X-Sid', absoluteTimeoutMs: 60_000, permanent: false });
  const first = await curl(rig.port, '/');
  const sid = /x-sid: (\S+)/.exec(first.headers)?.[1] ?? '';
  assert.match(sid, /^[0-9a-f]{16}\.[0-9a-z]+$/);
  const next = await curl(rig.port, '/', '-H', `x-sid: ${sid}`);
  assert.deepEqual([next.body, /x-sid/.test(next.headers)], [first.body, false]);
  rig.clock.advance(60_000);
  const later = await curl(rig.port, '/', '-H', `x-sid: ${sid}`);
  assert.match(later.headers, /x-sid: /);
  assert.match((await curl(rig.port, '/', '-H', 'x-sid: made-up')).headers, /x-sid: /);
});

test('a permanent session is kept by the client as long as it lasts', async (t) => {
  const { rig } = await three(t, { ...COOKIE, absoluteTimeoutMs: 60_000, permanent: true });
  assert.match((await curl(rig.port, '/')).headers, /set-cookie: sid=\S+; Path=\/; HttpOnly; Max-Age=60\r/);
});
