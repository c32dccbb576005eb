import assert from 'node:assert/strict';
import test from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Caller } from '#control-plane/authentication/authenticator.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { MemoryStore } from '#model/effects/memory-store.testing.ts';
import type { RegisteredWorkload } from '#model/mesh/registration.ts';
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

function agentOf(node: string): Caller {
  return { namespace: 'weft-system', serviceAccount: 'weft-agent', node };
}

async function registryOver(store = new MemoryStore(), connected: string[] = []) {
  const applied: [string, string[]][] = [];
  const registry = new NodeRegistry({
    store,
    log: SILENT_LOG,
    apply: (nodes) => applied.push(...[...nodes].map(([node, list]): [string, string[]] => [node, list.map(({ name }) => name)])),
    uidOf: ({ namespace, name }: RegisteredWorkload) => `uid/${namespace}/${name}`,
    isConnected: (node) => connected.includes(node),
  });
  const loaded = [...(await registry.load())].map(([node, list]): [string, string[]] => [node, list.map(({ name }) => name)]);
  const sync = (node: string, workloads: WorkloadInit[], caller = agentOf(node)) =>
    registry.sync(caller, create(SyncWorkloadsRequestSchema, { node, workloads }));
  return { registry, store, applied, loaded, sync };
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
  await assert.rejects(sync('node-1', [web], { namespace: 'shop', serviceAccount: 'web', node: null }), {
    status: 'permission-denied',
  });
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
  await assert.rejects(here.sync('node-2', [web]), {
    status: 'invalid-argument',
    message: 'shop/web already runs on node "node-1"',
  });
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
  for (const text of ['', '{}', '[1]', '[{"name":"a"}]']) assert.equal(parseRegistration(text), null, text);
});
