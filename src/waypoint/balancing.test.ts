import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import type { Balancer, HashKey, ServiceDestination } from '#model/waypoint/destination-settings.ts';
import { type Curled, curl, deadPort, rawClient, startApp, startRawApp } from '#waypoint/clients.testing.ts';
import { CART, configOf, type Rig, type RigOptions, startRig, until } from '#waypoint/waypoint-rig.testing.ts';

function optionsOf(balancer: Balancer, more: RigOptions = {}, others: Partial<ServiceDestination> = {}): RigOptions {
  const destinations = [{ service: CART, port: null, subset: null, balancer, ...others }];
  return { ...more, config: { services: configOf(more).services.map((service) => ({ ...service, destinations })) } };
}

/** `cart` with so many endpoints, whose answers tell which one it is. */
async function cart(t: TestContext, options: RigOptions, count = 4): Promise<{ rig: Rig; ports: number[] }> {
  const rig = await startRig(options);
  t.after(() => rig.close());
  const ports: number[] = [];
  for (let at = 0; at < count; at++) ports.push((await startApp(t, (_heard, response) => response.end(String(at)))).port);
  rig.endpoints(ports);
  return { rig, ports };
}

async function ask(rig: Rig, count: number, path = '/', ...args: string[]): Promise<string> {
  let seen = '';
  for (let request = 0; request < count; request++) seen += (await curl(rig.port, path, ...args)).body;
  return seen;
}

const ring = (key: HashKey): Balancer => ({ kind: 'hash', key, table: { kind: 'ring', size: 1_024 } });
const maglev = (key: HashKey): Balancer => ({ kind: 'hash', key, table: { kind: 'maglev', size: 1_009 } });
const USER: HashKey = { kind: 'header', name: 'x-user' };

test('W47 round robin takes each endpoint in its turn, also over a change of the configuration', async (t) => {
  const balancer: Balancer = { kind: 'round-robin', warmup: null };
  const { rig } = await cart(t, optionsOf(balancer, { random: () => 0 }), 3);
  assert.equal(await ask(rig, 4), '1201');
  rig.waypoint.configure(configOf(optionsOf({ ...balancer })));
  assert.equal(await ask(rig, 4), '2012');
});

test('random takes any endpoint', async (t) => {
  let drawn = 0;
  const { rig } = await cart(t, optionsOf({ kind: 'random' }, { random: () => drawn }), 4);
  for (const [at, draw] of [0, 0.3, 0.6, 0.9].entries()) {
    drawn = draw;
    assert.equal(await ask(rig, 1), String(at));
  }
});

for (const [name, of] of Object.entries({ ring, maglev }))
  test(`W48 ${name}: requests with one value of a header get one endpoint, in every waypoint the same`, async (t) => {
    const { rig, ports } = await cart(t, optionsOf(of(USER)));
    const [other] = [await startRig(optionsOf(of(USER)))];
    t.after(() => other.close());
    other.endpoints(ports);
    const seen = new Set<string>();
    for (let user = 0; user < 12; user++) {
      const header = ['-H', `x-user: ${user}`];
      const got = await ask(rig, 2, '/', ...header);
      assert.equal(got, (got[0] ?? '').repeat(2));
      assert.equal(await ask(other, 1, '/', ...header), got[0]);
      seen.add(got);
    }
    assert.ok(seen.size > 1, 'all of them got one endpoint');
  });

test('W49 requests that have nothing to be kept together by get any endpoint', async (t) => {
  let drawn = 0;
  const { rig } = await cart(t, optionsOf(ring(USER), { random: () => drawn }));
  assert.equal(await ask(rig, 1), '0');
  drawn = 0.9;
  assert.equal(await ask(rig, 1), '3');
});

test('W48 by a parameter of the query, by the address of the client, and a connection that is not HTTP by that too', async (t) => {
  const query = await cart(t, optionsOf(ring({ kind: 'query', name: 'user' })));
  const users = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((user) => ask(query.rig, 2, `/?x=1&user=${user}`)));
  for (const got of users) assert.equal(got, (got[0] ?? '').repeat(2));
  assert.ok(new Set(users).size > 1);
  const address = await cart(t, optionsOf(ring({ kind: 'address' })));
  const got = await ask(address.rig, 4);
  assert.equal(got, (got[0] ?? '').repeat(4));
  const tcp = await startRig(optionsOf(ring({ kind: 'address' }), { appProtocol: 'tcp' }));
  t.after(() => tcp.close());
  const heard: string[] = [];
  const ports: number[] = [];
  for (const name of ['a', 'b', 'c', 'd']) {
    ports.push(
      await startRawApp(t, (socket) => {
        heard.push(name);
        socket.write(name);
      }),
    );
  }
  tcp.endpoints(ports);
  for (let connection = 1; connection <= 4; connection++) {
    await rawClient(t, tcp.port);
    await until(() => heard.length === connection);
  }
  assert.equal(new Set(heard).size, 1);
});

const setCookie = ({ headers }: Curled): string | undefined => /set-cookie: (.*)\r/.exec(headers)?.[1];

