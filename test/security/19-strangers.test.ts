import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { PORT } from '#model/mesh/ports.ts';
import { DOOR } from '#model/settings/doors.ts';
import type { OpenStream, Probe } from '#testbed/apps/probe-client.ts';
import { ALPHA_FROM_OUTSIDE, CONTROL_HOST, nodeOf, OUTSIDE_4 } from '#testbed/nodes/plan.ts';
import { asHost, inNetns } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { AttackedMesh, serviceYaml } from './mesh.testing.ts';

const VIP = '10.96.19.1';
const FLOOD = new URL('./apps/idle-flood.ts', import.meta.url).pathname;
const FLOOD_WAIT_MS = 15_000;
/** Fewer in `make test`, where the machine is shared: what holds is the same. */
const FULL = process.env.WEFT_ATTACK === 'full' ? 1 : 0.3;
/** Of the mesh's range, and of no node's pool. */
const MESH_RANGE = '10.89.7';

/** Descriptors that a part of the mesh has beside those of strangers, generously. */
const BESIDES = 300;

type Flood = { stop(): Promise<void> };

/** What strangers cost a process, as the kernel counts it: what the flood has open may still wait to be accepted. */
function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

describe('strangers at the ports of the mesh', () => {
  let mesh: AttackedMesh;
  let client: Probe;
  let stream: OpenStream;
  let target = '';
  before(async () => {
    mesh = await AttackedMesh.up({ 'server.yaml': serviceYaml('server', VIP) });
    [client] = await Promise.all([mesh.probe('client', 'beta'), mesh.echo('server', 'alpha')]);
    const opened = await client.stream({ host: VIP, port: 7 });
    assert.ok(typeof opened !== 'string', String(opened));
    stream = opened;
    const [server] = (await mesh.status('alpha')).enrolled.filter(({ name }) => name === 'server');
    target = server?.addresses.find((ip) => !ip.includes(':')) ?? '';
  });
  after(() => mesh?.down());

  /** Floods from a namespace until it has opened `atLeast` connections; it goes on until it is stopped. */
  const flood = async (netns: string, host: string, port: number, sources: string[], count: number): Promise<Flood> => {
    const plan = JSON.stringify({ host, port, sources, count });
    const command = asHost(mesh.plan, inNetns(netns, [process.execPath, FLOOD, plan]));
    const name = `flood-${port}-${sources.length}`;
    const child = mesh.lab.spawn({ name, command, logPath: join(mesh.plan.logDir, `${name}.log`) });
    let opened = 0;
    child.onLine((line) => {
      ({ opened } = JSON.parse(line) as { opened: number });
    });
    await waitUntil(`a flood of ${count}`, FLOOD_WAIT_MS, async () => opened >= count);
    return { stop: async () => void (await child.stop()) };
  };

  /** A tunnel of an identity that has none yet, opened at the first try. */
  const newTunnel = async (name: string): Promise<void> => {
    const probe = await mesh.probe(name, 'beta');
    const { error } = await probe.connect({ host: VIP, port: 7 });
    assert.equal(error, null, `${name} is refused while strangers flood`);
  };

  const ticks = async (): Promise<void> => {
    const { ticksEchoed: before } = await stream.state();
    await waitUntil('the open connection to go on', FLOOD_WAIT_MS, async () => (await stream.state()).ticksEchoed > before);
  };

  test('S19: thousands of idle connections from one host at 15008: new tunnels open at once, old ones go on', async () => {
    const attack = await flood(mesh.plan.outsideNetns, target, PORT.hbone, [OUTSIDE_4], 8_000 * FULL);
    await newTunnel('late');
    await ticks();
    assert.ok(descriptors(mesh.lab.agent('alpha').pid) < DOOR.waitingMax + BESIDES);
    await attack.stop();
    assert.match(await mesh.log('alpha'), /HBONE connection closed: .* src\.addr=198\.51\.100\.10:\d+ .*why=(too-fast|evicted)/);
  });

  test('S19: floods of 100 addresses of the mesh’s range: a known node’s new tunnel gets through', async () => {
    const sources = Array.from({ length: 100 }, (_, at) => `${MESH_RANGE}.${at + 1}`);
    const { netns } = nodeOf(mesh.plan, 'alpha');
    const add = sources.map((ip) => `ip address add ${ip}/32 dev lo`).join(' && ');
    assert.equal((await mesh.outside(['sh', '-c', add])).code, 0);
    const back = ALPHA_FROM_OUTSIDE[4].replace(/2$/, '1');
    assert.equal((await mesh.onNode('alpha', ['ip', 'route', 'add', `${MESH_RANGE}.0/24`, 'via', back])).code, 0, netns);
    const attack = await flood(mesh.plan.outsideNetns, target, PORT.hbone, sources, 6_000 * FULL);
    await newTunnel('later');
    await ticks();
    assert.ok(descriptors(mesh.lab.agent('alpha').pid) < DOOR.waitingMax + BESIDES);
    await attack.stop();
  });

  test('S19: thousands of idle connections at 15012: agents register on, and the idle are not kept', async () => {
    const stranger = '10.90.2.77';
    assert.equal((await mesh.onNode('beta', ['ip', 'address', 'add', `${stranger}/24`, 'dev', 'mgmt'])).code, 0);
    const attack = await flood(nodeOf(mesh.plan, 'beta').netns, CONTROL_HOST, PORT.control, [stranger], 5_000 * FULL);
    assert.ok(descriptors(mesh.lab.control.pid) < DOOR.waitingMax + BESIDES);
    await mesh.probe('registered', 'beta');
    await mesh.lab.restart('alpha', 'SIGKILL');
    assert.equal((await mesh.status('alpha')).controlPlane.connected, true);
    await attack.stop();
    assert.match(await mesh.log('control'), /connection to the control plane closed: .*peer=10\.90\.2\.77/);
  });
});
