import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DENY, endpointOf, POD_UID, place, SHOP, started } from '#main/control/control-rig.testing.ts';
import { parseIp } from '#model/address/ip.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { CONFIG_FLAG } from '#model/kernel/abi.ts';
import { type AgentRig, startAgentRig } from '#node-agent/agent-rig.testing.ts';
import { subscribeMesh } from '#node-agent/follow-mesh.ts';
import { serveLocalSocket } from '#platform/local-api/serve-socket.ts';
import { startAgent } from './agent-process.ts';
import type { AgentProcessOptions } from './effects.ts';
import { followMesh } from './following.ts';

const POD_IP = parseIp('10.1.0.7');
const VIP = parseIp('10.96.0.9');

/** An agent without root that follows a real control plane; `until` waits for its changes. */
async function setUp(t: TestContext) {
  const where = await place(t);
  const control = await started(where);
  const rig = startAgentRig({ node: 'node-1' });
  const watchers = new Set<() => void>();
  const tell = (): void => {
    for (const watcher of [...watchers]) watcher();
  };
  const [apply, hear] = [rig.agent.applyMesh.bind(rig.agent), rig.agent.hear.bind(rig.agent)];
  rig.agent.applyMesh = (...change) => {
    apply(...change);
    tell();
  };
  rig.agent.hear = (...change) => {
    hear(...change);
    tell();
  };
  const seen: string[] = [];
  const options = optionsOf(await endpointOf(control, 'node-1'));
  const { discovery, mesh } = await followMesh(options);
  mesh.open(
    subscribeMesh(rig.agent, {
      beforeChange: () => void seen.push(`change at generation ${rig.agent.generation}`),
      connected: () => void seen.push('connected'),
    }),
  );
  t.after(() => discovery.stop());
  const until = (known: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const watcher = (): void => {
        if (!known()) return;
        watchers.delete(watcher);
        resolve();
      };
      watchers.add(watcher);
      watcher();
    });
  return { where, rig, discovery, seen, until };
}

/** Options of an agent of node-1 that lives in `runDir`. */
function optionsOf(control: AgentProcessOptions['control'], runDir = '/nowhere'): AgentProcessOptions {
  return {
    place: {
      node: 'node-1',
      runDir,
      bpffs: join(runDir, 'bpf'),
      cgroup: join(runDir, 'cgroup'),
      pool4: '10.41.0.0/24',
      pool6: 'fd41::/64',
    },
    control,
    replace: false,
    nameservers: [],
    noNatFor: null,
    datagramsClear: false,
    onDemand: false,
    trustDomain: 'cluster.local',
    clusterDomain: 'cluster.local',
    version: '1',
    stats: null,
    health: null,
    admin: null,
    crlFile: null,
    cni: null,
    drain: null,
    readySocket: null,
    threads: 0,
    log: SILENT_LOG,
    mishaps: SILENT_MISHAPS,
  };
}

const incomplete = (rig: AgentRig): boolean => ((rig.kernel.maps.config.get(0)?.flags ?? 0) & CONFIG_FLAG.incomplete) !== 0;

test('the mesh of a real control plane stands in the kernel maps, and they are called whole only then', async (t) => {
  const { rig, discovery, seen, until } = await setUp(t);
  assert.equal(incomplete(rig), true);
  discovery.start();
  await until(() => rig.agent.synced);
  assert.equal(incomplete(rig), false);
  const { maps } = rig.kernel;
  assert.notEqual(maps.addresses.get(POD_IP), null);
  assert.equal(maps.services.get({ ip: VIP, port: 80, protocol: 6 })?.backendCount, 1);
  assert.deepEqual(
    maps.backends.entries().map(([, slot]) => slot),
    [{ ip: POD_IP, port: 8080 }],
  );
  assert.equal(seen.includes('connected'), true);
});

test('an endpoint that goes leaves the slots, a service that goes leaves the map', async (t) => {
  const { rig, discovery, where, until } = await setUp(t);
  discovery.start();
  await until(() => rig.agent.synced);
  const { maps } = rig.kernel;
  const [serviceAlone = ''] = SHOP.split('---');
  await writeFile(join(where.configDir, 'shop.yaml'), serviceAlone);
  await until(() => maps.addresses.get(POD_IP) === null);
  await until(() => maps.services.get({ ip: VIP, port: 80, protocol: 6 })?.backendCount === 0);
  await unlink(join(where.configDir, 'shop.yaml'));
  await until(() => maps.services.entries().length === 0);
});

test('a policy raises the generation, after the events before it were read', async (t) => {
  const { rig, discovery, where, seen, until } = await setUp(t);
  discovery.start();
  await until(() => rig.agent.synced && rig.agent.mesh.workload(POD_UID) !== null);
  const before = rig.agent.generation;
  seen.length = 0;
  await writeFile(join(where.configDir, 'deny.yaml'), DENY);
  await until(() => rig.agent.mesh.counts.policies === 1 && rig.agent.generation > before);
  assert.equal(seen[0], `change at generation ${before}`);
});

test('the control plane is told who asks: the node of the token, in the form of a node proxy', async (t) => {
  const { rig, discovery, until } = await setUp(t);
  discovery.start();
  await until(() => rig.agent.synced);
  assert.deepEqual([discovery.status().connected, discovery.status().error], [true, null]);
});

test('a token that is none is an error of the start, not of a later day', async () => {
  const control = {
    address: '127.0.0.1:1',
    rootsPem: async () => '',
    token: async () => 'nonsense',
    serverName: null,
    clusterId: 'Kubernetes',
  };
  await assert.rejects(followMesh(optionsOf(control)), { code: 'WEFT_CONTROL_TOKEN' });
});

test('an agent that runs already keeps its node: a second one ends before it touches anything', async (t) => {
  const runDir = await mkdtemp(join(tmpdir(), 'weft-agent-'));
  t.after(() => rm(runDir, { recursive: true, force: true }));
  await mkdir(join(runDir, 'node-1'));
  const close = await serveLocalSocket(join(runDir, 'node-1', 'agent.sock'), async (method) =>
    method === 'GET' ? { status: 200, body: { leaving: false } } : { status: 500, body: { code: 'WEFT_ALREADY_RUNNING' } },
  );
  t.after(close);
  const control = {
    address: '127.0.0.1:1',
    rootsPem: async () => '',
    token: async () => '',
    serverName: null,
    clusterId: 'Kubernetes',
  };
  await assert.rejects(startAgent(optionsOf(control, runDir)), { code: 'WEFT_ALREADY_RUNNING' });
  assert.deepEqual([await readdir(runDir), await readdir(join(runDir, 'node-1'))], [['node-1'], ['agent.sock']]);
});
