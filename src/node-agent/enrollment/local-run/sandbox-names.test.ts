import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bridgeName, egressNat, expectedUid, searchDomains } from './sandbox-names.ts';

test('a bridge name fits the kernel and differs between nodes of long, similar names', () => {
  const names = ['a', 'a-very-long-name-of-a-node-number-1', 'a-very-long-name-of-a-node-number-2'].map(bridgeName);
  assert.equal(new Set(names).size, 3);
  for (const name of names) assert.match(name, /^weft-[0-9a-f]{8}$/);
});

test('a bridge name is the same after a restart', () => assert.equal(bridgeName('alpha'), bridgeName('alpha')));

test('short names are looked up in the own namespace first', () => {
  assert.deepEqual(searchDomains('shop', 'cluster.local'), ['shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local']);
});

test('no range at all means no translation, an empty list means translation everywhere', () => {
  assert.equal(egressNat(null), null);
  assert.deepEqual(egressNat([]), { excluded: [] });
  assert.deepEqual(egressNat(['10.0.0.0/8', 'nonsense']), { excluded: [{ base: '10.0.0.0', length: 8 }] });
});

test('the uid is the one that the control plane derives from cluster, namespace and name', () => {
  assert.equal(expectedUid('Kubernetes', { namespace: 'shop', name: 'cart' }), 'Kubernetes/weft.dev/Workload/shop/cart');
});
