import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type App, Bed } from './bed.ts';
import { agentOn, policyDelta, serviceDelta, workload, workloadDelta } from './mesh.ts';

/** Paths of one node, on the real kernel: bytes from app to app, verdicts, refusals, presented addresses. */
describe('paths of one node', () => {
  const bed = new Bed();
  let agent: ReturnType<typeof agentOn>['agent'];
  let stop: () => void = () => {};
  let client: App;
  let counters: () => Record<string, number>;
  const a = bed.host(1);
  const b = bed.host(2);
  const outsider = bed.host(3);
  const vip4 = '240.240.0.9';
  const vip6 = '2001:2::9';
  const shop = workload({ uid: 'k//Pod/shop/a', name: 'a', serviceAccount: 'a', addresses: [a.ip4, a.ip6] });
  const cart = workload({
    uid: 'k//Pod/shop/b',
    name: 'b',
    serviceAccount: 'b',
    addresses: [b.ip4, b.ip6],
    services: { 'shop/cart.mesh': [[80, 8080]] },
  });

  before(async () => {
    ({ agent, stop, counters } = agentOn(bed));
    const server = bed.app(b.netnsPath, 'echo-server', { port: 8080 });
    client = bed.app(a.netnsPath, 'line-client');
    assert.equal(await server.line(), 'listening');
    assert.equal(await client.line(), 'ready');
    await agent.enroll({ ...shop.request, netnsPath: a.netnsPath });
    await agent.enroll({ ...cart.request, netnsPath: b.netnsPath });
    agent.applyMesh(
      { ...workloadDelta(shop.workload, cart.workload), ...serviceDelta('cart.mesh', [vip4, vip6], [[80, 8080]]) },
      true,
    );
  });
  after(async () => {
    stop();
    await bed.down();
  });

  const dial = async (host: string, port: number): Promise<string> => {
    client.send(`connect ${host} ${port}`);
    return client.line();
  };
  const hangUp = async (): Promise<void> => {
    client.send('close');
    assert.equal(await client.line(), 'closed');
  };

  for (const [family, vip, ip] of [
    ['IPv4', vip4, a.ip4],
    ['IPv6', vip6, a.ip6],
  ] as const) {
    test(`direct over ${family}: the client sees the VIP, the server the client, and the agent carries nothing`, async () => {
      const before = counters();
      const [state, remote, port, local, localPort] = (await dial(vip, 80)).split(' ');
      assert.deepEqual([state, remote, port, local], ['connected', vip, '80', ip]);
      client.send('send who');
      assert.equal((await client.line()).replace('::ffff:', ''), `data ${ip} ${localPort}`);
      assert.equal(counters().direct, (before.direct ?? 0) + 1);
      assert.equal(counters().inbound_attested, (before.inbound_attested ?? 0) + 1);
      assert.equal(agent.carried, 0);
      await hangUp();
    });
  }

  test('a port the service does not have is refused, never let out to the VIP', async () => {
    assert.equal(await dial(vip4, 81), 'error ECONNREFUSED');
    assert.equal(await client.line(), 'closed');
  });

  test('without a cached verdict one connection goes through the agent, the next one direct', async () => {
    for (const [key] of agent.kernelMaps().verdicts.entries()) agent.kernelMaps().verdicts.delete(key);
    const [state, , , , localPort] = (await dial(vip4, 80)).split(' ');
    assert.equal(state, 'connected');
    client.send('send who');
    assert.equal(
      (await client.line()).replace('::ffff:', ''),
      `data ${a.ip4} ${localPort}`,
      'the app sees the client, not the agent',
    );
    assert.equal(agent.carried, 1);
    await hangUp();
    const before = counters().direct ?? 0;
    await dial(vip4, 80);
    assert.equal(counters().direct, before + 1);
    await hangUp();
  });

  test('B49: a new DENY closes a live direct connection and refuses the next with ECONNREFUSED; removing it lets in again', async () => {
    await dial(vip4, 80);
    agent.applyMesh(policyDelta('no-a', 'deny', 'cluster.local/ns/shop/sa/a'), true);
    assert.equal(await client.line(), 'error ECONNABORTED');
    assert.equal(await client.line(), 'closed');
    assert.equal(await dial(vip4, 80), 'error ECONNREFUSED');
    assert.equal(await client.line(), 'closed');
    agent.applyMesh(policyDelta('no-a', null, ''), true);
    assert.match(await dial(vip4, 80), /^connected/);
    await hangUp();
  });

  test('plain text from outside the mesh reaches the app while nothing restricts it, and is refused under STRICT', async () => {
    const stranger = bed.app(outsider.netnsPath, 'line-client', { captured: false });
    await stranger.line();
    stranger.send(`connect ${b.ip4} 8080`);
    assert.match(await stranger.line(), /^connected/);
    agent.applyMesh(policyDelta('strict', 'deny', null), true);
    assert.equal(await stranger.line(), 'error ECONNRESET', 'the open connection is closed');
    assert.equal(await stranger.line(), 'closed');
    stranger.send(`connect ${b.ip4} 8080`);
    assert.equal(await stranger.line(), 'error ECONNREFUSED');
    assert.equal(await stranger.line(), 'closed');
    assert.match(await dial(vip4, 80), /^connected/, 'an attested flow has an identity');
    await hangUp();
    agent.applyMesh(policyDelta('strict', null, ''), true);
  });

  test('the agent ports of a workload cannot be used from outside, nor without the kernel having captured the connection', async () => {
    const stranger = bed.app(outsider.netnsPath, 'line-client', { captured: false });
    await stranger.line();
    for (const port of [15001, 15006, 15053]) {
      stranger.send(`connect ${b.ip4} ${port}`);
      assert.equal(await stranger.line(), 'error ECONNREFUSED', String(port));
      assert.equal(await stranger.line(), 'closed');
    }
    client.send(`connect ${a.ip4} 15001`);
    const first = await client.line(); // the reset may overtake the news of the connection
    assert.equal(first.startsWith('connected') ? await client.line() : first, 'error ECONNRESET');
    assert.equal(await client.line(), 'closed');
  });

  test('a process outside the cgroup is not captured', async () => {
    const bystander = bed.app(outsider.netnsPath, 'line-client', { captured: false });
    await bystander.line();
    const before = counters();
    bystander.send(`connect ${a.ip4} 9`);
    assert.equal(await bystander.line(), 'error ECONNREFUSED');
    assert.equal(counters().refused, before.refused);
  });
});
