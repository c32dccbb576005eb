import assert from 'node:assert/strict';
import test from 'node:test';
import { kindNamed } from './kind-names.ts';

const KINDS = ['Service', 'AuthorizationPolicy', 'HTTPRoute', 'Gateway', 'WorkloadEntry'];

for (const [word, kind] of [
  ['service', 'Service'],
  ['Services', 'Service'],
  ['svc', 'Service'],
  ['authorizationpolicies', 'AuthorizationPolicy'],
  ['AP', 'AuthorizationPolicy'],
  ['httproutes', 'HTTPRoute'],
  ['workloadentries', 'WorkloadEntry'],
] as const) {
  test(`C60: "${word}" is ${kind}`, () => {
    assert.equal(kindNamed(word, KINDS), kind);
  });
}

test('C60: a word that is no kind is refused with the nearest one', () => {
  assert.throws(() => kindNamed('gatway', KINDS), { code: 'WEFT_KIND_UNREAD', remedy: 'did you mean Gateway?' });
  assert.throws(() => kindNamed('deployment', KINDS), { code: 'WEFT_KIND_UNREAD' });
  assert.throws(() => kindNamed('pod', KINDS), { code: 'WEFT_KIND_UNREAD' });
});
