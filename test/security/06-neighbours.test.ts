import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type IpAddress, parseIp } from '#model/address/ip.ts';
import type { Probe } from '#testbed/apps/probe-client.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { arp, ETHERTYPE, ethernet, linkOption, neighbour, PROTOCOL, packet, udp } from '../../bpf/tests/frames.testing.ts';
import { AttackedLink, addressOf, type Macs } from './link.testing.ts';
import { AttackedMesh, serviceYaml } from './mesh.testing.ts';

const VIP = '10.96.6.9';
const ALL = 'ff:ff:ff:ff:ff:ff';
const SETTLE_MS = 5_000;

/** `mallory`, `victim` and `client` live on one node, and so on one link; mallory has every capability. */
describe('who has which address', () => {
  let mesh: AttackedMesh;
  let [mallory, asClient, asVictim]: AttackedLink[] = [];
  let macs: Macs;
  let client: Probe;
  let victimMac: string;
  let gateway: Record<4 | 6, IpAddress>;

  const links = (): [AttackedLink, AttackedLink, AttackedLink] => {
    assert.ok(mallory !== undefined && asClient !== undefined && asVictim !== undefined);
    return [mallory, asClient, asVictim];
  };
  before(async () => {
    mesh = await AttackedMesh.up({ 'victim.yaml': serviceYaml('victim', VIP) }, 1);
    [client] = await Promise.all([mesh.probe('client', 'alpha'), mesh.probe('mallory', 'alpha'), mesh.echo('victim', 'alpha')]);
    [mallory, asClient, asVictim] = ['mallory', 'client', 'victim'].map((name) => new AttackedLink(mesh, name));
    macs = await links()[0].macs();
    victimMac = await links()[2].macOf('eth0');
    gateway = { 4: parseIp('10.89.1.1'), 6: parseIp('fd89:0:0:1::1') };
    await waitUntil('an answer', SETTLE_MS, async () => (await client.connect({ host: VIP, port: 7 })).error === null);
  });
  after(() => mesh?.down());

  const own = (family: 4 | 6): IpAddress => addressOf(mesh, 'mallory', family);
  const victim = (family: 4 | 6): IpAddress => addressOf(mesh, 'victim', family);
  /** Every claim that mallory could make of an address of IPv4 and one of IPv6, to all and to one. */
  const claims = (ip4: IpAddress, ip6: IpAddress, mac: string): Buffer[] => {
    const says = (operation: number) => arp({ operation, mac, ip: ip4, target: ip4 });
    const advert = neighbour(136, ip6, linkOption(2, mac));
    advert.writeUInt8(0x20, 4); // override what is known
    const nodes = ['33:33:00:00:00:01', parseIp('ff02::1')] as const;
    return [
      ethernet(mac, ALL, ETHERTYPE.arp, says(1)),
      ethernet(mac, ALL, ETHERTYPE.arp, says(2)),
      ethernet(mac, nodes[0], ETHERTYPE.ip6, packet(ip6, nodes[1], PROTOCOL.icmp6, advert)),
      ethernet(mac, nodes[0], ETHERTYPE.ip6, packet(own(6), nodes[1], PROTOCOL.icmp6, advert)),
    ];
  };

  test('S6: what she sends to all, to groups, or under a neighbour’s address reaches nobody', async () => {
    const [attacker, , target] = links();
    const heard = target.try(
      'timeout',
      '2',
      'tcpdump',
      '-l',
      '--immediate-mode',
      '-i',
      'eth0',
      '-n',
      '-A',
      '-s0',
      'udp port 4999',
    );
    await new Promise((resolve) => setTimeout(resolve, 700)); // until tcpdump listens
    const say = (to: IpAddress, mac: string, from = own(4)) =>
      ethernet(macs.own, mac, ETHERTYPE.ip4, packet(from, to, PROTOCOL.udp, udp(4999, 4999, Buffer.from('poison'))));
    await attacker.send(
      say(parseIp('255.255.255.255'), ALL),
      say(parseIp('224.0.0.251'), '01:00:5e:00:00:fb'),
      say(victim(4), ALL),
      say(victim(4), victimMac, addressOf(mesh, 'client', 4)),
      say(victim(4), victimMac, gateway[4]),
    );
    assert.doesNotMatch(await heard, /poison/);
  });

  test("S6: she adds a neighbour's addresses, claims them by ARP and ND and listens: every dial reaches the neighbour", async () => {
    const [attacker, dialler] = links();
    await attacker.run('ip', 'addr', 'add', `${victim(4)}/32`, 'dev', 'eth0');
    await attacker.run('ip', '-6', 'addr', 'add', `${victim(6)}/128`, 'dev', 'eth0', 'nodad');
    const before = (await mesh.status('alpha')).kernel.counters.link_dropped ?? 0;
    for (let round = 0; round < 6; round++) {
      await dialler.run('ip', 'neigh', 'flush', 'all');
      await attacker.send(...claims(victim(4), victim(6), macs.own));
      for (const family of [4, 6] as const) {
        const answer = await client.connect({ host: victim(family), port: 7000 });
        assert.deepEqual([answer.error, answer.greeting?.service], [null, 'victim']);
        assert.equal(await dialler.neighbour(victim(family)), victimMac);
      }
    }
    await attacker.run('ip', 'addr', 'del', `${victim(4)}/32`, 'dev', 'eth0');
    await attacker.run('ip', '-6', 'addr', 'del', `${victim(6)}/128`, 'dev', 'eth0');
    assert.ok(((await mesh.status('alpha')).kernel.counters.link_dropped ?? 0) >= before + 24);
    await waitUntil('a line about it', SETTLE_MS, async () => (await mesh.log('alpha')).includes('link-neighbour'));
  });

  test("S6: she claims the gateway's addresses: neighbours and the host keep the ones they know", async () => {
    const [attacker, dialler] = links();
    for (const family of [4, 6] as const) await dialler.poke(gateway[family]);
    await attacker.run('ip', 'addr', 'add', `${gateway[4]}/32`, 'dev', 'eth0');
    await attacker.send(...claims(gateway[4], gateway[6], macs.own));
    for (const family of [4, 6] as const) assert.equal(await dialler.neighbour(gateway[family]), macs.gateway);
    await attacker.run('ip', 'addr', 'del', `${gateway[4]}/32`, 'dev', 'eth0');
    const { stdout } = await mesh.onNode('alpha', ['ip', 'neigh']);
    assert.doesNotMatch(stdout, new RegExp(`^(?!${own(4)} |${own(6)} |fe80).*lladdr ${macs.own}`, 'm'));
  });

  test("S6: with a neighbour's MAC address she teaches the switch nothing, and his frames still reach him", async () => {
    const [attacker] = links();
    await attacker.run('ip', 'link', 'set', 'eth0', 'address', victimMac);
    await attacker.send(...claims(victim(4), victim(6), victimMac), ...claims(own(4), own(6), victimMac));
    for (let round = 0; round < 3; round++) {
      const answer = await client.connect({ host: victim(4), port: 7000 });
      assert.deepEqual([answer.error, answer.greeting?.service], [null, 'victim']);
    }
    await attacker.run('ip', 'link', 'set', 'eth0', 'address', macs.own);
  });

  test('S6: what she may do she still can: a datagram to the neighbour arrives', async () => {
    const [attacker, , target] = links();
    const heard = target.try(
      'timeout',
      '8',
      'tcpdump',
      '-l',
      '--immediate-mode',
      '-c',
      '1',
      '-i',
      'eth0',
      '-n',
      '-A',
      '-s0',
      'udp port 4998',
    );
    await new Promise((resolve) => setTimeout(resolve, 700));
    await attacker.python(
      's = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)',
      `s.sendto(b"harmless", ("${victim(4)}", 4998))`,
    );
    assert.match(await heard, /harmless/);
  });
});
