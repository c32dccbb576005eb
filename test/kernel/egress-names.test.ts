import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { SILENT_LOG } from '#model/effects/log.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import { DNS } from '#model/settings/dns.ts';
import { createDnsResponder } from '#node-agent/dns/responder.ts';
import type { AgentOptions } from '#node-agent/effects/agent-effects.ts';
import { systemClock } from '#platform/clock.ts';
import { type App, Bed, type Caller } from './bed.testing.ts';
import { Configured, pod } from './configured.testing.ts';
import { agentOn } from './mesh.testing.ts';
import { Nameserver } from './nameserver.testing.ts';

function entry(name: string, hosts: string, port = 15432): string {
  const spec = `{ hosts: [${hosts}], resolution: NONE, ports: [{ name: tcp, number: ${port}, protocol: TCP }] }`;
  return `{ apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: { name: ${name}, namespace: shop }, spec: ${spec} }`;
}
const namespace = (mode: string): string =>
  `{ apiVersion: v1, kind: Namespace, metadata: { name: shop, annotations: { weft.dev/egress: ${mode} } } }`;

/** From a registry-only namespace to hosts that only their names tell from others, on the real kernel with real queries. */
describe('egress by name', () => {
  const bed = new Bed();
  const hosts = { a: bed.host(1), b: bed.host(2), db: bed.host(3) };
  const { db } = hosts;
  const lines: string[] = [];
  const deltas: MeshDelta[] = [];
  let nameserver: Nameserver;
  let node: ReturnType<typeof agentOn>;
  let mesh: Configured;
  let asker: App;
  let caller: Caller;

  const dns: AgentOptions['dns'] = (state, clientOf, around) =>
    createDnsResponder({
      ...{ ...around, view: () => state, clientOf, random: Math.random, clock: systemClock },
      ...{ log: SILENT_LOG, mishaps: SILENT_MISHAPS, limits: DNS },
      names: { clusterDomain: 'cluster.local', searchDomains: null, preferredNamespace: null, ipv6: true },
      async forward(query) {
        const socket = createSocket('udp4');
        socket.send(query, nameserver.port, '127.0.0.1');
        const [reply] = (await once(socket, 'message')) as [Buffer];
        socket.close();
        return reply;
      },
    });
  const start = (): ReturnType<typeof agentOn> =>
    agentOn(bed, { dns, onLine: (fields, message) => void lines.push(`${message} ${JSON.stringify(fields)}`) });
  const enroll = async (): Promise<void> => {
    for (const name of ['a', 'b'] as const) await node.agent.enroll({ ...mesh.request(name), netnsPath: hosts[name].netnsPath });
  };
  const resolved = (name: string): Promise<string> => {
    asker.send(`resolve ${name}`);
    return asker.line();
  };
  /** The line of the log that a refusal leaves. */
  const told = (): string => {
    lines.length = 0;
    node.readEvents();
    return lines.findLast((line) => line.includes('"not-registered"')) ?? 'nothing';
  };
  const reaches = async (port = 15432, from = caller): Promise<void> => {
    assert.equal((await from.dial(db.ip4, port)).split(' ').slice(0, 3).join(' '), `connected ${db.ip4} ${port}`);
    await from.hangUp();
  };

  before(async () => {
    nameserver = await Nameserver.start();
    for (const name of ['db.example.com', 'x.parts.example.com', 'evil.org']) nameserver.records.set(name, [db.ip4]);
    node = start();
    mesh = await Configured.start([
      (delta) => {
        deltas.push(delta);
        node.agent.applyMesh(delta, true);
      },
    ]);
    mesh.put(pod('a', hosts.a), pod('b', hosts.b), namespace('registry-only'));
    await enroll();
    node.takeOver();
    for (const port of [15432, 15433]) await bed.app(db.netnsPath, 'echo-server', { port, captured: false }).line();
    asker = bed.app(hosts.a.netnsPath, 'resolve-client', { targets: ['10.77.0.53'] });
    await asker.line();
    caller = await bed.caller(hosts.a.netnsPath);
  });
  after(async () => {
    node?.stop();
    nameserver?.close();
    await bed.down();
  });

  test('B70: a name that the mesh does not know is answered, opens nothing, and is in the log of what is refused', async () => {
    assert.equal(await resolved('evil.org'), db.ip4);
    assert.equal(await caller.refused(db.ip4, 15432), 'ECONNREFUSED');
    const line = told();
    assert.match(line, new RegExp(`"dst.addr":"${db.ip4}:15432"`));
    assert.match(line, /does not know the destination; it was answered for evil.org"/);
  });

  test('B70: what is answered for the host of a ServiceEntry is reached, by its port, by who asked; each other is refused, and told', async () => {
    mesh.put(entry('db', 'db.example.com'));
    assert.equal(await caller.refused(db.ip4, 15432), 'ECONNREFUSED', 'nobody asked yet');
    assert.equal(await resolved('db.example.com'), db.ip4);
    await reaches();
    assert.equal(await caller.refused(db.ip4, 15433), 'ECONNREFUSED');
    assert.match(told(), /it was answered for db.example.com, which the mesh knows by port 15432"/);
    const neighbour = await bed.caller(hosts.b.netnsPath);
    assert.equal(await neighbour.refused(db.ip4, 15432), 'ECONNREFUSED', 'it has not asked');
    assert.equal(node.agent.carried, 0, 'the kernel does it alone');
  });

  test('B70: the entry takes along what it opened; a wildcard opens what is below it', async () => {
    mesh.remove('ServiceEntry shop/db');
    assert.equal(await caller.refused(db.ip4, 15432), 'ECONNREFUSED');
    mesh.put(entry('parts', '"*.parts.example.com"', 15433));
    assert.equal(await caller.refused(db.ip4, 15433), 'ECONNREFUSED');
    assert.equal(await resolved('x.parts.example.com'), db.ip4);
    await reaches(15433);
    assert.equal(await caller.refused(db.ip4, 15432), 'ECONNREFUSED');
  });

  test('config-api 7.4: what is open goes on when its entry leaves, or when its namespace becomes registry-only; nothing else is let in', async () => {
    const [former, outsider] = [await bed.caller(hosts.a.netnsPath), await bed.caller(hosts.a.netnsPath)];
    mesh.put(entry('db', 'db.example.com'));
    assert.equal(await resolved('db.example.com'), db.ip4);
    assert.match(await former.dial(db.ip4, 15432), /^connected/);
    mesh.remove('ServiceEntry shop/db');
    assert.equal(await caller.refused(db.ip4, 15432), 'ECONNREFUSED');
    mesh.remove('Namespace shop');
    assert.match(await outsider.dial(db.ip4, 15432), /^connected/);
    mesh.put(namespace('registry-only'));
    assert.equal(await caller.refused(db.ip4, 15432), 'ECONNREFUSED');
    for (const open of [former, outsider]) {
      assert.match(await open.say('still here'), /^data /);
      await open.hangUp();
    }
  });

  test('B70: another agent goes on with what was answered, and takes it away when the mesh no longer knows it', async () => {
    node.stop();
    await reaches(15433);
    node = start();
    assert.ok(node.adopted);
    await enroll();
    node.takeOver();
    await reaches(15433);
    for (const delta of deltas) node.agent.applyMesh(delta, false);
    await reaches(15433);
    node.agent.applyMesh({ workloads: new Map(), services: new Map(), policies: new Map() }, true);
    await reaches(15433);
    mesh.remove('ServiceEntry shop/parts');
    assert.equal(await caller.refused(db.ip4, 15433), 'ECONNREFUSED');
  });
});
