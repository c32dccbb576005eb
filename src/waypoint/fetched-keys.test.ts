import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { JWT } from '#model/settings/jwt.ts';
import { Meters } from '#model/telemetry/meters.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import type { JwtRule } from '#model/waypoint/jwt.ts';
import { fetchKeysFrom } from '#platform/jwt/fetch-keys.ts';
import { type KeyServer, startKeyServer } from '#platform/jwt/key-server.testing.ts';
import { jwtKeysOf } from '#platform/jwt/key-set.ts';
import { signedToken, signingKey } from '#platform/jwt/signing.testing.ts';
import { type App, type Curled, curl, startApp } from '#waypoint/clients.testing.ts';
import { FetchedKeys } from '#waypoint/keys/fetched-keys.ts';
import { KeyFetcher } from '#waypoint/keys/key-fetcher.ts';
import { configOf, type Rig, startRig, until } from '#waypoint/waypoint-rig.testing.ts';

const BEARER = { in: 'header', name: 'authorization', prefix: 'Bearer ' } as const;

type Fetching = { rig: Rig; app: App; server: KeyServer; config: WaypointConfig; fetcher: KeyFetcher };

/** A waypoint that asks a real key server, which `before` may change before it is asked first. */
async function cart(t: TestContext, before: (server: KeyServer) => void = () => {}): Promise<Fetching> {
  const server = await startKeyServer(t);
  before(server);
  const keys: FetchedKeys = new FetchedKeys(jwtKeysOf, (source) => fetcher.wanted(source));
  const rig = await startRig({ effects: { fetchedKeys: keys } });
  t.after(() => rig.close());
  const fetcher = new KeyFetcher({
    // The server is on loopback, from where no other would be asked.
    fetchKeys: fetchKeysFrom({ resolve: async () => [parseIp('127.0.0.1')], whyNot: () => null, roots: () => [] }),
    tell: (told) => keys.take(told),
    ...{ clock: rig.clock, random: () => 0.5, log: SILENT_LOG, meters: new Meters('waypoint') },
  });
  t.after(() => fetcher.close());
  const app = await startApp(t);
  rig.endpoints([app.port]);
  const rule = { issuer: server.url, audiences: [], jwks: null, locations: [BEARER, { in: 'query', name: 'tok' }] } as const;
  const more = { forward: false, payloadHeader: '', claimHeaders: [], spaceDelimitedClaims: [] };
  const authentication: JwtRule[] = [{ ...rule, ...more, jwksFrom: { kind: 'issuer', url: server.url, timeoutMs: 5_000 } }];
  const whole = configOf({});
  const config = { ...whole, services: whole.services.map((service) => ({ ...service, authentication })) };
  rig.waypoint.configure(config);
  fetcher.configured(config);
  return { rig, app, server, config, fetcher };
}

const ask = ({ rig }: Fetching, token: string | null, path = '/'): Promise<Curled> =>
  curl(rig.port, path, ...(token === null ? [] : ['-H', `authorization: Bearer ${token}`]));

test('W64 a request that comes before the keys do waits for them, and is served', async (t) => {
  const whole = await cart(t);
  const { app, server } = whole;
  assert.equal((await ask(whole, server.token())).status, 200);
  assert.equal(app.heard[0]?.headers.authorization, undefined);
  assert.equal((await ask(whole, null)).status, 200);
  const forged = await ask(whole, signedToken(signingKey('ES256', 'key-1'), { iss: server.url, sub: 'me' }));
  assert.deepEqual([forged.status, forged.body], [401, 'Jwt verification fails']);
});

test('W64 an issuer that replaces its key: no request fails, and what the old key has signed is worth nothing', async (t) => {
  const whole = await cart(t);
  const { rig, server } = whole;
  const before = server.token();
  assert.equal((await ask(whole, before)).status, 200);
  server.rotate('RS256');
  rig.clock.advance(JWT.unknownKeyPauseMs);
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(whole, server.token())));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  const old = await ask(whole, before);
  assert.deepEqual([old.status, old.body], [401, "Jwks doesn't have key to match kid or alg from Jwt"]);
});

test('W64 tokens with made-up keys are refused, and have the issuer asked only now and then', async (t) => {
  const whole = await cart(t);
  const { rig, server } = whole;
  await ask(whole, server.token());
  const asked = server.asked.length;
  const made = (kid: string): string => signedToken(signingKey('EdDSA', kid), { iss: server.url });
  for (let at = 0; at < 20; at++) assert.equal((await ask(whole, made(`k${at}`))).status, 401);
  assert.equal(server.asked.length, asked);
  rig.clock.advance(JWT.unknownKeyPauseMs);
  for (let at = 0; at < 20; at++) assert.equal((await ask(whole, made(`k${at}`))).status, 401);
  assert.equal(server.asked.length, asked + 2); // the issuer and its keys, once
});

test('W64 keys that cannot be fetched make every token invalid, and no token is asked for', async (t) => {
  const whole = await cart(t, (server) => server.answers((_, response) => void response.writeHead(503).end()));
  const { rig, server } = whole;
  const refused = await ask(whole, server.token());
  assert.deepEqual([refused.status, refused.body], [401, 'Jwks remote fetch is failed']);
  assert.equal((await ask(whole, null)).status, 200);
  server.answers(null);
  rig.clock.advance(JWT.fetchRetryMs);
  await until(() => server.asked.at(-1) === '/keys');
  assert.equal((await ask(whole, server.token())).status, 200);
  // What was known counts on while the issuer is away.
  server.answers((_, response) => void response.writeHead(503).end());
  rig.clock.advance(JWT.refreshMs);
  assert.equal((await ask(whole, server.token())).status, 200);
});

test('W64 of several tokens one whose key never comes is enough, and none is taken out half', async (t) => {
  const whole = await cart(t);
  const { app, server } = whole;
  const good = server.token();
  const bad = signedToken(signingKey('ES256', 'other'), { iss: server.url });
  assert.equal((await ask(whole, good, `/?tok=${bad}`)).status, 401);
  assert.equal((await ask(whole, good, `/a?x=1&tok=${server.token({ sub: 'you' })}`)).status, 200);
  assert.equal(app.heard.at(-1)?.url, '/a?x=1');
});

test('W64 a client that leaves while its request waits for keys costs nothing', async (t) => {
  const arrived = Promise.withResolvers<() => void>();
  const whole = await cart(t, (server) =>
    server.answers((_, response) => arrived.resolve(() => void response.writeHead(503).end())),
  );
  const left = curl(whole.rig.port, '/', '--max-time', '0.3', '-H', `authorization: Bearer ${whole.server.token()}`);
  const answer = await arrived.promise;
  await left.catch(() => {});
  answer();
  await until(() => whole.rig.waypoint.counters.openRequests === 0);
  assert.equal(whole.app.heard.length, 0);
});

test('W64 no more than so many requests wait for keys', () => {
  const keys = new FetchedKeys(jwtKeysOf, () => {});
  const source = { kind: 'jwks', url: 'https://a', timeoutMs: 1 } as const;
  for (let at = 0; at < JWT.waitingMax; at++) assert.ok(keys.renewed(source) !== null);
  assert.equal(keys.renewed(source), null);
});
