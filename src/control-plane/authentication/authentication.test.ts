import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import test from 'node:test';
import { SignJWT } from 'jose';
import { MemoryStore } from '#model/effects/memory-store.testing.ts';
import { NO_GRANT, type NodeGrant } from '#model/trust/grant.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { type Authenticator, checkNode, type Proof } from './authenticator.ts';
import { bearerToken, TokenAuthority } from './tokens.ts';

const HOUR_MS = 3_600_000;
const GRANT: NodeGrant = { identities: ['shop/*'], addresses: ['10.41.0.0/24', 'fd41::/64'], waypoints: false };
const agent: Omit<Proof, 'untilMs'> = { namespace: 'weft-system', serviceAccount: 'weft-agent', node: 'node-1', grant: GRANT };
const waypoint: Omit<Proof, 'untilMs'> = { namespace: 'shop', serviceAccount: 'waypoint', node: null, grant: null };

async function authority() {
  const store = new MemoryStore();
  const clock = new SteppedClock();
  return { store, clock, tokens: await TokenAuthority.open(store, clock) };
}

for (const caller of [agent, waypoint]) {
  test(`a token proves ${caller.serviceAccount} and its node`, async () => {
    const { tokens, clock } = await authority();
    assert.deepEqual(await tokens.verify(await tokens.mint(caller, HOUR_MS)), { ...caller, untilMs: clock.nowMs() + HOUR_MS });
  });
}

test('C13: a token is refused from the moment it expires', async () => {
  const { tokens, clock } = await authority();
  const token = await tokens.mint(agent, HOUR_MS);
  clock.advance(HOUR_MS - 1_000);
  assert.equal((await tokens.verify(token)).node, 'node-1');
  clock.advance(1_000);
  await assert.rejects(tokens.verify(token), { status: 'unauthenticated', message: 'authentication failed' });
});

test('C13: as an authenticator it believes a bearer token in the header of a call, and nothing else', async () => {
  const { tokens } = await authority();
  const authenticator: Authenticator = tokens;
  const token = await tokens.mint(waypoint, HOUR_MS);
  assert.equal((await authenticator.authenticate(`Bearer ${token}`)).serviceAccount, 'waypoint');
  for (const header of [undefined, '', token, `Basic ${token}`, `Bearer ${token}x`]) {
    await assert.rejects(authenticator.authenticate(header), { status: 'unauthenticated', message: 'authentication failed' });
  }
});

test('tokens outlive the process that minted them', async () => {
  const { tokens, store, clock } = await authority();
  const token = await tokens.mint(agent, HOUR_MS);
  assert.equal((await (await TokenAuthority.open(store, clock)).verify(token)).node, 'node-1');
});

test("C13: another mesh's token, another audience, a changed token and no token are refused alike", async () => {
  const { tokens, store, clock } = await authority();
  const foreign = await (await authority()).tokens.mint(agent, HOUR_MS);
  const key = createPrivateKey(store.texts.get('token-key.pem') ?? '');
  const now = Math.floor(clock.nowMs() / 1_000);
  const signed = (claims: { aud: string; sub: string; exp?: number }) =>
    new SignJWT({ iss: 'weft', ...claims }).setProtectedHeader({ alg: 'ES256' }).sign(key);
  const sub = 'system:serviceaccount:a:b';
  const refused = [
    foreign,
    await signed({ aud: 'other', sub, exp: now + 60 }),
    await signed({ aud: 'istio-ca', sub: 'system:node:x', exp: now + 60 }),
    await signed({ aud: 'istio-ca', sub }),
    `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify({ sub, aud: 'istio-ca' })).toString('base64url')}.`,
    '',
    'nonsense',
  ];
  for (const token of refused) await assert.rejects(tokens.verify(token), { status: 'unauthenticated' }, token);
});

test('a token that says nothing of what its node may have is good for nothing that a node can have', async () => {
  const { tokens, store, clock } = await authority();
  const key = createPrivateKey(store.texts.get('token-key.pem') ?? '');
  const sub = 'system:serviceaccount:weft-system:weft-agent';
  for (const grant of [undefined, 'all', { identities: ['*/*'] }, { identities: ['*'], addresses: [], waypoints: true }]) {
    const token = await new SignJWT({ iss: 'weft', aud: 'istio-ca', sub, node: 'node-1', exp: clock.nowMs() / 1_000 + 60, grant })
      .setProtectedHeader({ alg: 'ES256' })
      .sign(key);
    assert.deepEqual((await tokens.verify(token)).grant, NO_GRANT, JSON.stringify(grant));
  }
});

