import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { scratch, weft } from '#main/weft-process.testing.ts';
import type { Registration } from '#model/mesh/registration.ts';
import { etcdCluster, until } from '#platform/etcd/cluster.testing.ts';
import { RegistryClient } from '#platform/grpc/control-clients.ts';
import { ANYTHING, closeAfter, follower } from './control-rig.testing.ts';
import { endpointAt, leaderOf, putResource, type ReplicaProcess, replicaProcess, standing } from './replicas.testing.ts';

// Three control planes over an etcd of three members, all of them processes: what one case ends is back before the next.

const PREFIX = 'mesh';
const SERVICE = (name: string) => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: { selector: { app: ${name} }, ports: [{ name: http, port: 80 }] }`;
const POLICY = (port: string) => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: p, namespace: shop }
spec: { selector: { matchLabels: { app: a } }, action: DENY, rules: [{ to: [{ operation: { ports: ["${port}"] } }] }] }`;
const workload = (name: string, ip: string): Registration => ({
  name,
  namespace: 'shop',
  serviceAccount: 'a',
  addresses: [ip],
  labels: { app: 'a' },
  enrolled: true,
  nativeTunnel: false,
});

test('several control planes over one etcd', async (t) => {
  const etcd = await etcdCluster(t);
  const begin = (address?: string) => replicaProcess(t, etcd, PREFIX, address);
  const replicas = await Promise.all([begin(), begin(), begin()]);
  let leader = await leaderOf(replicas, 10_000);
  const followers = () => replicas.filter((one) => one !== leader);
  const clients = new Map<ReplicaProcess, ReturnType<typeof follower>>();
  const clientAt = async (t: TestContext, replica: ReplicaProcess, node: string) => {
    const client = follower(t, await endpointAt(leader, replica.address, node, ANYTHING), { node });
    await client.client.synced;
    return client;
  };
  for (const [at, replica] of replicas.entries()) clients.set(replica, await clientAt(t, replica, `watcher-${at}`));
  const registryAt = async (t: TestContext, { address }: Pick<ReplicaProcess, 'address'>, node: string) => {
    const registry = new RegistryClient(await endpointAt(leader, address, node, ANYTHING), node);
    closeAfter(t, registry);
    return registry;
  };
  const everywhere = (what: string, holds: (client: ReturnType<typeof follower>) => boolean) =>
    until(what, async () => {
      const missing = [...clients].filter(([, client]) => !holds(client)).map(([{ address }]) => address);
      assert.deepEqual(missing, []);
    });

  await t.test('C70: one leads, and all say who; each knows the others', async () => {
    for (const replica of replicas) {
      const { role, leader: named, members, store, revision } = await standing(replica);
      assert.equal(role, replica === leader ? 'leader' : 'follower');
      assert.equal(named, leader.address);
      assert.deepEqual(members, replicas.map(({ address }) => address).sort());
      assert.match(store, /^etcd:\/\/127\.0\.0\.1:\d+,.*\/mesh$/);
      assert.ok(Number(revision) > 0);
    }
  });

  await t.test('a resource in etcd is served by all, with the same addresses', async () => {
    await putResource(etcd, PREFIX, 'core/Service/shop/a', SERVICE('a'));
    await putResource(etcd, PREFIX, 'security.istio.io/AuthorizationPolicy/shop/p', POLICY('81'));
    const key = 'shop/a.shop.svc.cluster.local';
    await everywhere('the service and the policy', ({ services, policies }) => services.has(key) && policies.size === 1);
    const addresses = [...clients.values()].map(({ services }) => services.get(key)?.addresses.map(String).join());
    assert.equal(new Set(addresses).size, 1);
    assert.match(addresses[0] ?? '', /240\.240\./);
  });

  await t.test('weft apply at any of them writes into etcd, and weft delete takes it away', async (t) => {
    const [{ socket } = leader] = followers();
    const file = join(scratch(t), 'b.yaml');
    await writeFile(file, SERVICE('b'));
    const applied = await weft('apply', '-f', file, '--socket', socket);
    assert.equal(applied.code, 0, applied.err);
    assert.match(await etcd.ctl('get', `${PREFIX}/resources/service/shop/b`), /kind: Service/);
    await everywhere('the service', ({ services }) => services.has('shop/b.shop.svc.cluster.local'));
    assert.match((await weft('get', 'service', '--namespace', 'shop', '--socket', socket)).out, /\bb\b/);
    const deleted = await weft('delete', '-f', file, '--socket', socket);
    assert.equal(deleted.code, 0, deleted.err);
    assert.equal(await etcd.ctl('get', `${PREFIX}/resources/service/shop/b`), '');
    await everywhere('its end', ({ services }) => !services.has('shop/b.shop.svc.cluster.local'));
  });

  await t.test(
    'config-api 3.10: a policy that becomes invalid keeps its last good version, also at one that starts anew',
    async (t) => {
      await putResource(etcd, PREFIX, 'security.istio.io/AuthorizationPolicy/shop/p', POLICY('x'));
      await until('the finding', async () => {
        const { findings } = await leader.api.status();
        assert.ok(
          findings.some(({ message }) => message.includes('the last good version stays in force')),
          JSON.stringify(findings),
        );
      });
      const another = await replicaProcess(t, etcd, PREFIX);
      const client = await clientAt(t, another, 'watcher-9');
      assert.equal(client.policies.size, 1);
      const [policy] = client.policies.values();
      assert.deepEqual(policy, [...(clients.get(leader)?.policies.values() ?? [])][0]);
      another.process.child.kill('SIGTERM');
      await another.process.ended;
      await putResource(etcd, PREFIX, 'security.istio.io/AuthorizationPolicy/shop/p', POLICY('81'));
    },
  );

  await t.test(
    'C70, C71: who does not lead registers nothing and says who does; what the leader registers all serve',
    async (t) => {
      const [other = leader] = followers();
      const refused = await registryAt(t, other, 'node-1');
      await assert.rejects(refused.sync([workload('w1', '10.1.0.1')], []), (error: Error) => {
        assert.match(error.message, /UNAVAILABLE: this control plane does not lead/);
        return error.message.includes(leader.address);
      });
      const registry = await registryAt(t, leader, 'node-1');
      await registry.sync([workload('w1', '10.1.0.1')], []);
      await everywhere('the workload', ({ workloads }) => [...workloads.keys()].some((name) => name.endsWith('/w1')));
    },
  );

  await t.test(
    'C72: a node that has its stream at another replica is alive: its names and addresses are not taken over',
    async (t) => {
      const [other = leader] = followers();
      await clientAt(t, other, 'node-1');
      const registry = await registryAt(t, leader, 'node-2');
      await until('the other replica to tell of the node', async () => {
        const { refused } = await registry.sync([workload('w1', '10.1.0.1')], []);
        assert.equal(refused.length, 1);
        assert.match(refused[0]?.message ?? '', /already runs on node "node-1"/);
      });
    },
  );

  await t.test('C71: revoked by the leader, a token is refused by all, and its stream ends', async (t) => {
    const [other = leader] = followers();
    const client = await clientAt(t, other, 'node-3');
    await leader.api.revoke('node-3');
    await until('the end of the stream', async () => assert.equal(client.client.status().connected, false));
    await until('a refusal', async () => assert.match(client.client.status().error ?? '', /UNAUTHENTICATED/));
  });

  await t.test('C77: the leader begins to replace the root, and all trust both; a follower does not begin one', async () => {
    const [other = leader] = followers();
    await assert.rejects(other.api.rotateRoot(), { code: 'WEFT_NOT_LEADER' });
    const before = [...clients.values()].map(({ connects }) => connects());
    const { roots } = await leader.api.rotateRoot();
    assert.equal(roots.length, 2);
    await until('both roots everywhere', async () => {
      for (const replica of replicas) {
        const told = await replica.api.ca();
        assert.deepEqual([told.rotation, told.roots], ['distributing', roots]);
      }
    });
    assert.deepEqual(
      [...clients.values()].map(({ connects }) => connects()),
      before,
    );
  });

  await t.test('one member of etcd is killed: reading and writing go on, and no stream ends', async (t) => {
    const before = [...clients.values()].map(({ connects }) => connects());
    const at = await etcd.leader();
    await etcd.kill(at);
    const registry = await registryAt(t, leader, 'node-1');
    await until('a registration', () => registry.sync([workload('w2', '10.1.0.2')], []), 5_000);
    await everywhere('what was registered', ({ workloads }) => [...workloads.keys()].some((name) => name.endsWith('/w2')));
    assert.deepEqual(
      [...clients.values()].map(({ connects }) => connects()),
      before,
    );
    await etcd.restart(at);
  });

  await t.test('C74: agents that know all of them register with the one that leads, whichever they began with', async (t) => {
    const all = replicas.map(({ address }) => address).join();
    const registries = [1, 2, 3, 4, 5].map(() => registryAt(t, { address: all }, 'node-6'));
    for (const registry of await Promise.all(registries)) await registry.sync([workload('w6', '10.1.0.66')], []);
    await everywhere('the workload', ({ workloads }) => [...workloads.keys()].some((name) => name.endsWith('/w6')));
  });

  await t.test(
    'C74: an agent whose control plane is killed goes on at another one, and is told again only what changed',
    async (t) => {
      const [near = leader, far = leader] = followers();
      const endpoint = await endpointAt(leader, [near, far].map(({ address }) => address).join(), 'node-7', ANYTHING);
      const { client, deltas, connects, until: knows, workloads } = follower(t, endpoint, { node: 'node-7' });
      await client.synced;
      const here = (await near.api.status()).connections.some(({ node }) => node === 'node-7') ? near : far;
      const before = deltas.length;
      here.process.child.kill('SIGKILL');
      const killedMs = Date.now();
      await knows(() => connects() === 2);
      t.diagnostic(`at another one after ${Date.now() - killedMs} ms`);
      clients.get(here)?.client.stop();
      clients.delete(here);
      const registry = await registryAt(t, leader, 'node-7');
      await registry.sync([workload('w7', '10.1.0.7')], []);
      await knows(() => [...workloads.keys()].some((name) => name.endsWith('/w7')));
      const told = deltas
        .slice(before)
        .flatMap((delta) => [...delta.workloads.keys(), ...delta.services.keys(), ...delta.policies.keys()]);
      assert.deepEqual([...new Set(told.map((name) => name.slice(name.lastIndexOf('/'))))], ['/w7']);
      replicas[replicas.indexOf(here)] = await begin(here.address);
      await leaderOf(replicas, 5_000);
    },
  );

  await t.test(
    'the leader is killed: another one writes within 5 s, all that was kept is there, and the others serve on',
    async (t) => {
      leader = await leaderOf(replicas, 10_000);
      const killed = leader;
      const rest = followers();
      const before = rest.map((replica) => clients.get(replica)?.connects());
      killed.process.child.kill('SIGKILL');
      const endMs = Date.now();
      leader = await leaderOf(rest, 5_000);
      const registry = await registryAt(t, leader, 'node-4');
      assert.deepEqual((await registry.sync([workload('w4', '10.1.0.4')], [])).refused, []);
      const tookMs = Date.now() - endMs;
      t.diagnostic(`writes went on after ${tookMs} ms`);
      assert.ok(tookMs < 5_000, `${tookMs} ms`);
      clients.get(killed)?.client.stop();
      clients.delete(killed);
      await everywhere('all workloads', ({ workloads }) =>
        ['w2', 'w4'].every((name) => [...workloads.keys()].some((one) => one.endsWith(`/${name}`))),
      );
      assert.deepEqual(
        rest.map((replica) => clients.get(replica)?.connects()),
        before,
      );
      replicas[replicas.indexOf(killed)] = await begin(killed.address);
      await leaderOf(replicas, 5_000);
    },
  );

  await t.test('C70: a leader that stood still for too long cannot write when it goes on, and follows', async (t) => {
    const former = leader;
    const registry = await registryAt(t, former, 'node-5');
    former.process.child.kill('SIGSTOP');
    t.after(() => former.process.child.kill('SIGCONT'));
    leader = await leaderOf(followers(), 8_000);
    const next = await registryAt(t, leader, 'node-5');
    await next.sync([workload('new', '10.1.0.5')], []);
    former.process.child.kill('SIGCONT');
    await assert.rejects(registry.sync([workload('old', '10.1.0.6')], []), /UNAVAILABLE/);
    await leaderOf(replicas, 5_000);
    const kept = await etcd.ctl('get', `${PREFIX}/state/registry/node-5.json`);
    assert.ok(kept.includes('"new"') && !kept.includes('"old"'), kept);
  });

  await t.test(
    'C73: with most members of etcd gone nobody writes, and all serve what they know; it goes on when they are back',
    async (t) => {
      const client = await clientAt(t, leader, 'node-8');
      const registry = await registryAt(t, leader, 'node-8');
      await registry.sync([workload('w8', '10.1.0.8')], []);
      const endpoint = await endpointAt(leader, leader.address, 'node-9', ANYTHING);
      for (const at of [0, 1]) await etcd.kill(at);
      await until('the end of all leading', async () => {
        for (const replica of replicas) assert.equal((await standing(replica)).role, 'follower');
      });
      await assert.rejects(registry.sync([workload('lost', '10.1.0.9')], []), /UNAVAILABLE/);
      const late = follower(t, endpoint, { node: 'node-9' });
      await late.client.synced;
      assert.equal(late.workloads.size, client.workloads.size);
      assert.deepEqual([client.client.status().connected, client.connects()], [true, 1]);
      await Promise.all([0, 1].map((at) => etcd.restart(at)));
      leader = await leaderOf(replicas, 15_000);
      const next = await registryAt(t, leader, 'node-8');
      await next.sync([workload('w9', '10.1.0.9')], []);
      await until('what was registered', async () => assert.ok([...late.workloads.keys()].some((name) => name.endsWith('/w9'))));
    },
  );

  await t.test('a leader that is told to stop hands over at once', async () => {
    const former = leader;
    former.process.child.kill('SIGTERM');
    await former.process.ended;
    leader = await leaderOf(followers(), 2_000);
  });
});
