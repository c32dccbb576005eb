import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type App, Bed } from './bed.testing.ts';
import { agentOn, serviceDelta, workload, workloadDelta } from './mesh.testing.ts';

/** DNS over UDP is answered by the agent and seems to come from the server that was asked; other datagrams are left alone. */
describe('datagrams of an enrolled workload', () => {
  const bed = new Bed();
  const a = bed.host(1);
  const elsewhere = bed.host(2);
  const far = bed.host(3);
  const vip = '240.240.0.9';
  const cart = workload({ name: 'c', addresses: [far.ip4, far.ip6], node: 'two', services: { 'shop/cart.mesh': [[80, 8080]] } });
  const shop = workload({ name: 'a', addresses: [a.ip4, a.ip6] });
  let agent: ReturnType<typeof agentOn>;
  let client: App;
  const tell = (text: string): Promise<string> => {
    client.send(text);
    return client.line();
  };

  before(async () => {
    agent = agentOn(bed, { answerDatagram: (query, uid) => Buffer.from(`${query.toString()}-for-${uid.slice(-1)}`) });
    await agent.agent.enroll({ ...shop.request, netnsPath: a.netnsPath });
    agent.agent.applyMesh(
      { ...workloadDelta(shop.workload, cart.workload), ...serviceDelta('cart.mesh', [vip], [[80, 8080]]) },
      true,
    );
    client = bed.app(a.netnsPath, 'datagram-client');
    await client.line();
  });
  after(async () => {
    agent?.stop();
    await bed.down();
  });

  for (const [family, server] of [
    ['IPv4', '10.77.0.53'],
    ['IPv6', 'fd77::53'],
  ] as const) {
    test(`an unconnected socket over ${family} gets the answer from the server it asked`, async () => {
      assert.equal(await tell(`ask ${server} 53 name`), `answer name-for-a ${server} 53`);
    });
    test(`a connected socket over ${family} has the server as its peer, and its answer`, async () => {
      assert.equal(await tell(`connected ${server} 53 name`), `connected ${server} 53`);
      assert.match(await client.line(), /^answer name-for-a /);
    });
  }

  test('a datagram to another port is left alone', async () => {
    const before = agent.counters().dns;
    assert.equal(await tell(`connected ${elsewhere.ip4} 54 x`), `connected ${elsewhere.ip4} 54`);
    assert.equal(await client.line(), 'error ECONNREFUSED', 'the other host answers for itself');
    assert.equal(agent.counters().dns, before);
  });

  for (const [what, to] of [
    ['by IPv4', far.ip4],
    ['by IPv6', far.ip6],
    ['by a VIP', vip],
  ] as const)
    test(`a datagram to a workload of another node ${what} is refused before it leaves, connected or not`, async () => {
      const before = agent.counters().refused ?? 0;
      assert.equal(await tell(`ask ${to} 5000 secret`), 'error ECONNREFUSED');
      assert.equal(await tell(`connected ${to} 5000 secret`), 'error ECONNREFUSED');
      assert.equal(agent.counters().refused, before + 2);
    });

  test('the DNS listener of a workload is closed to others', async () => {
    const stranger = bed.app(elsewhere.netnsPath, 'datagram-client', { captured: false });
    await stranger.line();
    stranger.send(`connected ${a.ip4} 15053 x`);
    assert.equal(await stranger.line(), `connected ${a.ip4} 15053`);
    assert.equal(await stranger.line(), 'error ECONNREFUSED');
  });
});
