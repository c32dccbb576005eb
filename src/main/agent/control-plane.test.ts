import assert from 'node:assert/strict';
import { unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DENY, endpointOf, POD_UID, place, SHOP, started } from '#main/control/control-rig.testing.ts';
import { parseIp } from '#model/address/ip.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { CONFIG_FLAG } from '#model/kernel/abi.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import { type AgentRig, startAgentRig } from '#node-agent/agent-rig.testing.ts';
import { followMesh } from './control-plane.ts';

const POD_IP = parseIp('10.1.0.7');
const VIP = parseIp('10.96.0.9');

/** An agent without root that follows a real control plane; `until` waits for its changes. */
async function setUp(t: TestContext) {
  const where = await place(t);
  const control = await started(t, where);
  const rig = startAgentRig({ node: 'node-1' });
  const watchers = new Set<() => void>();
  const apply = rig.agent.applyMesh.bind(rig.agent);
  rig.agent.applyMesh = (delta: MeshDelta, complete: boolean): void => {
    apply(delta, complete);
    for (const watcher of [...watchers]) watcher();
  };
  const seen: string[] = [];
  const options = {
    place: { node: 'node-1', runDir: '', bpffs: '', cgroup: null, pool4: '', pool6: '' },
    control: await endpointOf(control, 'node-1'),
    nameservers: [],
    noNatFor: null,
    trustDomain: 'cluster.local',
    clusterDomain: 'cluster.local',
    version: '1',
    stats: null,
    log: SILENT_LOG,
  };
  const discovery = await followMesh(rig.agent, options, {
    beforeChange: () => void seen.push(`change at generation ${rig.agent.generation}`),
    connected: () => void seen.push('connected'),
  });
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