test('revoked tokens of a node are refused from then on, also after a restart; new ones and those of others are good', async () => {
  const { tokens, store, clock } = await authority();
  const old = await tokens.mint(agent, HOUR_MS);
  const other = await tokens.mint({ ...agent, node: 'node-2' }, HOUR_MS);
  await tokens.verify(old); // known as good, and refused all the same
  await tokens.revoke('node-1');
  const fresh = await tokens.mint(agent, HOUR_MS);
  for (const authority of [tokens, await TokenAuthority.open(store, clock)]) {
    await assert.rejects(authority.verify(old), { status: 'unauthenticated', message: 'authentication failed' });
    assert.equal((await authority.verify(fresh)).node, 'node-1');
    assert.equal((await authority.verify(other)).node, 'node-2');
  }
});

test('a revocation that cannot be kept is none, and one that cannot be read stops the start', async () => {
  const { tokens, store, clock } = await authority();
  const token = await tokens.mint(agent, HOUR_MS);
  const write = store.write.bind(store);
  store.write = async () => {
    throw new Error('no space left on device');
  };
  await assert.rejects(tokens.revoke('node-1'), /no space/);
  assert.equal((await tokens.verify(token)).node, 'node-1');
  store.write = write;
  for (const text of ['{', '{"node-1":"many"}']) {
    store.texts.set('token-revocations.json', text);
    await assert.rejects(TokenAuthority.open(store, clock), { code: 'WEFT_TOKEN_KEY' });
  }
});

test('a key that cannot be read stops the start, with the way out', async () => {
  const { store, clock } = await authority();
  store.texts.set('token-key.pem', 'broken');
  await assert.rejects(TokenAuthority.open(store, clock), { code: 'WEFT_TOKEN_KEY' });
});

test('C13: only a bearer token counts', () => {
  assert.equal(bearerToken('Bearer abc.def'), 'abc.def');
  for (const header of [undefined, '', 'Basic abc', 'Bearer ', 'Bearer a b']) {
    assert.throws(() => bearerToken(header), { status: 'unauthenticated' });
  }
});

const id = 'ztunnel~10.0.0.1~agent.weft-system~weft-system.svc.cluster.local';
const nodes = [
  { name: 'its own namespace is accepted', node: { id, metadata: { NAMESPACE: 'weft-system' } }, want: null },
  {
    name: 'its own namespace, service account and node are accepted',
    node: { id, metadata: { NAMESPACE: 'weft-system', SERVICE_ACCOUNT: 'weft-agent', NODE_NAME: 'node-1' } },
    want: null,
  },
  { name: 'no node is an invalid argument', node: undefined, want: 'invalid-argument' },
  {
    name: 'an empty id is an invalid argument',
    node: { id: '', metadata: { NAMESPACE: 'weft-system' } },
    want: 'invalid-argument',
  },
  { name: 'an id of another shape is an invalid argument', node: { id: 'a~b', metadata: {} }, want: 'invalid-argument' },
  { name: 'no namespace is refused', node: { id, metadata: {} }, want: 'permission-denied' },
  { name: 'another namespace is refused', node: { id, metadata: { NAMESPACE: 'shop' } }, want: 'permission-denied' },
  {
    name: 'another service account is refused',
    node: { id, metadata: { NAMESPACE: 'weft-system', SERVICE_ACCOUNT: 'x' } },
    want: 'permission-denied',
  },
  {
    name: 'another node is refused',
    node: { id, metadata: { NAMESPACE: 'weft-system', NODE_NAME: 'x' } },
    want: 'permission-denied',
  },
];
for (const { name, node, want } of nodes) {
  test(`C13: of what a client says of itself, ${name}`, () => {
    if (want === null) checkNode({ ...agent, untilMs: null }, node);
    else assert.throws(() => checkNode({ ...agent, untilMs: null }, node), { status: want });
  });
}

test('C71: a token that another replica revoked is refused here, and a revocation is never taken back', async () => {
  const store = new MemoryStore();
  const [here, there] = [
    await TokenAuthority.open(store, new SteppedClock()),
    await TokenAuthority.open(store, new SteppedClock()),
  ];
  const token = await here.mint({ namespace: 'n', serviceAccount: 's', node: 'node-1', grant: null }, 60_000);
  await there.revoke('node-1');
  const text = await store.read('token-revocations.json');
  assert.deepEqual(here.follow(text), ['node-1']);
  assert.deepEqual(here.follow(text), [], 'told once');
  assert.deepEqual(here.follow(null), []);
  await assert.rejects(here.verify(token), { status: 'unauthenticated' });
});
