import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import { createTestCa } from '#platform/hbone/test-ca.testing.ts';
import { type App, Bed } from './bed.testing.ts';
import { Configured, pod, service } from './configured.testing.ts';
import { agentOn } from './mesh.testing.ts';

const REGION = 'topology.kubernetes.io/region';
const ZONE = 'topology.kubernetes.io/zone';

function node(name: string, region: string, zone: string): string {
  return `{ apiVersion: v1, kind: Node, metadata: { name: ${name}, labels: { ${REGION}: ${region}, ${ZONE}: ${zone} } } }`;
}

/** What users write of nodes and services, carried out by the kernel of the client's node: near1 and near2 are on it, away is on another. */
describe('connections go where they are preferred to go', () => {
  const one = new Bed();
  const two = new Bed();
  const hosts = { client: one.host(1), near1: one.host(2), near2: one.host(3), away: one.host(4), entry: one.host(5) };
  const agents: ReturnType<typeof agentOn>[] = [];
  let mesh: Configured;
  let app: App;

  const heard = async (count = 60, address = mesh.addresses('shop/cart')[0] ?? ''): Promise<Record<string, number>> => {
    app.send(`tally ${count} ${address} 80`);
    return JSON.parse(await app.line()) as Record<string, number>;
  };
  const names = async (): Promise<string> =>
    Object.keys(await heard())
      .sort()
      .join();
  const cart = (spec: string): void => mesh.put(service('cart', { app: 'cart', spec }));
  const inCart = (name: 'near1' | 'near2' | 'away', more: object = {}): string =>
    pod(name, hosts[name], { app: 'cart', node: name === 'away' ? 'two' : 'one', ...more });
  const unready = (document: string): string => document.replace('status: "True"', 'status: "False"');

  before(async () => {
    const ca = await createTestCa();
    agents.push(agentOn(one, { node: 'one', ca }), agentOn(two, { node: 'two', ca }));
    const tell = agents.map(
      ({ agent }) =>
        (delta: MeshDelta) =>
          agent.applyMesh(delta, true),
    );
    mesh = await Configured.start(tell);
    mesh.put(node('one', 'r', 'a'), node('two', 'r', 'b'), pod('client', hosts.client));
    mesh.put(inCart('near1'), inCart('near2'), inCart('away'));
    cart('');
    for (const name of ['client', 'near1', 'near2', 'away'] as const) {
      const { agent } = agents[name === 'away' ? 1 : 0] ?? assert.fail();
      await agent.enroll({ ...mesh.request(name), netnsPath: hosts[name].netnsPath });
    }
    const listening = (['near1', 'near2', 'away'] as const).map((name) =>
      (name === 'away' ? two : one).app(hosts[name].netnsPath, 'greeter', { port: 8080, targets: [name] }).line(),
    );
    listening.push(one.app(hosts.entry.netnsPath, 'greeter', { port: 8080, captured: false, targets: ['entry'] }).line());
    await Promise.all(listening);
    app = one.app(hosts.client.netnsPath, 'tally-client');
    await app.line();
  });
  after(async () => {
    for (const { stop } of agents) stop();
    await one.down();
    await two.down();
  });

  test('without a wish everywhere', async () => {
    cart('');
    assert.equal(await names(), 'away,near1,near2');
  });

  test('B36: PreferSameZone keeps to the zone while anybody is ready there, and then goes on to the next nearest', async () => {
    cart('trafficDistribution: PreferSameZone');
    const before = agents[0]?.counters().captured ?? 0;
    assert.equal(await names(), 'near1,near2');
    assert.equal((agents[0]?.counters().captured ?? 0) - before, 0, 'the kernel draws, the agent carries nothing');
    mesh.put(unready(inCart('near1')));
    assert.equal(await names(), 'near2');
    mesh.put(unready(inCart('near2')));
    assert.equal(await names(), 'away', 'rather than nowhere');
    mesh.put(inCart('near1'), inCart('near2'));
    assert.equal(await names(), 'near1,near2', 'and back');
  });

  test('B36: a node that moves to another zone is in force at once, for its clients and for its endpoints', async () => {
    cart('trafficDistribution: PreferSameZone');
    mesh.put(node('two', 'r', 'a'));
    assert.equal(await names(), 'away,near1,near2', 'one zone for both');
    mesh.put(node('one', 'r', 'c'));
    assert.equal(await names(), 'near1,near2');
    mesh.put(node('two', 'r2', 'c'));
    assert.equal(await names(), 'near1,near2', 'a zone of the same name elsewhere is another one');
    mesh.put(node('one', 'r', 'a'), node('two', 'r', 'b'));
  });

  test('B36: PreferSameNode goes by node within the zone', async () => {
    mesh.put(node('two', 'r', 'a'));
    cart('trafficDistribution: PreferSameNode');
    assert.equal(await names(), 'near1,near2');
    mesh.put(node('two', 'r', 'b'));
  });

  test('B36: internalTrafficPolicy Local is refused where the node has none: never elsewhere', async () => {
    cart('internalTrafficPolicy: Local');
    assert.equal(await names(), 'near1,near2');
    mesh.put(unready(inCart('near1')), unready(inCart('near2')));
    assert.equal(await names(), 'ECONNREFUSED');
    mesh.put(inCart('near1'), inCart('near2'));
  });

  test('B38: publishNotReadyAddresses lets those that are not ready be drawn, within the zone', async () => {
    cart('trafficDistribution: PreferSameZone, publishNotReadyAddresses: true');
    mesh.put(unready(inCart('near1')));
    assert.equal(await names(), 'near1,near2');
    mesh.put(inCart('near1'));
  });

  test('B37: a WorkloadEntry in the zone gets its weight there, one elsewhere nothing', async () => {
    cart('trafficDistribution: PreferSameZone');
    mesh.put(unready(inCart('near2')));
    const entry = (locality: string): string =>
      `{ apiVersion: networking.istio.io/v1, kind: WorkloadEntry, metadata: { name: entry, namespace: shop }, spec: { address: ${hosts.entry.ip4}, labels: { app: cart }, locality: ${locality}, weight: 3 } }`;
    mesh.put(entry('r/b'));
    assert.equal(await names(), 'near1');
    mesh.put(entry('r/a'));
    const { near1 = 0, entry: entered = 0 } = await heard(2_000);
    assert.ok(Math.abs(entered / (near1 + entered) - 0.75) < 0.05, `${near1} ${entered}`);
    mesh.remove('WorkloadEntry shop/entry');
    mesh.put(inCart('near2'));
  });
});
