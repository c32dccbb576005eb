import assert from 'node:assert/strict';
import test from 'node:test';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { type ReviewedToken, readTokenReview } from '#protocol/kubernetes/token-review.ts';
import { RpcError } from '#protocol/xds/resource-fault.ts';
import type { Proof } from './authenticator.ts';
import { eitherAuthenticator, TokenReviewAuthenticator } from './token-review.ts';

const AGENT: ReviewedToken = { namespace: 'weft', serviceAccount: 'weft-agent', pod: { name: 'a', uid: 'u' }, node: 'node-1' };

function rig(answer: ReviewedToken | null) {
  const clock = new SteppedClock();
  const server = { answer, isAway: false, asked: 0 };
  const authenticator = new TokenReviewAuthenticator({
    clock,
    nodeAccounts: ['weft/weft-agent'],
    review: async () => {
      server.asked++;
      if (server.isAway) throw new Error('connect ECONNREFUSED');
      return server.answer;
    },
  });
  return { clock, server, authenticate: () => authenticator.authenticate('Bearer x.y.z') };
}

async function refused(attempt: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(attempt, (error) => error instanceof RpcError && error.status === code);
}

test('K96: a token of an agent speaks for the node of its pod; one of anybody else for no node', async () => {
  const { node, grant } = await rig(AGENT).authenticate();
  assert.deepEqual([node, grant?.addresses, grant?.waypoints], ['node-1', [], false]);
  const pod = await rig({ ...AGENT, namespace: 'shop', serviceAccount: 'web' }).authenticate();
  assert.deepEqual([pod.namespace, pod.serviceAccount, pod.node, pod.grant], ['shop', 'web', null, null]);
});

test('K96: what is bound to no pod, or to no node, proves nothing', async () => {
  await refused(rig({ ...AGENT, pod: null }).authenticate(), 'unauthenticated');
  await refused(rig({ ...AGENT, node: null }).authenticate(), 'unauthenticated');
  await refused(rig(null).authenticate(), 'unauthenticated');
});

test('K97: a token that has become bad is refused a minute later at the latest', async () => {
  const { clock, server, authenticate } = rig(AGENT);
  await authenticate();
  server.answer = null;
  clock.advance(KUBERNETES.reviewGoodMs - 1);
  await authenticate();
  assert.equal(server.asked, 1);
  clock.advance(1);
  await refused(authenticate(), 'unauthenticated');
  await refused(authenticate(), 'unauthenticated');
});

test('K85: while the API server is away those it knew go on, and nobody else gets in', async () => {
  const { clock, server, authenticate } = rig(AGENT);
  await authenticate();
  server.isAway = true;
  clock.advance(KUBERNETES.reviewGoodMs * 10);
  assert.equal((await authenticate()).node, 'node-1');
  clock.advance(KUBERNETES.reviewAwayMs);
  await refused(authenticate(), 'unavailable');
  const other = rig(AGENT);
  other.server.isAway = true;
  await refused(other.authenticate(), 'unavailable');
});

test('an answer for another audience, or about a person, is no proof', () => {
  const user = { username: 'system:serviceaccount:shop:web', extra: {} };
  const answer = (status: object) => readTokenReview({ status }, ['istio-ca']);
  assert.equal(answer({ authenticated: true, audiences: ['istio-ca'], user })?.serviceAccount, 'web');
  assert.equal(answer({ authenticated: true, audiences: ['https://kubernetes.default.svc'], user }), null);
  assert.equal(answer({ authenticated: true, user }), null);
  assert.equal(answer({ authenticated: true, audiences: ['istio-ca'], user: { username: 'admin' } }), null);
  assert.equal(answer({ authenticated: false, audiences: ['istio-ca'], user }), null);
});

test('tokens of our own are not shown to the API server', async () => {
  const proof: Proof = { namespace: '', serviceAccount: '', node: null, grant: null, untilMs: null };
  const either = eitherAuthenticator(
    { authenticate: async () => ({ ...proof, serviceAccount: 'own' }) },
    { authenticate: async () => ({ ...proof, serviceAccount: 'cluster' }) },
  );
  const jwt = (iss: string) =>
    `Bearer ${['{"alg":"ES256"}', JSON.stringify({ iss }), ''].map((part) => Buffer.from(part).toString('base64url')).join('.')}`;
  assert.equal((await either.authenticate(jwt('weft'))).serviceAccount, 'own');
  assert.equal((await either.authenticate(jwt('https://kubernetes.default.svc'))).serviceAccount, 'cluster');
});
