import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import type { L7Condition, L7Policy, L7Rule, L7Source } from '#model/waypoint/config.ts';
import type { JwtRule } from '#model/waypoint/jwt.ts';
import { forgedByHmac, keySet, signedToken, signingKey } from '#platform/jwt/signing.testing.ts';
import { type App, type Curled, curl, startApp } from '#waypoint/clients.testing.ts';
import { ask2, http2Client } from '#waypoint/http2-clients.testing.ts';
import { configOf, type Rig, type RigOptions, rule, startRig, to } from '#waypoint/waypoint-rig.testing.ts';

const KEY = signingKey('ES256', 'one');
const BEARER = { in: 'header', name: 'authorization', prefix: 'Bearer ' } as const;
const RULE: JwtRule = {
  issuer: 'https://issuer',
  audiences: [],
  jwks: keySet(KEY),
  locations: [BEARER, { in: 'query', name: 'access_token' }],
  forward: false,
  payloadHeader: '',
  claimHeaders: [],
  spaceDelimitedClaims: [],
};
const ME = { iss: 'https://issuer', sub: 'me', group: ['admin', 'staff'], scope: 'read write' };

function optionsOf(rules: readonly JwtRule[], more: RigOptions = {}): RigOptions {
  const { services } = configOf(more);
  return { ...more, config: { services: services.map((service) => ({ ...service, authentication: rules })) } };
}

async function cart(t: TestContext, options: RigOptions): Promise<{ rig: Rig; app: App }> {
  const rig = await startRig(options);
  t.after(() => rig.close());
  const app = await startApp(t);
  rig.endpoints([app.port]);
  return { rig, app };
}

const ask = (rig: Rig, token: string | null, path = '/', ...args: string[]): Promise<Curled> =>
  curl(rig.port, path, ...(token === null ? [] : ['-H', `authorization: Bearer ${token}`]), ...args);

test('W64 without a token a request passes; with one it must be valid; the token goes no further', async (t) => {
  const { rig, app } = await cart(t, optionsOf([RULE]));
  assert.equal((await ask(rig, null)).status, 200);
  assert.equal((await ask(rig, signedToken(KEY, ME))).status, 200);
  assert.equal(app.heard.at(-1)?.headers.authorization, undefined);
  const expired = await ask(rig, signedToken(KEY, { ...ME, exp: 1 }));
  assert.deepEqual([expired.status, expired.body], [401, 'Jwt is expired']);
  assert.match(expired.headers, /www-authenticate: Bearer realm="waypoint", error="invalid_token"/);
  assert.equal(rig.lines.at(-1)?.response_code_details, 'jwt_authn_access_denied{Jwt_is_expired}');
  for (const bad of [signedToken(signingKey('ES256', 'one'), ME), forgedByHmac(KEY, ME), 'x', signedToken(KEY, { iss: 'y' })])
    assert.equal((await ask(rig, bad)).status, 401, bad);
  assert.equal(app.heard.length, 2);
  const grpc = { ':path': '/a.B/C', ':method': 'POST', 'content-type': 'application/grpc', authorization: 'Bearer x' };
  assert.equal((await ask2(await http2Client(t, rig.port), grpc, 'x')).headers['grpc-status'], '16');
  rig.waypoint.configure(configOf(optionsOf([{ ...RULE, audiences: ['shop'] }])));
  assert.equal((await ask(rig, signedToken(KEY, ME))).status, 403);
  assert.equal((await ask(rig, signedToken(KEY, { ...ME, aud: 'shop' }))).status, 200);
});

test('W64 keys that are not known, or no keys at all, make every token of their issuer invalid', async (t) => {
  const { rig } = await cart(t, optionsOf([{ ...RULE, jwks: null }]));
  assert.equal((await ask(rig, signedToken(KEY, ME))).status, 401);
  for (const jwks of ['nonsense', '{ "keys": [] }']) {
    rig.waypoint.configure(configOf(optionsOf([{ ...RULE, jwks }])));
    assert.equal((await ask(rig, signedToken(KEY, ME))).status, 401, jwks);
  }
  assert.ok(rig.lines.some(({ message }) => message === 'part of the configuration cannot be used'));
});

