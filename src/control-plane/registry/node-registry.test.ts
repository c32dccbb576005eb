import assert from 'node:assert/strict';
import test from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Proof } from '#control-plane/authentication/authenticator.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { MemoryStore } from '#model/effects/memory-store.testing.ts';
import { notLeader } from '#model/effects/replica.ts';
import type { RegisteredWorkload } from '#model/mesh/registration.ts';
import type { NodeGrant } from '#model/trust/grant.ts';
import { type RegisteredWorkloadSchema, SyncWorkloadsRequestSchema } from '#proto/weft_pb.js';
import { NodeRegistry } from './node-registry.ts';
import { parseRegistration } from './registration.ts';

type WorkloadInit = MessageInitShape<typeof RegisteredWorkloadSchema>;

const web: WorkloadInit = {
  name: 'web',
  namespace: 'shop',
  serviceAccount: 'web',
  addresses: ['10.1.0.1'],
  labels: { app: 'web' },
  enrolled: true,
};
const db: WorkloadInit = { name: 'db', namespace: 'shop', addresses: ['10.1.0.2', 'fd00::2'], enrolled: true };

const ANYTHING: NodeGrant = { identities: ['*/*'], addresses: ['0.0.0.0/0', '::/0'], waypoints: true };

function agentOf(node: string, grant: NodeGrant | null = ANYTHING): Proof {
  return { namespace: 'weft-system', serviceAccount: 'weft-agent', node, grant, untilMs: null };
}

async function registryOver(store = new MemoryStore(), alive: string[] = []) {
  const applied: [string, string[]][] = [];
  const told: string[] = [];
  const registry = new NodeRegistry({
    store,
    log: SILENT_LOG,
    apply: (nodes) => {
      applied.push(...[...nodes].map(([node, list]): [string, string[]] => [node, list.map(({ name }) => name)]));
    },
    uidOf: ({ namespace, name }: RegisteredWorkload) => `uid/${namespace}/${name}`,
    isAlive: (node) => alive.includes(node),
    world: {
      reserved: { rootNamespace: 'weft-system', isWaypoint: () => false },
      waypointLabel: 'gateway',
      serviceAt: (ip) => (ip === '10.96.0.1' ? 'service shop/ratings' : null),
      nodeAt: (ip) => (ip === '10.9.0.1' ? 'node-9' : null),
      configuredAt: (ip) => (ip === '10.7.0.1' ? 'Pod shop/ratings-1' : null),
    },
    onRefusal: (node, { cause }) => told.push(`${node} ${cause}`),
  });
  await registry.load();
  const loaded = [...registry.admitLoaded()].map(([node, list]): [string, string[]] => [node, list.map(({ name }) => name)]);
  const ask = (node: string, workloads: WorkloadInit[], caller = agentOf(node), nodeAddresses: string[] = []) =>
    registry.sync(caller, create(SyncWorkloadsRequestSchema, { node, workloads, nodeAddresses }));
  const sync = async (node: string, workloads: WorkloadInit[], caller = agentOf(node)) =>
    (await ask(node, workloads, caller)).uids;
  return { registry, store, applied, told, loaded, ask, sync };
}

test('a sync replaces all workloads of its node and answers with uids in its order', async () => {
  const { sync, applied } = await registryOver();
  assert.deepEqual(await sync('node-1', [web, db]), ['uid/shop/web', 'uid/shop/db']);
  assert.deepEqual(await sync('node-1', [db]), ['uid/shop/db']);
  assert.deepEqual(applied, [
    ['node-1', ['web', 'db']],
    ['node-1', ['db']],
  ]);
});

test('an equal sync changes nothing', async () => {
  const { sync, applied } = await registryOver();
  await sync('node-1', [web]);
  assert.deepEqual(await sync('node-1', [web]), ['uid/shop/web']);
  assert.equal(applied.length, 1);
});

test("only the node's own agent may speak for it", async () => {
  const { sync } = await registryOver();
  await assert.rejects(sync('node-1', [web], agentOf('node-2')), { status: 'permission-denied' });
  await assert.rejects(
    sync('node-1', [web], { namespace: 'shop', serviceAccount: 'web', node: null, grant: null, untilMs: null }),
    {
      status: 'permission-denied',
    },
  );
});