test('W50 a client without the cookie gets one, and comes back with it to where it was', async (t) => {
  const key: HashKey = { kind: 'cookie', name: 'sid', path: '/shop', ttlS: 10, attributes: ['SameSite=Lax'] };
  const { rig } = await cart(t, optionsOf(ring(key)));
  const answers = await Promise.all(Array.from({ length: 8 }, () => curl(rig.port, '/')));
  for (const answer of answers) {
    const said = setCookie(answer);
    const value = /^sid="([0-9a-f]{16})"; Max-Age=10; Path=\/shop; SameSite=Lax; HttpOnly$/.exec(said ?? '')?.[1];
    assert.ok(value !== undefined, said);
    const again = await curl(rig.port, '/', '-H', `cookie: a=b; sid=${value}`);
    assert.deepEqual([again.body, setCookie(again)], [answer.body, undefined]);
  }
  assert.ok(new Set(answers.map(({ body }) => body)).size > 1);
});

test('W50 a cookie of ttl 0 lasts as long as its session; without ttl none is made', async (t) => {
  const key: HashKey = { kind: 'cookie', name: 'sid', path: null, ttlS: 0, attributes: [] };
  const { rig } = await cart(t, optionsOf(ring(key)));
  assert.match(setCookie(await curl(rig.port, '/')) ?? '', /^sid="[0-9a-f]{16}"; HttpOnly$/);
  rig.waypoint.configure(configOf(optionsOf(ring({ ...key, ttlS: null }))));
  assert.equal(setCookie(await curl(rig.port, '/')), undefined);
});

test('the quotes of a cookie are part of how it is written, not of its value', async (t) => {
  const { rig } = await cart(t, optionsOf(ring({ kind: 'cookie', name: 'sid', path: null, ttlS: 1, attributes: [] })));
  for (let user = 0; user < 6; user++) {
    const [plain, quoted] = [
      await ask(rig, 1, '/', '-H', `cookie: sid=${user}`),
      await ask(rig, 1, '/', '-H', `cookie: sid="${user}"`),
    ];
    assert.equal(plain, quoted);
  }
});

test('where the endpoint of a key cannot be reached, another one gets its requests, the same each time', async (t) => {
  const { rig, ports } = await cart(t, optionsOf(ring(USER)), 3);
  const header = ['-H', 'x-user: 1'];
  const owner = Number(await ask(rig, 1, '/', ...header));
  // Its connections are gone with it: another port is another endpoint, so it is the address that fails.
  const dead = await deadPort();
  const changed = ports.map((port, at) => (at === owner ? dead : port));
  rig.endpoints(changed);
  const got = await ask(rig, 3, '/', ...header);
  assert.match(got, /^[0-2]{3}$/);
  assert.equal(got, (got[0] ?? '').repeat(3));
});

test('W53 an endpoint that joins gets its share little by little', async (t) => {
  let draw = 0;
  const warmup = { durationMs: 60_000, minPercent: 10, aggression: 1 };
  const random = (): number => (draw++ % 100) / 100;
  const { rig, ports } = await cart(t, optionsOf({ kind: 'round-robin', warmup }, { random }), 2);
  // Those that were there first are all alike.
  assert.equal((await ask(rig, 1)).length, 1);
  rig.clock.advance(60_000);
  rig.endpoints(ports.slice(0, 1));
  await ask(rig, 1);
  rig.clock.advance(60_000);
  const joined = await startApp(t, (_heard, response) => response.end('n'));
  rig.endpoints([ports[0] ?? 0, joined.port]);
  const share = async (): Promise<number> => (await ask(rig, 22)).split('n').length - 1;
  assert.equal(await share(), 2);
  rig.clock.advance(30_000);
  assert.ok(Math.abs((await share()) - 22 / 3) <= 1);
  rig.clock.advance(30_000);
  assert.equal(await share(), 11);
});

test('keys stay where they are when another endpoint is left out for its failures', async (t) => {
  const outlierDetection = {
    consecutive5xx: 1,
    consecutiveGatewayErrors: 0,
    consecutiveLocalFailures: null,
    intervalMs: 10_000,
    baseEjectionMs: 30_000,
    maxEjectionMs: 300_000,
    maxEjectionPercent: 100,
    minHealthPercent: 0,
  };
  const rig = await startRig(optionsOf(ring(USER), {}, { outlierDetection }));
  t.after(() => rig.close());
  let failing = -1;
  const ports: number[] = [];
  for (let at = 0; at < 3; at++) {
    const app = await startApp(t, (_heard, response) => response.writeHead(at === failing ? 500 : 200).end(String(at)));
    ports.push(app.port);
  }
  rig.endpoints(ports);
  const owners = async (): Promise<string[]> => {
    const all: string[] = [];
    for (let user = 0; user < 12; user++) all.push(await ask(rig, 1, '/', '-H', `x-user: ${user}`));
    return all;
  };
  const before = await owners();
  failing = Number(before[0]);
  assert.equal(await ask(rig, 1, '/', '-H', 'x-user: 0'), String(failing));
  const after = await owners();
  for (const [user, owner] of before.entries()) if (owner !== String(failing)) assert.equal(after[user], owner, `user ${user}`);
  assert.ok(!after.includes(String(failing)));
});