test('W64 a key that its issuer has withdrawn proves nothing any more, though its tokens were known', async (t) => {
  const { rig } = await cart(t, optionsOf([RULE]));
  const token = signedToken(KEY, ME);
  for (let request = 0; request < 2; request++) assert.equal((await ask(rig, token)).status, 200);
  const next = signingKey('RS256', 'two');
  rig.waypoint.configure(configOf(optionsOf([{ ...RULE, jwks: keySet(next) }])));
  assert.equal((await ask(rig, token)).status, 401);
  assert.equal((await ask(rig, signedToken(next, ME))).status, 200);
});

test('W64 places: parameter, cookie and headers; each token counts, and is taken out before the upstream sees it', async (t) => {
  const places: JwtRule = {
    ...RULE,
    locations: [
      { in: 'query', name: 'tok' },
      { in: 'cookie', name: 'jwt' },
      { in: 'header', name: 'x-jwt', prefix: '' },
    ],
  };
  const { rig, app } = await cart(t, optionsOf([places]));
  const token = signedToken(KEY, ME);
  assert.equal((await curl(rig.port, `/a?x=1&tok=${token}&y=2`)).status, 200);
  assert.equal(app.heard.at(-1)?.url, '/a?x=1&y=2');
  assert.equal((await curl(rig.port, `/a?tok=${token}`)).status, 200);
  assert.equal(app.heard.at(-1)?.url, '/a');
  assert.equal((await curl(rig.port, '/', '-H', `cookie: a=b; jwt=${token}`)).status, 200);
  assert.equal(app.heard.at(-1)?.headers.cookie, 'a=b');
  assert.equal((await curl(rig.port, '/?tok=bad', '-H', `x-jwt: ${token}`)).status, 401);
  assert.equal((await curl(rig.port, '/', '-H', 'authorization: Bearer elsewhere')).status, 200);
  rig.waypoint.configure(configOf(optionsOf([{ ...places, forward: true }])));
  assert.equal((await curl(rig.port, `/a?tok=${token}`)).status, 200);
  assert.equal(app.heard.at(-1)?.url, `/a?tok=${token}`);
  // A route that rewrites the path does not bring the token back.
  const rewrite = { hostname: null, path: { kind: 'full' as const, value: '/inner' } };
  rig.waypoint.configure(configOf(optionsOf([places], { routes: [rule({}, [to('cart')], { rewrite })] })));
  assert.equal((await curl(rig.port, `/a?tok=${token}&z=1`)).status, 200);
  assert.equal(app.heard.at(-1)?.url, '/inner?z=1');
});

test('W64 claims go to headers that clients cannot set themselves, and routes see them', async (t) => {
  const claims = { ...RULE, payloadHeader: 'x-payload', claimHeaders: [{ header: 'x-sub', claim: 'sub' }] };
  const routes = [rule({ headers: [{ name: 'x-sub', type: 'exact', value: 'me' }] }, [to('v1')]), rule({}, [to('cart')])];
  const { rig, app } = await cart(t, optionsOf([claims], { routes }));
  const other = await startApp(t, (_heard, response) => response.end('v1'));
  rig.endpoints([other.port], {}, 'v1');
  await curl(rig.port, '/', '-H', 'x-sub: me', '-H', 'x-payload: forged');
  assert.deepEqual([app.heard[0]?.headers['x-sub'], app.heard[0]?.headers['x-payload']], [undefined, undefined]);
  const token = signedToken(KEY, ME);
  assert.equal((await ask(rig, token)).body, 'v1');
  assert.equal(other.heard[0]?.headers['x-payload'], token.split('.')[1]);
});

test('W66 a route of a VirtualService goes by a claim, of a token that is valid and of no header', async (t) => {
  const virtual = {
    ...{ uri: null, ignoreUriCase: false, scheme: null, method: null, authority: null, withoutHeaders: [], queryParams: [] },
    ...{ port: null, sourceNamespace: null },
    headers: [{ name: '@request.auth.claims', claim: ['group'], type: 'exact' as const, value: 'admin' }],
  };
  const rules = [rule({}, [to('v1')], { matches: [], virtual }), rule({}, [to('cart')])];
  const route = { namespace: 'shop', name: 'v', ports: null, clientNamespace: null, inOrder: true as const, rules };
  const options = optionsOf([RULE]);
  const services = configOf(options).services.map((service) => ({ ...service, routes: [route] }));
  const { rig } = await cart(t, { ...options, config: { services } });
  const other = await startApp(t, (_heard, response) => response.end('v1'));
  rig.endpoints([other.port], {}, 'v1');
  assert.equal((await ask(rig, signedToken(KEY, ME))).body, 'v1');
  assert.notEqual((await ask(rig, signedToken(KEY, { ...ME, group: 'staff' }))).body, 'v1');
  assert.notEqual((await curl(rig.port, '/', '-H', '@request.auth.claims: admin', '-H', 'group: admin')).body, 'v1');
});

