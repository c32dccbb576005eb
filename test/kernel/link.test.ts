import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { LINK_CAUSES, REASON } from '#model/kernel/abi.ts';
import { createTestCa } from '#platform/hbone/test-ca.testing.ts';
import { arp, ETHERTYPE, ethernet, linkOption, neighbour, PROTOCOL, packet, tcp, udp } from '../../bpf/tests/frames.testing.ts';
import { Bed, type BedHost, type Caller } from './bed.testing.ts';
import { agentOn, serviceDelta, workload, workloadDelta } from './mesh.testing.ts';
import { FrameEar, sendFrames } from './raw-frames.testing.ts';

const MARK = Buffer.from('weft-in-clear');
const ALL = 'ff:ff:ff:ff:ff:ff';
const at = parseIp;

/** Two nodes on one kernel; the links of their workloads are guarded, and the workloads do what root can do in its namespace. */
describe('the guard of a link', () => {
  const one = new Bed();
  const two = new Bed();
  const [a, b, victim, outside] = [one.host(1), one.host(2), one.host(3), one.host(4)];
  const [vip4, vip6] = ['240.240.0.9', '2001:2::9'];
  const shop = workload({ name: 'a', addresses: [a.ip4, a.ip6], node: 'one' });
  const near = workload({ name: 'victim', addresses: [victim.ip4, victim.ip6], node: 'one' });
  const cart = workload({ name: 'b', addresses: [b.ip4, b.ip6], node: 'two', services: { 'shop/cart.mesh': [[80, 8080]] } });
  const mesh = {
    ...workloadDelta(shop.workload, near.workload, cart.workload),
    ...serviceDelta('cart.mesh', [vip4, vip6], [[80, 8080]]),
  };
  let home: ReturnType<typeof agentOn>;
  let far: ReturnType<typeof agentOn>;
  let client: Caller;
  let ear: FrameEar;

  const inside = ({ name }: BedHost, ...args: string[]): string =>
    execFileSync('ip', ['-n', name, ...args], { encoding: 'utf8' });
  const dropped = (reason: number): number => {
    const causes: readonly number[] = LINK_CAUSES;
    const at = causes.indexOf(reason);
    return home.agent
      .kernelMaps()
      .links.entries()
      .reduce((sum, [, link]) => sum + Number(link.dropped[at]), 0);
  };
  const neighbourOf = (host: BedHost, ip: string): string => /lladdr (\S+)/.exec(inside(host, 'neigh', 'show', ip))?.[1] ?? '';

  before(async () => {
    const ca = await createTestCa();
    home = agentOn(one, { node: 'one', ca });
    far = agentOn(two, { node: 'two', ca, linkedBy: one });
    await home.agent.enroll({ ...shop.request, netnsPath: a.netnsPath, link: a.link });
    await home.agent.enroll({ ...near.request, netnsPath: victim.netnsPath, link: victim.link });
    await far.agent.enroll({ ...cart.request, netnsPath: b.netnsPath, link: b.link });
    for (const { agent, takeOver } of [home, far]) {
      takeOver();
      agent.applyMesh(mesh, true);
    }
    await two.app(b.netnsPath, 'echo-server', { port: 8080 }).line();
    client = await one.caller(a.netnsPath);
    ear = await FrameEar.start(b.netnsPath);
  });
  after(async () => {
    await ear?.stop();
    home?.stop();
    far?.stop();
    await one.down();
    await two.down();
  });

  for (const [family, to] of [
    ['IPv4', vip4],
    ['IPv6', vip6],
  ] as const)
    test(`a tunnel over ${family} passes both guards, from its handshake to its end`, async () => {
      for (let round = 0; round < 3; round++) {
        assert.match(await client.dial(to), /^connected/);
        assert.equal(await client.say('x'), 'data x');
        await client.hangUp();
      }
      assert.equal(dropped(REASON.linkClear), 0, 'nothing of a tunnel was taken for plain text');
    });

  const cleartext = (): [string, Buffer][] => {
    const ip4 = (protocol: number, payload: Buffer, fragment = 0) =>
      ethernet(a.link.mac, b.link.mac, ETHERTYPE.ip4, packet(at(a.ip4), at(b.ip4), protocol, payload, { fragment }));
    const ip6 = (protocol: number, payload: Buffer) =>
      ethernet(a.link.mac, b.link.mac, ETHERTYPE.ip6, packet(at(a.ip6), at(b.ip6), protocol, payload));
    return [
      ['UDP', ip4(PROTOCOL.udp, udp(4000, 4000, MARK))],
      ['UDP over IPv6', ip6(PROTOCOL.udp, udp(4000, 4000, MARK))],
      ['ICMP', ip4(PROTOCOL.icmp, Buffer.concat([Buffer.from([8, 0, 0, 0, 0, 1, 0, 1]), MARK]))],
      ['SCTP', ip4(PROTOCOL.sctp, Buffer.concat([Buffer.alloc(12), MARK]))],
      ['an experimental protocol', ip4(PROTOCOL.raw, MARK)],
      ['a fragment', ip4(PROTOCOL.udp, udp(4000, 4000, MARK), 0x2000)],
      ['a later fragment', ip4(PROTOCOL.tcp, MARK, 8)],
      ['IP in IP', ip4(PROTOCOL.ipip, packet(at(a.ip4), at(b.ip4), PROTOCOL.udp, udp(1, 2, MARK)))],
      ['GRE', ip4(PROTOCOL.gre, Buffer.concat([Buffer.from([0, 0, 8, 0]), MARK]))],
      ['bytes in a segment of a tunnel', ip4(PROTOCOL.tcp, tcp(40_000, 15_008, 24, MARK))],
    ];
  };
  for (const [at, [what]] of cleartext().entries())
    test(`${what} to a workload of another node never leaves the link`, async () => {
      const before = dropped(REASON.linkClear);
      sendFrames(a.netnsPath, cleartext()[at]?.[1] ?? Buffer.alloc(0));
      assert.equal(dropped(REASON.linkClear), before + 1);
      assert.equal(ear.heard(MARK), false);
    });

  test('a process that left the cgroup, and so its hooks, reaches nobody of another node', async () => {
    const before = dropped(REASON.linkClear);
    const escaped = await one.caller(a.netnsPath, false);
    const dialled = escaped.dial(b.ip4, 8080);
    const late = new Promise<string>((resolve) => setTimeout(() => resolve('nothing yet'), 400));
    assert.equal(await Promise.race([dialled, late]), 'nothing yet');
    assert.ok(dropped(REASON.linkClear) > before);
  });

  test('what goes to outside of the mesh is left alone', async () => {
    await one.app(outside.netnsPath, 'echo-server', { port: 7, captured: false }).line();
    assert.match(await client.dial(outside.ip4, 7), /^connected/);
    assert.equal(await client.say('y'), 'data y');
    await client.hangUp();
  });

  test("a neighbour's address cannot be claimed by ARP or neighbour discovery, not even one's own for another MAC", () => {
    inside(outside, 'neigh', 'flush', 'all');
    inside(outside, 'neigh', 'replace', victim.ip4, 'lladdr', victim.link.mac, 'dev', 'eth0', 'nud', 'reachable');
    inside(outside, 'neigh', 'replace', victim.ip6, 'lladdr', victim.link.mac, 'dev', 'eth0', 'nud', 'reachable');
    const before = dropped(REASON.linkNeighbour);
    const claim = (operation: number) => arp({ operation, mac: a.link.mac, ip: at(victim.ip4), target: at(victim.ip4) });
    const advert = Buffer.concat([neighbour(136, at(victim.ip6), linkOption(2, a.link.mac))]);
    advert.writeUInt8(0x20, 4); // override
    sendFrames(
      a.netnsPath,
      ethernet(a.link.mac, ALL, ETHERTYPE.arp, claim(1)),
      ethernet(a.link.mac, outside.link.mac, ETHERTYPE.arp, claim(2)),
      ethernet(a.link.mac, outside.link.mac, ETHERTYPE.ip6, packet(at(a.ip6), at(outside.ip6), PROTOCOL.icmp6, advert)),
    );
    assert.equal(dropped(REASON.linkNeighbour), before + 3);
    assert.equal(neighbourOf(outside, victim.ip4), victim.link.mac);
    assert.equal(neighbourOf(outside, victim.ip6), victim.link.mac);
  });

  test("a neighbour's address on one's own interface takes no connection of anybody's", async () => {
    inside(a, 'addr', 'add', `${victim.ip4}/24`, 'dev', 'eth0');
    try {
      inside(outside, 'neigh', 'flush', 'all');
      const stranger = await one.caller(outside.netnsPath, false);
      await one.app(victim.netnsPath, 'echo-server', { port: 8080 }).line();
      for (let round = 0; round < 5; round++) {
        inside(outside, 'neigh', 'flush', 'all');
        assert.match(await stranger.dial(victim.ip4, 8080), /^connected/);
        assert.equal(neighbourOf(outside, victim.ip4), victim.link.mac, 'answered by whom it belongs to');
        await stranger.hangUp();
      }
    } finally {
      inside(a, 'addr', 'del', `${victim.ip4}/24`, 'dev', 'eth0');
    }
  });

  test("with a neighbour's MAC address nothing passes, and the switch does not learn it", async () => {
    inside(a, 'link', 'set', 'eth0', 'address', victim.link.mac);
    const before = dropped(REASON.linkSource);
    sendFrames(
      a.netnsPath,
      ethernet(
        victim.link.mac,
        ALL,
        ETHERTYPE.arp,
        arp({ operation: 1, mac: victim.link.mac, ip: at(a.ip4), target: at(outside.ip4) }),
      ),
    );
    inside(a, 'link', 'set', 'eth0', 'address', a.link.mac);
    assert.ok(dropped(REASON.linkSource) > before);
    const table = execFileSync('bridge', ['-n', one.switchPath.split('/').at(-1) ?? '', 'fdb', 'show', 'br', 'sw'], {
      encoding: 'utf8',
    });
    assert.doesNotMatch(table, new RegExp(`^${victim.link.mac} dev ${a.link.device} `, 'm'));
  });

  test('the guard holds while the agent is gone, for whoever is enrolled, and the next agent counts on', async () => {
    const counted = dropped(REASON.linkClear);
    home.stop();
    const frame = cleartext()[0]?.[1] ?? Buffer.alloc(0);
    sendFrames(a.netnsPath, frame);
    assert.equal(ear.heard(MARK), false);
    home = agentOn(one, { node: 'one', ca: await createTestCa() });
    assert.equal(home.adopted, true);
    await home.agent.enroll({ ...shop.request, netnsPath: a.netnsPath, link: a.link });
    sendFrames(a.netnsPath, frame);
    assert.ok(dropped(REASON.linkClear) >= counted + 2);
    assert.equal(ear.heard(MARK), false);
  });

  test('a workload that left can send nothing at all', () => {
    home.agent.leave(shop.request.uid);
    const frame = ethernet(
      a.link.mac,
      b.link.mac,
      ETHERTYPE.ip4,
      packet(at(a.ip4), at(b.ip4), PROTOCOL.udp, udp(1, 2, Buffer.from('after-the-end'))),
    );
    sendFrames(a.netnsPath, frame);
    assert.equal(ear.heard(Buffer.from('after-the-end')), false);
  });
});
