import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createTestCa } from '#platform/hbone/test-ca.ts';
import { type App, Bed } from './bed.ts';
import { agentOn, policyDelta, serviceDelta, workload, workloadDelta } from './mesh.ts';

/** Two agents on one kernel, each with its own cgroup and maps: real tunnels between real namespaces. */
describe('tunnels between two nodes', () => {
  const one = new Bed();
  const two = new Bed();
  const a = one.host(1);
  const b = one.host(2);
  const vip4 = '240.240.0.9';
  const vip6 = '2001:2::9';
  const shop = workload({ uid: 'k//Pod/shop/a', name: 'a', serviceAccount: 'a', addresses: [a.ip4, a.ip6], node: 'one' });
  const cart = workload({
    uid: 'k//Pod/shop/b',
    name: 'b',
    serviceAccount: 'b',
    addresses: [b.ip4, b.ip6],
    node: 'two',
    services: { 'shop/cart.mesh': [[80, 8080]] },
  });
  const mesh = { ...workloadDelta(shop.workload, cart.workload), ...serviceDelta('cart.mesh', [vip4, vip6], [[80, 8080]]) };
  let near: ReturnType<typeof agentOn>;
  let far: ReturnType<typeof agentOn>;
  let client: App;

  before(async () => {
    const ca = await createTestCa();
    near = agentOn(one, { node: 'one', ca });
    far = agentOn(two, { node: 'two', ca });
    await near.agent.enroll({ ...shop.request, netnsPath: a.netnsPath });
    await far.agent.enroll({ ...cart.request, netnsPath: b.netnsPath });
    for (const { agent } of [near, far]) agent.applyMesh(mesh, true);
    const server = two.app(b.netnsPath, 'echo-server', { port: 8080 });
    client = one.app(a.netnsPath, 'line-client');
    await server.line();
    await client.line();
  });
  after(async () => {
    near?.stop();
    far?.stop();
    await one.down();
    await two.down();
  });
  const dial = async (host: string): Promise<string> => {
    client.send(`connect ${host} 80`);
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
    test(`B50: over ${family} the app sees the client's own address and port, the client the VIP`, async () => {
      const [state, remote, , local, localPort] = (await dial(vip)).split(' ');
      assert.deepEqual([state, remote, local], ['connected', vip, ip]);
      client.send('send who');
      assert.equal((await client.line()).replace('::ffff:', ''), `data ${ip} ${localPort}`);
      assert.equal(far.agent.carried, 1);
      await hangUp();
    });
  }

  test('B49: a new DENY at the destination closes the live tunnel and refuses the next connection', async () => {
    await dial(vip4);
    client.send('send x');
    assert.equal(await client.line(), 'data x');
    for (const { agent } of [near, far]) agent.applyMesh(policyDelta('no-a', 'deny', 'cluster.local/ns/shop/sa/a'), true);
    assert.equal(await client.line(), 'error ECONNRESET');
    assert.equal(await client.line(), 'closed');
    assert.equal(await dial(vip4), 'error ECONNREFUSED', 'the kernel refuses before anything is sent');
    assert.equal(await client.line(), 'closed');
    for (const { agent } of [near, far]) agent.applyMesh(policyDelta('no-a', null, ''), true);
    assert.match(await dial(vip4), /^connected/);
    client.send('send again');
    assert.equal(await client.line(), 'data again');
    await hangUp();
  });

  test('B10: the destination decides even when the source knows no policy', async () => {
    far.agent.applyMesh(policyDelta('no-a', 'deny', 'cluster.local/ns/shop/sa/a'), true);
    const first = await dial(vip4);
    assert.equal(first.startsWith('connected') ? await client.line() : first, 'error ECONNRESET');
    assert.equal(await client.line(), 'closed');
    far.agent.applyMesh(policyDelta('no-a', null, ''), true);
  });

  test('B11: an app that does not listen is a reset for the client, not a silent end', async () => {
    client.send(`connect ${b.ip4} 9`);
    const first = await client.line();
    assert.equal(first.startsWith('connected') ? await client.line() : first, 'error ECONNRESET');
    assert.equal(await client.line(), 'closed');
  });

  test('DESIGN promise 1: an address map that is not complete never lets a mesh destination out in plain text', async () => {
    near.agent.kernelMaps().addresses.delete(cart.workload.addresses[0] ?? null);
    const config = near.agent.kernelMaps().config.get(0) ?? assert.fail();
    near.agent.kernelMaps().config.set(0, { ...config, flags: 1 });
    const before = near.counters().captured ?? 0;
    assert.match(await dial(vip4), /^connected/);
    client.send('send sealed');
    assert.equal(await client.line(), 'data sealed');
    assert.equal(near.counters().captured, before + 1);
    await hangUp();
  });
});
