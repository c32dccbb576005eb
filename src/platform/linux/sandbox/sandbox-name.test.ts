import assert from 'node:assert/strict';
import test from 'node:test';
import { bridgeMacOf, hostVethOf, hostVethOfNetns, isHostVeth, isNetnsNameOf, netnsNameOf, slugOf } from './sandbox-name.ts';

const KEY = { namespace: 'shop', name: 'reviews' };

test('names are safe and short for every node name', () => {
  for (const node of ['a', 'node-1', 'Rack 7/Höhe.example.com', 'x'.repeat(300), '']) {
    assert.match(netnsNameOf(node, KEY), /^weft-[a-z0-9-]{1,32}-[0-9a-f]{10}$/);
    assert.match(hostVethOf(node, KEY), /^wf[0-9a-f]{10}$/);
    assert.ok(isHostVeth(hostVethOf(node, KEY)));
    assert.ok(isNetnsNameOf(node, netnsNameOf(node, KEY)));
    assert.equal(hostVethOfNetns(netnsNameOf(node, KEY)), hostVethOf(node, KEY));
  }
});

test('nodes, namespaces and names are told apart', () => {
  const names = [
    netnsNameOf('a', KEY),
    netnsNameOf('a', { namespace: 'shop', name: 'ratings' }),
    netnsNameOf('a', { namespace: 'bank', name: 'reviews' }),
    netnsNameOf('b', KEY),
    netnsNameOf(`${'x'.repeat(50)}1`, KEY),
    netnsNameOf(`${'x'.repeat(50)}2`, KEY),
    netnsNameOf('A', KEY),
  ];
  assert.equal(new Set(names).size, names.length);
  assert.notEqual(slugOf('rack.1'), slugOf('rack-1'));
});

test('a node does not take the namespaces of one whose name begins alike', () => {
  assert.equal(isNetnsNameOf('node', netnsNameOf('node-a', KEY)), false);
  assert.equal(isNetnsNameOf('node', netnsNameOf('node-0123456789', KEY)), false);
  assert.equal(isNetnsNameOf('node', 'weft-node-mine'), false);
});

test('a bridge address is unicast, locally administered and stable', () => {
  assert.match(bridgeMacOf('a', 'br'), /^02(:[0-9a-f]{2}){5}$/);
  assert.equal(bridgeMacOf('a', 'br'), bridgeMacOf('a', 'br'));
  assert.notEqual(bridgeMacOf('a', 'br'), bridgeMacOf('b', 'br'));
});
