import assert from 'node:assert/strict';
import test from 'node:test';
import { tryParseIp } from '#model/address/ip.ts';
import { atOnce } from '#model/effects/work.ts';
import type { Authorization } from '#model/mesh/authorization.ts';
import type { Service } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { LogCursor } from '#protocol/xds/change-log.ts';
import type { EncodedResource } from '#protocol/xds/encoded-resource.ts';
import { samplePolicy, sampleService, sampleWorkload } from '#protocol/xds/sample-mesh.testing.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type TypeUrl, WAYPOINT_CONFIG_TYPE, WORKLOAD_TYPE } from '#protocol/xds/type-urls.ts';
import { ResourceStore, type StoreDelta } from './resource-store.ts';

const ip = (text: string) => [tryParseIp(text)].filter((address) => address !== null);
const RATINGS = 'shop/ratings.shop.svc.cluster.local';
const REVIEWS = 'shop/reviews.shop.svc.cluster.local';
const A = sampleWorkload({ name: 'a', addresses: ip('10.1.0.1') });
const B = sampleWorkload({ name: 'b', addresses: ip('10.1.0.2'), node: 'node-2' });
const LONER = sampleWorkload({ name: 'loner', addresses: ip('10.1.0.3'), services: new Map() });

type Content = { workloads?: (Workload | string)[]; services?: (Service | string)[]; policies?: (Authorization | string)[] };

/** A delta of things that are there, and of the keys of those that are gone. */
function delta({ workloads = [], services = [], policies = [] }: Content): StoreDelta {
  const entries = <Item>(list: readonly (Item | string)[], keyOf: (item: Item) => string) =>
    new Map(list.map((one): [string, Item | null] => (typeof one === 'string' ? [one, null] : [keyOf(one), one])));
  return {
    mesh: {
      workloads: entries(workloads, ({ uid }) => uid),
      services: entries(services, ({ namespace, hostname }) => `${namespace}/${hostname}`) as StoreDelta['mesh']['services'],
      policies: entries(policies, ({ namespace, name }) => `${namespace}/${name}`) as StoreDelta['mesh']['policies'],
    },
    waypoints: new Map(),
  };
}

function storeOf(content: Content): ResourceStore {
  const store = new ResourceStore(0);
  store.apply(delta(content));
  return store;
}

/** Everything of a type. */
function all(store: ResourceStore, type: TypeUrl): readonly EncodedResource[] {
  const found: EncodedResource[] = [];
  for (let index = 0, block = store.block(type, 0); block !== null; block = store.block(type, ++index))
    found.push(...block.resources);
  return found;
}

/** Names of changes that a cursor has not read. */
function told(store: ResourceStore, type: TypeUrl, cursor: LogCursor = assert.fail()): string[] {
  const log = store.changes(type);
  const list: string[] = [];
  for (let name = log.nextUpdated(cursor); name !== null; name = log.nextUpdated(cursor)) list.push(name);
  return list;
}

/** Last part of each name, in order. */
const names = (list: Iterable<{ name: string }>) => [...list].map(({ name }) => name.split('/').at(-1) ?? '').sort();

const lookups: { name: string; ask: string; want: string[] }[] = [
  { name: 'a workload by its uid brings that workload alone', ask: A.uid, want: ['a'] },
  { name: 'a workload by network and address', ask: '/10.1.0.2', want: ['b'] },
  { name: 'a service by its key brings its workloads', ask: RATINGS, want: ['a', 'b', 'ratings.shop.svc.cluster.local'] },
  {
    name: 'a service by its address brings its workloads',
    ask: '/10.96.0.9',
    want: ['a', 'b', 'ratings.shop.svc.cluster.local'],
  },
  { name: 'a service without workloads comes alone', ask: REVIEWS, want: ['reviews.shop.svc.cluster.local'] },
  { name: 'an address of another network is not this one', ask: 'other/10.1.0.2', want: [] },
  { name: 'an unknown name brings nothing', ask: 'shop/none', want: [] },
];
const bookshop: Content = {
  workloads: [A, B, LONER],
  services: [
    sampleService(),
    sampleService({ name: 'reviews', hostname: 'reviews.shop.svc.cluster.local', addresses: ip('10.96.0.10') }),
  ],
};
for (const { name, ask, want } of lookups) {
  test(`on demand: ${name}`, () => assert.deepEqual(names(storeOf(bookshop).lookup(ADDRESS_TYPE, ask)), want));
}

test('on demand: where a workload and a service have one address, the workload is meant', () => {
  const store = storeOf({ workloads: [sampleWorkload({ name: 'a', addresses: ip('10.96.0.9') })], services: [sampleService()] });
  assert.deepEqual(names(store.lookup(ADDRESS_TYPE, '/10.96.0.9')), ['a']);
});

test('a workload of no node is on none, not on a node without a name', () => {
  const store = storeOf({ workloads: [sampleWorkload({ name: 'a', node: '' })] });
  assert.deepEqual(store.onNode(''), []);
});

test('on demand: a workload on the network of its host is not found by the address, which is the node’s', () => {
  const store = storeOf({ workloads: [sampleWorkload({ name: 'a', addresses: ip('10.1.0.1'), hostNetwork: true })] });
  assert.deepEqual(store.lookup(ADDRESS_TYPE, '/10.1.0.1'), []);
});

