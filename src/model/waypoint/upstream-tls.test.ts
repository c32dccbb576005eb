import assert from 'node:assert/strict';
import test from 'node:test';
import { tlsTowards, type UpstreamTls } from './upstream-tls.ts';

const ASKED: UpstreamTls = { kind: 'originate', serverName: 'a.com', names: [{ kind: 'dns', value: 'a.com' }], roots: null };
const REFUSED: UpstreamTls = { kind: 'refused', why: 'no authority' };

test('TLS is for who is outside of the mesh; what cannot be encrypted is refused wherever it goes', () => {
  assert.deepEqual(tlsTowards(undefined, false), { kind: 'none' });
  assert.deepEqual(tlsTowards(undefined, true), { kind: 'none' });
  assert.equal(tlsTowards(ASKED, false), ASKED);
  assert.deepEqual(tlsTowards(ASKED, true), { kind: 'none' });
  assert.equal(tlsTowards(REFUSED, false), REFUSED);
  assert.equal(tlsTowards(REFUSED, true), REFUSED);
});
