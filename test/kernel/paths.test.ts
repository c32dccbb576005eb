import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Bed, type Caller } from './bed.testing.ts';
import { agentOn, policyDelta, serviceDelta, workload, workloadDelta } from './mesh.testing.ts';

/** Paths of one node, on the real kernel: bytes from app to app, verdicts, refusals, presented addresses. */
describe('paths of one node', () => {
  const bed = new Bed();
  let agent: ReturnType<typeof agentOn>['agent'];
  let stop: () => void = () => {};
  let client: Caller;
  let counters: () => Record<string, number>;
  const a = bed.host(1);
  const b = bed.host(2);
  const outsider = bed.host(3);
  const vip4 = '240.240.0.9';
  const vip6 = '2001:2::9';
  const shop = workload({ name: 'a', addresses: [a.ip4, a.ip6] });
  const cart = workload({
    name: 'b',
    addresses: [b.ip4, b.ip6],
    services: { 'shop/cart.mesh': [[80, 8080]] },
  });

  before(async () => {
    ({ agent, stop, counters } = agentOn(bed));
    await bed.app(b.netnsPath, 'echo-server', { port: 8080 }).line();
    client = await bed.caller(a.netnsPath);
    await agent.enroll({ ...shop.request, netnsPath: a.netnsPath });
    await agent.enroll({ ...cart.request, netnsPath: b.netnsPath });
    const services = serviceDelta('cart.mesh', [vip4, vip6], [[80, 8080]]);
    agent.applyMesh({ ...workloadDelta(shop.workload, cart.workload), ...services }, true);
  });
  after(async () => {
    stop();
    await bed.down();
  });

  const families = [
    ['IPv4', vip4, a.ip4],
    ['IPv6', vip6, a.ip6],
  ] as const;
  for (const [family, vip, ip] of families) {
    test(`direct over ${family}: the client sees the VIP, the server the client, and the agent carries nothing`, async () => {
      const before = counters();
      const [state, remote, port, local, localPort] = (await client.dial(vip)).split(' ');
      assert.deepEqual([state, remote, port, local], ['connected', vip, '80', ip]);
      assert.equal((await client.say('who')).replace('::ffff:', ''), `data ${ip} ${localPort}`);
      assert.equal(counters().direct, (before.direct ?? 0) + 1);
      assert.equal(counters().inbound_attested, (before.inbound_attested ?? 0) + 1);
      assert.equal(agent.carried, 0);
      await client.hangUp();
    });
  }

  test('inside a workload loopback stays loopback, whatever the port, and the mesh counts nothing', async () => {
    await bed.app(a.netnsPath, 'echo-server', { port: 9090 }).line();
    const before = counters();
    for (const [ip, from] of [
      ['127.0.0.1', '127.0.0.1'],
      ['127.0.0.2', '127.0.0.1'],
      ['::1', '::1'],
    ]) {
      assert.match(await client.dial(ip ?? '', 9090), new RegExp(`^connected ${ip} 9090 ${from} `));
      assert.match(await client.say('who'), new RegExp(`${from} \\d+$`));
      await client.hangUp();
    }
    assert.deepEqual(counters(), before);
  });

  test('a workload dialled by its own address shows that address', async () => {
    assert.match(await client.dial(vip4), /^connected 240\.240\.0\.9 80/);
    await client.hangUp();
    assert.match(await client.dial(b.ip4, 8080), new RegExp(`^connected ${b.ip4} 8080`));
    await client.hangUp();
  });

  test('a port the service does not have is refused, never let out to the VIP', async () => {
    assert.equal(await client.refused(vip4, 81), 'ECONNREFUSED');
  });

  test('without a cached verdict one connection goes through the agent, the next one direct', async () => {
    for (const [key] of agent.kernelMaps().verdicts.entries()) agent.kernelMaps().verdicts.delete(key);
    const [state, , , , localPort] = (await client.dial(vip4)).split(' ');
    assert.equal(state, 'connected');
    const seen = (await client.say('who')).replace('::ffff:', '');
    assert.equal(seen, `data ${a.ip4} ${localPort}`, 'the app sees the client, not the agent');
    assert.equal(agent.carried, 1);
    await client.hangUp();
    const before = counters().direct ?? 0;
    await client.dial(vip4);
    assert.equal(counters().direct, before + 1);
    await client.hangUp();
  });

  test('B49: a new DENY closes a live direct connection and refuses the next with ECONNREFUSED; removing it lets in again', async () => {
    await client.dial(vip4);
    agent.applyMesh(policyDelta('no-a', 'deny', 'cluster.local/ns/shop/sa/a'), true);
    assert.equal(await client.line(), 'error ECONNABORTED');
    assert.equal(await client.line(), 'closed');
    assert.equal(await client.refused(vip4), 'ECONNREFUSED');
    agent.applyMesh(policyDelta('no-a', null, ''), true);
    assert.match(await client.dial(vip4), /^connected/);
    await client.hangUp();
  });

  test('plain text from outside the mesh reaches the app while nothing restricts it, and is refused under STRICT', async () => {
    const stranger = await bed.caller(outsider.netnsPath, false);
    assert.match(await stranger.dial(b.ip4, 8080), /^connected/);
    agent.applyMesh(policyDelta('strict', 'deny', null), true);
    assert.equal(await stranger.line(), 'error ECONNRESET', 'the open connection is closed');
    assert.equal(await stranger.line(), 'closed');
    assert.equal(await stranger.refused(b.ip4, 8080), 'ECONNREFUSED');
    assert.match(await client.dial(vip4), /^connected/, 'an attested flow has an identity');
    await client.hangUp();
    agent.applyMesh(policyDelta('strict', null, ''), true);
  });

  test('the agent ports of a workload cannot be used from outside, nor without the kernel having captured the connection', async () => {
    const stranger = await bed.caller(outsider.netnsPath, false);
    for (const port of [15001, 15006, 15053]) assert.equal(await stranger.refused(b.ip4, port), 'ECONNREFUSED', String(port));
    assert.equal(await client.refused(a.ip4, 15001), 'ECONNRESET');
  });

  test('a process that is not enrolled gets no service addresses and is counted nowhere', async () => {
    const bystander = await bed.caller(outsider.netnsPath, false);
    const before = counters();
    assert.notEqual(await bystander.refused(vip4), 'ECONNREFUSED', 'the VIP means nothing to it');
    assert.deepEqual(counters(), before);
  });
});