test('what follows an address, a service or a node is forgotten when the workload moves', () => {
  const store = storeOf(bookshop);
  assert.deepEqual(names(store.onNode('node-2')), ['b']);
  store.apply(delta({ workloads: [{ ...B, addresses: ip('10.1.0.9'), node: 'node-1', services: new Map() }] }));
  assert.deepEqual([names(store.onNode('node-2')), names(store.onNode('node-1'))], [[], ['a', 'b', 'loner']]);
  assert.deepEqual([store.lookup(ADDRESS_TYPE, '/10.1.0.2'), names(store.lookup(ADDRESS_TYPE, '/10.1.0.9'))], [[], ['b']]);
  assert.deepEqual(names(store.lookup(ADDRESS_TYPE, RATINGS)), ['a', 'ratings.shop.svc.cluster.local']);
});

test('and when it goes', () => {
  const store = storeOf(bookshop);
  store.apply(delta({ workloads: [A.uid] }));
  assert.equal(store.get(ADDRESS_TYPE, A.uid), null);
  assert.deepEqual([store.lookup(ADDRESS_TYPE, '/10.1.0.1'), names(store.onNode('node-1'))], [[], ['loner']]);
});

test('only what is different on the wire is told to clients and makes a new revision', () => {
  const store = storeOf(bookshop);
  const before = store.systemVersion();
  const types = [ADDRESS_TYPE, AUTHORIZATION_TYPE] satisfies TypeUrl[];
  const cursors = types.map((type) => store.changes(type).follow());
  const changed = (content: Content) => {
    store.apply(delta(content));
    return types.map((type, index) => names(told(store, type, cursors[index]).map((name) => ({ name }))));
  };
  assert.deepEqual(changed({ workloads: [A, { ...B }], services: [sampleService()] }), [[], []]);
  assert.equal(store.systemVersion(), before);
  assert.deepEqual(changed({ workloads: [A, { ...B, healthy: false }], policies: [samplePolicy()] }), [['b'], ['deny-reviews']]);
  assert.notEqual(store.systemVersion(), before);
});

test('removing what was never there tells nobody', () => {
  const store = storeOf({});
  const before = store.systemVersion();
  assert.equal(store.apply(delta({ workloads: ['x'], policies: ['shop/x'] })), false);
  assert.equal(store.systemVersion(), before);
});

test('revisions of two processes differ, whatever happened in each', () => {
  assert.notEqual(new ResourceStore(0).systemVersion(), new ResourceStore(1).systemVersion());
});

test('the legacy type holds workloads only, and the same ones', () => {
  const store = storeOf(bookshop);
  assert.deepEqual(names(all(store, WORKLOAD_TYPE)), ['a', 'b', 'loner']);
  assert.deepEqual(names(store.lookup(WORKLOAD_TYPE, RATINGS)), ['a', 'b']);
  assert.deepEqual([store.get(WORKLOAD_TYPE, RATINGS), store.get(WORKLOAD_TYPE, A.uid)?.name], [null, A.uid]);
  const cursor = store.changes(WORKLOAD_TYPE).follow();
  store.apply(delta({ workloads: [{ ...A, healthy: false }] }));
  assert.deepEqual(told(store, WORKLOAD_TYPE, cursor), [A.uid]);
});

const types: { type: TypeUrl; want: string[] }[] = [
  { type: ADDRESS_TYPE, want: ['a', 'b', 'loner', 'ratings.shop.svc.cluster.local', 'reviews.shop.svc.cluster.local'] },
  { type: AUTHORIZATION_TYPE, want: ['deny-reviews'] },
  { type: WAYPOINT_CONFIG_TYPE, want: [] },
];
for (const { type, want } of types) {
  test(`a client that follows all of ${type} gets just that`, () =>
    assert.deepEqual(names(all(storeOf({ ...bookshop, policies: [samplePolicy()] }), type)), want));
}

test('resources are counted by kind', () => {
  const store = storeOf({ ...bookshop, policies: [samplePolicy()] });
  assert.deepEqual(store.counts(), { addresses: 5, policies: 1, waypoints: 0 });
});

test('a policy is looked up by its name, and found by no other', () => {
  const store = storeOf({ policies: [samplePolicy()] });
  assert.deepEqual(names(store.lookup(AUTHORIZATION_TYPE, 'shop/deny-reviews')), ['deny-reviews']);
  assert.deepEqual(store.lookup(AUTHORIZATION_TYPE, 'deny-reviews'), []);
});

test('what was served before a restart is found by whatever leads to it, and forgotten as anything else, before and after it was indexed', () => {
  const before = storeOf(bookshop);
  for (const isIndexed of [false, true]) {
    const store = new ResourceStore(0);
    atOnce(store.restoring(before.segments().map(({ take }) => take())));
    if (isIndexed) atOnce(store.indexing());
    for (const { ask, want } of lookups) assert.deepEqual(names(store.lookup(ADDRESS_TYPE, ask)), want);
    assert.deepEqual(names(store.onNode('node-2')), ['b']);
    store.apply(delta({ workloads: [{ ...B, addresses: ip('10.1.0.9'), node: 'node-1' }] }));
    assert.deepEqual([store.lookup(ADDRESS_TYPE, '/10.1.0.2'), names(store.onNode('node-2'))], [[], []]);
  }
});

test('a change right after a restart leaves nothing of before to be found', () => {
  const store = new ResourceStore(0);
  atOnce(
    store.restoring(
      storeOf(bookshop)
        .segments()
        .map(({ take }) => take()),
    ),
  );
  store.apply(delta({ workloads: [{ ...B, addresses: ip('10.1.0.9'), node: 'node-1' }] }));
  assert.deepEqual([store.lookup(ADDRESS_TYPE, '/10.1.0.2'), names(store.lookup(ADDRESS_TYPE, '/10.1.0.9'))], [[], ['b']]);
});