test('after a restart the workloads are there before their agents, whatever the node is called', async () => {
  const store = new MemoryStore();
  const first = await registryOver(store);
  await first.sync('rack/7 ü', [web]);
  const { registry, loaded } = await registryOver(store);
  assert.deepEqual(loaded, [['rack/7 ü', ['web']]]);
  const [kept] = registry.nodes().get('rack/7 ü') ?? [];
  assert.deepEqual(kept, { ...web, node: 'rack/7 ü', addresses: ['10.1.0.1'], nativeTunnel: false });
});

test('a file that cannot be read costs only its node', async () => {
  const store = new MemoryStore();
  await (await registryOver(store)).sync('node-1', [web]);
  store.texts.set('registry/node-2.json', '{');
  assert.deepEqual((await registryOver(store)).loaded, [['node-1', ['web']]]);
});

test('a workload moves to another node once its own is gone, and not before', async () => {
  const store = new MemoryStore();
  await (await registryOver(store)).sync('node-1', [web, db]);
  const here = await registryOver(store, ['node-1']);
  const { refused } = await here.ask('node-2', [web]);
  assert.deepEqual(
    refused.map(({ uid, cause, message }) => [uid, cause, message]),
    [['uid/shop/web', 'name-held', 'shop/web already runs on node "node-1"']],
  );
  const gone = await registryOver(store);
  await gone.sync('node-2', [web]);
  assert.deepEqual(gone.applied.slice(-2), [
    ['node-1', ['db']],
    ['node-2', ['web']],
  ]);
});

test('a full disk does not keep a workload from starting, but is told', async () => {
  const store = new MemoryStore();
  store.write = async () => {
    throw new Error('no space left on device');
  };
  const { registry, sync } = await registryOver(store);
  assert.deepEqual(await sync('node-1', [web]), ['uid/shop/web']);
  assert.equal(registry.problem(), 'no space left on device');
});

const refused: { name: string; workloads: WorkloadInit[]; says: RegExp }[] = [
  { name: 'no name', workloads: [{ ...web, name: '' }], says: /name "" is not a name/ },
  { name: 'a namespace with a slash', workloads: [{ ...web, namespace: 'a/b' }], says: /namespace "a\/b"/ },
  {
    name: 'a service account that would forge an identity',
    workloads: [{ ...web, serviceAccount: 'x/../admin' }],
    says: /serviceAccount/,
  },
  { name: 'an address that is none', workloads: [{ ...web, addresses: ['10.0.0.300'] }], says: /"10.0.0.300" is not an IP/ },
  { name: 'a name twice', workloads: [web, web], says: /listed twice/ },
];
for (const { name, workloads, says } of refused) {
  test(`a workload with ${name} is refused by name and nothing changes`, async () => {
    const { sync, applied } = await registryOver();
    await assert.rejects(sync('node-1', workloads), { status: 'invalid-argument', message: says });
    assert.deepEqual(applied, []);
  });
}

test('without a service account it is the default one', async () => {
  const { registry, sync } = await registryOver();
  await sync('node-1', [db]);
  assert.equal(registry.nodes().get('node-1')?.[0]?.serviceAccount, 'default');
});

test('a kept text that is no list of workloads is null', () => {
  for (const text of ['', '{}', '[1]', '[]', '{"node":"a","workloads":[]}']) assert.equal(parseRegistration(text), null, text);
});

test('an address moves to another node once that of its workload is gone, and not before', async () => {
  const store = new MemoryStore();
  await (await registryOver(store)).sync('node-1', [web, db]);
  const thief = { ...web, name: 'thief', serviceAccount: 'thief' };
  const here = await registryOver(store, ['node-1']);
  const { refused } = await here.ask('node-2', [thief]);
  assert.deepEqual(
    refused.map(({ cause, message }) => [cause, message]),
    [['address-held', '10.1.0.1 is the address of shop/web on node "node-1"']],
  );
  assert.deepEqual([here.applied, here.told], [[], ['node-2 address-held']]);
  const gone = await registryOver(store);
  await gone.sync('node-2', [thief]);
  assert.deepEqual(gone.applied.slice(-2), [
    ['node-1', ['db']],
    ['node-2', ['thief']],
  ]);
});

