import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, before, beforeEach, describe, test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { AGENT } from '#model/settings/agents.ts';
import { Bed } from './bed.testing.ts';
import { agentOn, policyDelta, serviceDelta, workload, workloadDelta } from './mesh.testing.ts';

const DENY_A = policyDelta('no-a', 'deny', 'cluster.local/ns/shop/sa/a');
const ALLOW_AGAIN = policyDelta('no-a', null, '');

/** Between what connect() decides and its effect lies as much time as the app likes. */
describe('a decision and its effect', () => {
  const bed = new Bed();
  const a = bed.host(1);
  const b = bed.host(2);
  const stranger = bed.host(3);
  const vip4 = '240.240.0.9';
  const vip6 = '2001:2::9';
  const shop = workload({ name: 'a', addresses: [a.ip4, a.ip6] });
  const cart = workload({ name: 'b', addresses: [b.ip4, b.ip6], services: { 'shop/cart.mesh': [[80, 8080]] } });
  let node: ReturnType<typeof agentOn>;
  let attacker: (line: string) => Promise<string>;
  /** The counters when the test began. */
  let known: Record<string, number> = {};
  const risen = (name: string): number => (node.counters()[name] ?? 0) - (known[name] ?? 0);

  before(async () => {
    node = agentOn(bed);
    await bed.app(b.netnsPath, 'echo-server', { port: 8080 }).line();
    await node.agent.enroll({ ...shop.request, netnsPath: a.netnsPath });
    await node.agent.enroll({ ...cart.request, netnsPath: b.netnsPath });
    const services = serviceDelta('cart.mesh', [vip4, vip6], [[80, 8080]]);
    node.agent.applyMesh({ ...workloadDelta(shop.workload, cart.workload), ...services }, true);
    attacker = await bed.attacker(a.netnsPath);
  });
  after(async () => {
    node?.stop();
    await bed.down();
  });
  beforeEach(() => {
    node.agent.applyMesh(ALLOW_AGAIN, true);
    known = node.counters();
  });

  for (const [family, vip] of [
    ['IPv4', vip4],
    ['IPv6', vip6],
  ] as const) {
    test(`${family}: a socket whose SYN waits for its first send is judged by the policy of then`, async () => {
      assert.equal(await attacker(`defer ${vip} 80`), 'connected');
      assert.equal(node.agent.kernelMaps().flows.entries().length, 0, 'nothing has left yet');
      node.agent.applyMesh(DENY_A, true);
      assert.equal(await attacker('send hello'), 'error ECONNREFUSED');
      assert.equal(risen('inbound_refused'), 1);
      await attacker('close');
      node.agent.applyMesh(ALLOW_AGAIN, true);
      assert.equal(await attacker(`defer ${vip} 80`), 'connected');
      node.agent.applyMesh(policyDelta('other', 'deny', 'cluster.local/ns/shop/sa/nobody'), true);
      assert.equal(await attacker('send hello'), 'sent');
      assert.equal(await attacker('receive'), 'data hello');
      assert.equal(risen('inbound_attested'), 1, 'what is still allowed goes on, without the agent');
      await attacker('close');
    });

    test(`${family}: data in the SYN goes the same way`, async () => {
      assert.equal(await attacker(`fastopen ${vip} 80 hello`), 'sent');
      assert.equal(await attacker('receive'), 'data hello');
      await attacker('close');
      node.agent.applyMesh(DENY_A, true);
      assert.equal(await attacker(`fastopen ${vip} 80 hello`), 'error ECONNREFUSED');
      await attacker('close');
    });
  }

  test('without a verdict of now the agent judges it as its source, and presents it to the app', async () => {
    assert.equal(await attacker(`defer ${vip4} 80`), 'connected');
    const { verdicts } = node.agent.kernelMaps();
    node.agent.applyMesh(policyDelta('other', null, ''), true);
    for (const [key] of verdicts.entries()) verdicts.delete(key);
    assert.equal(await attacker('send who'), 'sent');
    assert.match(await attacker('receive'), /^data (::ffff:)?10\.77\.0\.1 \d+$/);
    assert.deepEqual([risen('inbound_agent'), node.agent.carried], [1, 1]);
    await attacker('close');
  });

  test('without a verdict of now a denied one is refused by the agent, although plain text would pass', async () => {
    assert.equal(await attacker(`defer ${vip4} 80`), 'connected');
    node.agent.applyMesh(DENY_A, true);
    const { verdicts } = node.agent.kernelMaps();
    for (const [key] of verdicts.entries()) verdicts.delete(key);
    const answers = [await attacker('send hello'), await attacker('receive')].join();
    assert.match(answers, /error ECONNRE/);
    assert.doesNotMatch(answers, /data/);
    await attacker('close');
  });

  test('MPTCP is attested and judged as TCP is', async (t) => {
    if (!existsSync('/proc/sys/net/mptcp/enabled')) return t.skip('MISSING: MPTCP in this kernel');
    assert.equal(await attacker(`mptcp ${vip4} 80`), 'connected');
    assert.equal(await attacker('send hello'), 'sent');
    assert.equal(await attacker('receive'), 'data hello');
    assert.deepEqual([risen('inbound_attested'), risen('inbound_refused')], [1, 0]);
    node.agent.applyMesh(DENY_A, true);
    assert.match(await attacker('receive'), /^error|^data $/);
    await attacker('close');
    assert.equal(await attacker(`mptcp ${vip4} 80`), 'error ECONNREFUSED');
  });

  test('a SYN that the hooks never saw is refused, from an address of this node and although plain text would pass', async () => {
    const outside = await bed.attacker(a.netnsPath, false);
    assert.equal(await outside(`fastopen ${b.ip4} 8080 hello`), 'error ECONNREFUSED');
    assert.equal(risen('inbound_refused'), 1);
    assert.equal(await outside(`syn ${a.ip4} 45000 ${b.ip4} 8080`), 'reset');
    assert.ok(risen('inbound_refused') >= 2);
  });

  test('plain text whose last step came after a change of policy is found and closed', async () => {
    const server = await bed.attacker(b.netnsPath);
    const outside = await bed.attacker(stranger.netnsPath, false);
    assert.equal(await server('serve 9090'), 'listening'); // it takes a connection with its first data only
    assert.equal(await outside(`connect ${b.ip4} 9090`), 'connected');
    node.agent.applyMesh(policyDelta('strict', 'deny', null), true);
    await new Promise((resolve) => setTimeout(resolve, 2 * AGENT.secondSweepMs)); // after the second look
    assert.equal(await outside('send hello'), 'sent');
    assert.match(await server('accept'), /^accepted/);
    assert.equal(risen('inbound_late'), 1);
    node.agent.watchArrivals();
    assert.equal(await outside('receive'), 'error ECONNRESET');
    node.agent.applyMesh(policyDelta('strict', null, ''), true);
    await Promise.all([outside('close'), server('close')]);
  });

  test('a neighbour that takes the address takes no connection: what arrives was not meant for it', async () => {
    const thief = bed.host(4);
    const record = workload({ name: 'd', addresses: [thief.ip4, thief.ip6] });
    await node.agent.enroll({ ...record.request, netnsPath: thief.netnsPath });
    node.agent.applyMesh(workloadDelta(record.workload), true);
    await bed.app(thief.netnsPath, 'echo-server', { port: 8080 }).line();
    const move = (name: string, verb: string) => execFileSync('ip', ['-n', name, 'address', verb, `${b.ip4}/24`, 'dev', 'eth0']);
    const forget = () => {
      for (const { name } of [a, stranger]) execFileSync('ip', ['-n', name, 'neighbour', 'flush', 'dev', 'eth0']);
    };
    move(b.name, 'del');
    move(thief.name, 'add');
    forget();
    assert.equal(await attacker(`fastopen ${vip4} 80 hello`), 'error ECONNREFUSED');
    assert.equal(risen('inbound_refused'), 1);
    const outside = await bed.attacker(stranger.netnsPath, false);
    assert.equal(await outside(`connect ${b.ip4} 8080`), 'error ECONNREFUSED', 'nor plain text from outside');
    move(thief.name, 'del');
    move(b.name, 'add');
    forget();
    node.agent.leave(record.workload.uid);
  });

  test('a second SYN of the ends of a connection whose peer has forgotten it is refused', async () => {
    assert.equal(await attacker(`defer ${vip4} 80`), 'connected');
    assert.equal(await attacker('send who'), 'sent');
    const [, port = ''] = /(\d+)$/.exec(await attacker('receive')) ?? [];
    const server = node.agent.enrollment.get(cart.workload.uid)?.netns;
    assert.ok(server !== undefined);
    const [source, destination] = [parseIp(a.ip4), parseIp(b.ip4)];
    const flow = { netnsCookie: 0n, source, destination, sourcePort: Number(port), destinationPort: 8080 };
    // The peer forgets without a word: its reset is lost on the way.
    const link = (state: string) => execFileSync('ip', ['-n', b.name, 'link', 'set', 'eth0', state]);
    link('down');
    assert.equal(server.destroyFlow(flow, true), true);
    link('up');
    const outside = await bed.attacker(a.netnsPath, false);
    assert.equal(await outside(`syn ${a.ip4} ${port} ${b.ip4} 8080`), 'reset');
    assert.equal(risen('inbound_refused'), 1);
    await attacker('close');
  });
});
