import assert from 'node:assert/strict';
import test from 'node:test';
import { deniedReply, grpcStatusOf, replyFor } from '#waypoint/exchange/local-reply.ts';

test('gRPC status of a local reply (docs/rules/waypoint.md)', () => {
  const wanted: Record<number, number> = {
    400: 13,
    401: 16,
    403: 7,
    404: 12,
    429: 14,
    502: 14,
    503: 14,
    504: 14,
    500: 2,
    418: 2,
  };
  for (const [status, grpc] of Object.entries(wanted)) assert.equal(grpcStatusOf(Number(status)), grpc, status);
});

test('a denial names the rule, or that none matched', () => {
  assert.equal(deniedReply('shop/p#2').details, 'rbac_access_denied_matched_policy[shop/p#2]');
  assert.equal(deniedReply(null).details, 'rbac_access_denied_matched_policy[none]');
});

test('W77 the cause of a failed connection is for the log, not for the client', () => {
  const reply = replyFor({
    kind: 'connect-failure',
    details: 'TLS_FAILURE certificate has expired',
    staleConnection: false,
    unprocessed: true,
  });
  assert.doesNotMatch(String(reply.body), /certificate/);
  assert.match(reply.details, /certificate_has_expired/);
});