test('what is refused keeps nothing else of the node out of the mesh, and is told once while it stands', async () => {
  const { ask, applied, told, registry } = await registryOver();
  const narrow = agentOf('node-1', { ...ANYTHING, identities: ['shop/web'] });
  const workloads = [web, { ...db, name: 'invented', serviceAccount: 'admin' }];
  const outcomes = [await ask('node-1', workloads, narrow), await ask('node-1', workloads, narrow)];
  for (const { uids, refused } of outcomes) {
    assert.deepEqual(uids, ['uid/shop/web', 'uid/shop/invented']);
    assert.deepEqual(
      refused.map(({ uid, cause }) => [uid, cause]),
      [['uid/shop/invented', 'identity-not-granted']],
    );
  }
  assert.deepEqual([applied, told], [[['node-1', ['web']]], ['node-1 identity-not-granted']]);
  assert.match(registry.refusals()[0] ?? '', /node node-1 was refused: .*shop\/admin/);
  await ask('node-1', [web], narrow);
  assert.deepEqual(registry.refusals(), []);
});

test('a narrower token takes what it does not name out of the mesh as soon as its node connects', async () => {
  const { sync, applied, registry } = await registryOver();
  await sync('node-1', [web, db]);
  await registry.recheck(agentOf('node-1', { ...ANYTHING, identities: ['shop/web'] }));
  await registry.recheck(agentOf('node-7'));
  assert.deepEqual(applied.slice(1), [['node-1', ['web']]]);
  await registry.recheck(agentOf('node-1', null));
  assert.deepEqual(applied.slice(2), [['node-1', []]]);
});

test('what lay on the disk is judged as if it came over the network', async () => {
  const store = new MemoryStore();
  const first = await registryOver(store);
  await first.sync('node-1', [web]);
  await first.sync('node-2', [db]);
  const change = (file: string, from: string, to: string) =>
    store.texts.set(file, (store.texts.get(file) ?? '').replaceAll(from, to));
  change('registry/node-2.json', '10.1.0.2', '10.1.0.1');
  assert.deepEqual((await registryOver(store, ['node-1', 'node-2'])).loaded, [
    ['node-1', ['web']],
    ['node-2', []],
  ]);
  change('registry/node-1.json', '"*/*"', '"bank/*"');
  assert.deepEqual((await registryOver(store)).loaded[0], ['node-1', []]);
  change('registry/node-2.json', '"shop"', '"a/b"');
  assert.equal((await registryOver(store)).loaded.length, 1);
});

test("a node's own addresses are no workload's, as far as its token covers them", async () => {
  const { ask } = await registryOver();
  const grant = { ...ANYTHING, addresses: ['10.1.0.0/24'] };
  await ask('node-1', [], agentOf('node-1', grant), ['10.1.0.1', '10.2.0.1']);
  const { refused } = await ask('node-2', [web, { ...db, addresses: ['10.2.0.1'] }]);
  assert.deepEqual(
    refused.map(({ cause, message }) => [cause, message]),
    [['address-of-node', '10.1.0.1 is an address of node "node-1" itself']],
  );
});

test('C71: what the replica that leads has kept is taken as it is, and what it keeps no more is gone', async () => {
  const { store, sync } = await registryOver();
  await sync('node-1', [web]);
  const [name = '', text = ''] = [...store.texts][0] ?? [];
  const { registry } = await registryOver();
  const names = (changes: Map<string, string | null>) =>
    [...registry.adopt(changes)].map(([node, list]) => `${node} ${list.map((one) => one.name).join()}`);
  assert.deepEqual(names(new Map([[name, text]])), ['node-1 web']);
  assert.equal(registry.nodes().get('node-1')?.length, 1);
  assert.deepEqual(names(new Map([[name, null]])), ['node-1 ']);
  assert.equal(registry.nodes().has('node-1'), false);
});

test('C70: who is told while it writes that another replica leads says so to the node', async () => {
  const { store, sync } = await registryOver();
  store.write = async () => {
    throw notLeader('10.0.0.2:15012');
  };
  await assert.rejects(sync('node-1', [web]), { code: 'WEFT_NOT_LEADER', message: /10\.0\.0\.2:15012/ });
});