const EMPTY: L7Source = {
  principals: [],
  notPrincipals: [],
  namespaces: [],
  notNamespaces: [],
  serviceAccounts: [],
  notServiceAccounts: [],
  ipBlocks: [],
  notIpBlocks: [],
};
const from = (source: Partial<L7Source>): L7Rule => ({ from: [{ ...EMPTY, ...source }], to: [], when: [] });
const when = (key: string, change: Partial<L7Condition>): L7Rule => ({
  from: [],
  to: [],
  when: [{ key, values: [], notValues: [], ...change }],
});

const POLICIES: { name: string; action?: 'allow' | 'deny'; rule: L7Rule; none: number; mine: number }[] = [
  { name: 'somebody', rule: from({ requestPrincipals: ['*'] }), none: 403, mine: 200 },
  { name: 'me', rule: from({ requestPrincipals: ['https://issuer/me'] }), none: 403, mine: 200 },
  { name: 'the issuer', rule: from({ requestPrincipals: ['https://issuer/*'] }), none: 403, mine: 200 },
  { name: 'another', rule: from({ requestPrincipals: ['https://issuer/you'] }), none: 403, mine: 403 },
  { name: 'nobody, denied', action: 'deny', rule: from({ notRequestPrincipals: ['*'] }), none: 403, mine: 200 },
  { name: 'a claim', rule: when('request.auth.claims[group]', { values: ['admin'] }), none: 403, mine: 200 },
  { name: 'no such claim', rule: when('request.auth.claims[group]', { values: ['root'] }), none: 403, mine: 403 },
  { name: 'a claim of several words', rule: when('request.auth.claims[scope]', { values: ['write'] }), none: 403, mine: 200 },
  { name: 'a principal', rule: when('request.auth.principal', { values: ['*/me'] }), none: 403, mine: 200 },
  {
    name: 'a claim, denied',
    action: 'deny',
    rule: when('request.auth.claims[group]', { values: ['staff'] }),
    none: 200,
    mine: 403,
  },
];
for (const { name, action = 'allow', rule: one, none, mine } of POLICIES)
  test(`W64 a policy that asks for ${name}`, async (t) => {
    const policies: L7Policy[] = [{ namespace: 'shop', name: 'p', action, dryRun: false, rules: [one] }];
    const { rig } = await cart(t, optionsOf([RULE], { policies }));
    assert.deepEqual([(await ask(rig, null)).status, (await ask(rig, signedToken(KEY, ME))).status], [none, mine]);
  });

test('W64 a CORS preflight passes without a token, as nobody; any other OPTIONS does not pass with a bad one', async (t) => {
  const { rig } = await cart(t, optionsOf([RULE]));
  const preflight = ['-X', 'OPTIONS', '-H', 'origin: https://a', '-H', 'access-control-request-method: PUT'];
  assert.equal((await ask(rig, 'bad', '/', ...preflight)).status, 200);
  assert.equal((await ask(rig, 'bad', '/', '-X', 'OPTIONS')).status, 401);
});

test('config-api 6.3: buckets of a rate limit go by claims that a token proves, and never by those of a token that is forged', async (t) => {
  const rule = { name: 'each', match: null, key: [{ type: 'claim', path: ['sub'] } as const], requests: 1, windowMs: 60_000 };
  const rateLimit = {
    policy: 'shop/p',
    responseHeaders: false,
    rules: [{ ...rule, burst: 1, perReplica: false, shadow: false }],
  };
  const options = optionsOf([RULE]);
  const services = options.config?.services?.map((service) => ({
    ...service,
    traffic: [{ rateLimit, fault: null, port: null }],
  }));
  const { rig } = await cart(t, { config: { ...options.config, ...(services && { services }) } });
  const as = (sub: string): string => signedToken(KEY, { ...ME, sub });
  const statuses: number[] = [];
  for (const token of [as('a'), as('a'), as('b'), forgedByHmac(KEY, { ...ME, sub: 'c' }), null, null])
    statuses.push((await ask(rig, token)).status);
  assert.deepEqual(statuses, [200, 429, 200, 401, 200, 429], 'who has no token shares one bucket');
});
