import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { type IpAddress, parseIp } from '#model/address/ip.ts';
import { ADDRESS_FLAG, CONFIG_FLAG, HOOK, LINK_CAUSES, REASON, SCHEMA, SERVICE_FLAG, WORKLOAD_FLAG } from '#model/kernel/abi.ts';
import { PORT } from '#model/mesh/ports.ts';
import { runOnFrame } from '#platform/bpf/kernel-calls.testing.ts';
import { arp, ETHERTYPE, ethernet, extension, linkOption, neighbour, PROTOCOL, packet, tcp, udp } from './frames.testing.ts';
import { type LoadedProgram, loadProgram, withoutPrograms } from './loaded.testing.ts';

const [PASS, DROP] = [-1, 2];
const [LOOPBACK, COOKIE, ID] = [1, 77n, 5];
const [OWN_MAC, NEAR_MAC, GATEWAY_MAC, ALL] = [
  '02:00:00:00:00:05',
  '02:00:00:00:00:06',
  '02:00:00:00:00:01',
  'ff:ff:ff:ff:ff:ff',
];
const [SYN, RST, ACK, PSH_ACK, SYN_ACK] = [2, 4, 16, 24, 18];
const at = parseIp;
const NOTHING = at('0.0.0.0');
const [OWN, NEAR, GATEWAY, FAR, PLAIN, OUT, VIP, OUTER_VIP] = [
  at('10.7.0.5'),
  at('10.7.0.6'),
  at('10.7.0.1'),
  at('10.7.1.9'),
  at('10.7.2.9'),
  at('198.51.100.1'),
  at('240.0.0.1'),
  at('198.51.100.7'),
];
const [OWN6, NEAR6, FAR6, OUT6, ANY6] = [at('fd07::5'), at('fd07::6'), at('fd07:1::9'), at('2001:db8::1'), at('::')];
const [OWN_LOCAL, NEAR_LOCAL, ALL_NODES, SOLICITED] = [
  at('fe80::ff:fe00:5'),
  at('fe80::ff:fe00:6'),
  at('ff02::1'),
  at('ff02::1:ff00:6'),
];
const { icmp, ipip, tcp: TCP, udp: UDP, sixInFour, gre, esp, icmp6, sctp, raw } = PROTOCOL;

type Sent = { mac?: string; toMac?: string; from?: IpAddress; fragment?: number; options?: Buffer };

const ip4 = (
  to: IpAddress,
  protocol: number,
  payload: Buffer,
  { mac = OWN_MAC, toMac = GATEWAY_MAC, from = OWN, ...more }: Sent = {},
) => ethernet(mac, toMac, ETHERTYPE.ip4, packet(from, to, protocol, payload, more));
const ip6 = (to: IpAddress, protocol: number, payload: Buffer, { mac = OWN_MAC, toMac = GATEWAY_MAC, from = OWN6 }: Sent = {}) =>
  ethernet(mac, toMac, ETHERTYPE.ip6, packet(from, to, protocol, payload));
const asks = (ip: IpAddress, mac = OWN_MAC, target = NEAR) =>
  ethernet(OWN_MAC, ALL, ETHERTYPE.arp, arp({ operation: 1, mac, ip, target }));
const answers = (ip: IpAddress, mac = OWN_MAC, operation = 2) =>
  ethernet(OWN_MAC, NEAR_MAC, ETHERTYPE.arp, arp({ operation, mac, ip, target: NEAR }));
const message = Buffer.from([128, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3, 4]);
const echo = Buffer.from([8, 0, 0, 0, 0, 1, 0, 1]);
const [T_HBONE, T_PLAIN, T_DATA] = [
  tcp(40_000, PORT.hbone, SYN),
  tcp(40_000, 8080, SYN),
  tcp(40_000, PORT.hbone, PSH_ACK, Buffer.from('clear')),
];

const { linkFrame: FRAME, linkSource: SOURCE, linkNeighbour: CLAIM, linkGroup: GROUP, linkClear: CLEAR } = REASON;

/** What an ordinary workload may send, and every lie and way around that we could think of. 0: it passes. */
const FRAMES: readonly (readonly [what: string, frame: Buffer, reason: number])[] = [
  ['TCP to outside', ip4(OUT, TCP, T_PLAIN), 0],
  ['UDP to outside', ip4(OUT, UDP, udp(4000, 4000)), 0],
  ['ICMP to outside', ip4(OUT, icmp, echo), 0],
  ['IPv6 to outside', ip6(OUT6, UDP, udp(4000, 4000)), 0],
  ['a ping of the gateway', ip4(GATEWAY, icmp, echo), 0],
  ['a later fragment to outside', ip4(OUT, UDP, udp(1, 2), { fragment: 100 }), 0],
  ['TCP to a workload of this node', ip4(NEAR, TCP, T_PLAIN, { toMac: NEAR_MAC }), 0],
  ['UDP to a workload of this node', ip4(NEAR, UDP, udp(1, 2), { toMac: NEAR_MAC }), 0],
  ['IPv6 to a workload of this node', ip6(NEAR6, TCP, T_PLAIN), 0],
  ['UDP to a workload elsewhere that speaks no HBONE', ip4(PLAIN, UDP, udp(1, 2)), 0],
  ['the VIP of a service outside of the mesh', ip4(OUTER_VIP, UDP, udp(1, 2)), 0],

  // who it says it is
  ['the MAC of a neighbour', ip4(OUT, UDP, udp(1, 2), { mac: NEAR_MAC }), SOURCE],
  ['the MAC of the gateway', ip4(OUT, UDP, udp(1, 2), { mac: GATEWAY_MAC }), SOURCE],
  ['a MAC of a group', ip4(OUT, UDP, udp(1, 2), { mac: '03:00:00:00:00:05' }), SOURCE],
  ["a neighbour's IPv4 address", ip4(OUT, UDP, udp(1, 2), { from: NEAR }), SOURCE],
  ["a neighbour's address to another neighbour", ip4(NEAR, TCP, T_PLAIN, { from: GATEWAY }), SOURCE],
  ['a second IPv4 address', ip4(OUT, TCP, T_PLAIN, { from: at('10.7.0.77') }), SOURCE],
  ['no IPv4 address, as DHCP', ip4(at('255.255.255.255'), UDP, udp(68, 67), { from: NOTHING, toMac: ALL }), SOURCE],
  ['a loopback address', ip4(OUT, UDP, udp(1, 2), { from: at('127.0.0.1') }), SOURCE],
  ["a later fragment from a neighbour's address", ip4(OUT, UDP, udp(1, 2), { from: NEAR, fragment: 100 }), SOURCE],
  ["a neighbour's IPv6 address", ip6(OUT6, UDP, udp(1, 2), { from: NEAR6 }), SOURCE],
  ['its own link-local address for UDP', ip6(NEAR_LOCAL, UDP, udp(1, 2), { from: OWN_LOCAL }), SOURCE],
  ['no IPv6 address for UDP', ip6(OUT6, UDP, udp(1, 2), { from: ANY6 }), SOURCE],

  // what no Internet packet is
  [
    'a VLAN tag',
    ethernet(OWN_MAC, NEAR_MAC, ETHERTYPE.vlan, Buffer.concat([Buffer.from([0, 5, 8, 0]), packet(OWN, NEAR, UDP, udp(1, 2))])),
    FRAME,
  ],
  ['two VLAN tags', ethernet(OWN_MAC, NEAR_MAC, ETHERTYPE.qinq, Buffer.alloc(46)), FRAME],
  ['EAPOL', ethernet(OWN_MAC, '01:80:c2:00:00:03', ETHERTYPE.eapol, Buffer.alloc(46)), FRAME],
  ['spanning tree', ethernet(OWN_MAC, '01:80:c2:00:00:00', 38, Buffer.alloc(46)), FRAME],
  [
    'an IPv4 header of 16 bytes',
    ethernet(OWN_MAC, GATEWAY_MAC, ETHERTYPE.ip4, Buffer.concat([Buffer.from([0x44]), Buffer.alloc(39)])),
    FRAME,
  ],
  ['a source route', ip4(OUT, UDP, udp(1, 2), { options: Buffer.from([131, 7, 4, 10, 7, 1, 9, 0]) }), FRAME],
  ['version 6 in an IPv4 frame', ethernet(OWN_MAC, GATEWAY_MAC, ETHERTYPE.ip4, packet(OWN6, OUT6, UDP, udp(1, 2))), FRAME],
  [
    'version 4 in an IPv6 frame',
    ethernet(OWN_MAC, GATEWAY_MAC, ETHERTYPE.ip6, Buffer.concat([packet(OWN, OUT, UDP, udp(1, 2)), Buffer.alloc(40)])),
    FRAME,
  ],
  ['an IPv6 routing header', ip6(OUT6, 43, extension(UDP, udp(1, 2))), FRAME],
  ['a routing header behind options', ip6(OUT6, 60, extension(43, extension(UDP, udp(1, 2)))), FRAME],
  [
    'seven IPv6 extension headers',
    ip6(
      OUT6,
      60,
      Array.from({ length: 6 }).reduce<Buffer>((inner) => extension(60, inner), extension(UDP, udp(1, 2))),
    ),
    FRAME,
  ],

  // neighbours, IPv4
  ['ARP: who has a neighbour', asks(OWN), 0],
  ['ARP: is this address free', asks(NOTHING, OWN_MAC, OWN), 0],
  ['ARP: I have my address', answers(OWN), 0],
  ['ARP: asks as the gateway, so that all learn it', asks(GATEWAY), CLAIM],
  ["ARP: I have a neighbour's address", answers(NEAR), CLAIM],
  ["ARP: I have the gateway's address", answers(GATEWAY), CLAIM],
  ['ARP: a neighbour has my address', answers(OWN, NEAR_MAC), CLAIM],
  ['ARP: an answer from no address', answers(NOTHING), CLAIM],
  ['ARP: reverse', answers(OWN, OWN_MAC, 3), CLAIM],
  ['ARP that is cut off', ethernet(OWN_MAC, ALL, ETHERTYPE.arp, Buffer.alloc(20)), CLAIM],
  [
    'ARP about another protocol',
    ethernet(OWN_MAC, ALL, ETHERTYPE.arp, Buffer.concat([Buffer.from([0, 1, 0x86, 0xdd, 6, 4, 0, 1]), Buffer.alloc(20)])),
    CLAIM,
  ],

  // neighbours, IPv6
  [
    'ND: who has a neighbour',
    ip6(SOLICITED, icmp6, neighbour(135, NEAR6, linkOption(1, OWN_MAC)), { toMac: '33:33:ff:00:00:06' }),
    0,
  ],
  [
    'ND: the same from the link-local address',
    ip6(SOLICITED, icmp6, neighbour(135, NEAR6, linkOption(1, OWN_MAC)), { from: OWN_LOCAL }),
    0,
  ],
  ['ND: is my address free', ip6(SOLICITED, icmp6, neighbour(135, OWN6), { from: ANY6, toMac: '33:33:ff:00:00:05' }), 0],
  ['ND: I have my address', ip6(NEAR6, icmp6, neighbour(136, OWN6, linkOption(2, OWN_MAC))), 0],
  [
    'ND: I have my link-local address',
    ip6(NEAR_LOCAL, icmp6, neighbour(136, OWN_LOCAL, linkOption(2, OWN_MAC)), { from: OWN_LOCAL }),
    0,
  ],
  ['ND: where are routers', ip6(at('ff02::2'), icmp6, Buffer.from([133, 0, 0, 0, 0, 0, 0, 0]), { from: OWN_LOCAL }), 0],
  [
    'MLD: a report behind its option',
    ip6(at('ff02::16'), 0, extension(icmp6, Buffer.from([143, 0, 0, 0, 0, 0, 0, 0])), {
      from: OWN_LOCAL,
      toMac: '33:33:00:00:00:16',
    }),
    0,
  ],
  [
    "ND: I have a neighbour's address",
    ip6(ALL_NODES, icmp6, neighbour(136, NEAR6, linkOption(2, OWN_MAC)), { toMac: '33:33:00:00:00:01' }),
    CLAIM,
  ],
  [
    "ND: I have a neighbour's link-local address",
    ip6(ALL_NODES, icmp6, neighbour(136, NEAR_LOCAL, linkOption(2, OWN_MAC))),
    CLAIM,
  ],
  ["ND: a neighbour's MAC has my address", ip6(NEAR6, icmp6, neighbour(136, OWN6, linkOption(2, NEAR_MAC))), CLAIM],
  ["ND: asks with a neighbour's MAC", ip6(SOLICITED, icmp6, neighbour(135, NEAR6, linkOption(1, NEAR_MAC))), CLAIM],
  ['ND: asks as a neighbour', ip6(SOLICITED, icmp6, neighbour(135, OWN6, linkOption(1, OWN_MAC)), { from: NEAR6 }), SOURCE],
  ["ND: is a neighbour's address free", ip6(SOLICITED, icmp6, neighbour(135, NEAR6), { from: ANY6 }), CLAIM],
  ['ND: options without end', ip6(NEAR6, icmp6, neighbour(136, OWN6, Buffer.alloc(8))), CLAIM],
  [
    'ND: five options',
    ip6(NEAR6, icmp6, neighbour(136, OWN6, ...Array.from({ length: 5 }, () => linkOption(14, OWN_MAC)))),
    CLAIM,
  ],
  ['ND behind destination options', ip6(ALL_NODES, 60, extension(icmp6, neighbour(136, NEAR6, linkOption(2, OWN_MAC)))), CLAIM],
  [
    'ND behind hop-by-hop and destination options',
    ip6(ALL_NODES, 0, extension(60, extension(icmp6, neighbour(136, NEAR6)))),
    CLAIM,
  ],
  ['ND in a first fragment', ip6(ALL_NODES, 44, extension(icmp6, neighbour(136, NEAR6), Buffer.from([0, 1, 0, 0, 0, 9]))), CLAIM],
  [
    'a router advertisement',
    ip6(ALL_NODES, icmp6, Buffer.concat([Buffer.from([134]), Buffer.alloc(15)]), { from: OWN_LOCAL }),
    CLAIM,
  ],
  ['a redirect', ip6(NEAR6, icmp6, Buffer.concat([Buffer.from([137]), Buffer.alloc(39)])), CLAIM],
  ['an MLD query', ip6(ALL_NODES, icmp6, Buffer.concat([Buffer.from([130]), Buffer.alloc(23)]), { from: OWN_LOCAL }), CLAIM],
  ['an inverse advertisement', ip6(NEAR6, icmp6, Buffer.concat([Buffer.from([142]), Buffer.alloc(23)])), CLAIM],

  // everybody at once
  ['UDP to all', ip4(at('255.255.255.255'), UDP, udp(1, 2), { toMac: ALL }), GROUP],
  ['UDP to a group', ip4(at('224.0.0.251'), UDP, udp(5353, 5353), { toMac: '01:00:5e:00:00:fb' }), GROUP],
  ['UDP to a group, sent to one MAC', ip4(at('224.0.0.251'), UDP, udp(5353, 5353), { toMac: NEAR_MAC }), GROUP],
  ['UDP to one address, sent to every MAC', ip4(NEAR, UDP, udp(1, 2), { toMac: ALL }), GROUP],
  ['IPv6 to a group', ip6(at('ff02::fb'), UDP, udp(5353, 5353)), GROUP],
  ['a ping of all nodes', ip6(ALL_NODES, icmp6, message), GROUP],
  ['a later fragment to a group', ip6(ALL_NODES, 44, extension(icmp6, message, Buffer.from([8, 0, 0, 0, 0, 9]))), GROUP],

  // a workload of another node, in clear
  ['TCP to a workload elsewhere', ip4(FAR, TCP, T_PLAIN), CLEAR],
  ['TCP to its tunnel port, not from the agent', ip4(FAR, TCP, T_HBONE), CLEAR],
  ['bytes to its tunnel port, not from the agent', ip4(FAR, TCP, T_DATA), CLEAR],
  [
    'bytes from the tunnel port, not from the agent',
    ip4(FAR, TCP, tcp(PORT.hbone, 40_000, PSH_ACK, Buffer.from('clear'))),
    CLEAR,
  ],
  ['the same by a frame that goes to a neighbour', ip4(FAR, TCP, T_PLAIN, { toMac: NEAR_MAC }), CLEAR],
  ['UDP', ip4(FAR, UDP, udp(1, 2)), CLEAR],
  ['UDP to the tunnel port', ip4(FAR, UDP, udp(PORT.hbone, PORT.hbone)), CLEAR],
  ['ICMP', ip4(FAR, icmp, echo), CLEAR],
  ['SCTP', ip4(FAR, sctp, Buffer.alloc(12)), CLEAR],
  ['an experimental protocol', ip4(FAR, raw, Buffer.from('clear')), CLEAR],
  ['a later fragment', ip4(FAR, TCP, T_HBONE, { fragment: 1 }), CLEAR],
  ['IP in IP', ip4(FAR, ipip, packet(OWN, FAR, UDP, udp(1, 2))), CLEAR],
  ['GRE', ip4(FAR, gre, Buffer.concat([Buffer.from([0, 0, 8, 0]), packet(OWN, FAR, UDP, udp(1, 2))])), CLEAR],
  ['IPv6 in IPv4', ip4(FAR, sixInFour, packet(OWN6, FAR6, UDP, udp(1, 2))), CLEAR],
  ['ESP', ip4(FAR, esp, Buffer.alloc(16)), CLEAR],
  ['UDP over IPv6', ip6(FAR6, UDP, udp(1, 2)), CLEAR],
  ['a ping over IPv6', ip6(FAR6, icmp6, message), CLEAR],
  ['UDP over IPv6 behind options', ip6(FAR6, 60, extension(UDP, udp(1, 2))), CLEAR],
  ['a fragment over IPv6', ip6(FAR6, 44, extension(UDP, udp(1, 2), Buffer.from([0, 8, 0, 0, 0, 9]))), CLEAR],
  ['the mapped form of its IPv4 address', ip6(at('::ffff:10.7.1.9'), UDP, udp(1, 2)), CLEAR],
  ['the VIP of a service of the mesh', ip4(VIP, UDP, udp(1, 2)), CLEAR],
  ['TCP to the VIP of a service of the mesh', ip4(VIP, TCP, T_PLAIN), CLEAR],

  // what the kernel says of tunnels when the socket is gone
  ['a reset of a tunnel', ip4(FAR, TCP, tcp(40_000, PORT.hbone, RST)), 0],
  ['a last acknowledgement', ip4(FAR, TCP, tcp(40_000, PORT.hbone, ACK)), 0],
  ['a SYN cookie', ip4(FAR, TCP, tcp(PORT.hbone, 40_000, SYN_ACK)), 0],
  ['a SYN-ACK towards the tunnel port', ip4(FAR, TCP, tcp(40_000, PORT.hbone, SYN_ACK)), CLEAR],
  ['a reset of another port', ip4(FAR, TCP, tcp(40_000, 8080, RST)), CLEAR],
];

describe('the guard of a link', { skip: withoutPrograms }, () => {
  let loaded: LoadedProgram;

  before(() => {
    loaded = loadProgram('attach', 'link');
    const addresses = loaded.map('addresses');
    for (const ip of [OWN, OWN6, NEAR, NEAR6])
      addresses.set(ip, { id: 6, flags: ADDRESS_FLAG.local | ADDRESS_FLAG.hbone, waypointId: 0 });
    for (const ip of [FAR, FAR6]) addresses.set(ip, { id: 9, flags: ADDRESS_FLAG.hbone, waypointId: 0 });
    addresses.set(PLAIN, { id: 10, flags: 0, waypointId: 0 });
    const vip = { id: 0, backendCount: 0, waypointId: 0 };
    loaded.map('services').set({ ip: VIP, port: 0, protocol: TCP }, { ...vip, flags: SERVICE_FLAG.mesh | SERVICE_FLAG.agent });
    loaded.map('services').set({ ip: OUTER_VIP, port: 0, protocol: TCP }, { ...vip, flags: SERVICE_FLAG.agent });
  });
  beforeEach(() => {
    configure(0);
    enrol(0);
    const nothing = LINK_CAUSES.map(() => 0n);
    loaded.map('links').set(LOOPBACK, { netnsCookie: COOKIE, mac: OWN_MAC, dropped: nothing, toldNs: nothing });
    loaded.counted();
    loaded.events();
  });
  after(() => loaded?.close());

  const configure = (flags: number, schema = SCHEMA): void =>
    loaded.map('config').set(0, {
      schema,
      generation: 1,
      flags,
      outboundPort: PORT.outbound,
      plaintextPort: PORT.plaintext,
      hbonePort: PORT.hbone,
      dnsPort: PORT.dns,
      waypointPort: PORT.waypoint,
      lastId: 0,
    });
  const enrol = (flags: number): void => loaded.map('workloads').set(COOKIE, { id: ID, flags, ip4: OWN, ip6: OWN6 });
  const run = (frame: Buffer): number => runOnFrame(loaded.program('weft_link'), frame);
  const dropped = (): bigint[] => loaded.map('links').get(LOOPBACK)?.dropped ?? [];
  const once = (reason: number): bigint[] => LINK_CAUSES.map((one) => (one === reason ? 1n : 0n));

  for (const [what, frame, reason] of FRAMES) {
    const name = reason === 0 ? 'passes' : `ends as ${Object.entries(REASON).find(([, number]) => number === reason)?.[0]}`;
    test(`${what}: ${name}`, () => {
      assert.equal(run(frame), reason === 0 ? PASS : DROP);
      assert.deepEqual(dropped(), once(reason));
    });
  }

  test('a drop is told with who sent what to whom, and again only after a second, while every one is counted', () => {
    const frame = ip4(FAR, UDP, udp(1, 2));
    for (let i = 0; i < 3; i++) assert.equal(run(frame), DROP);
    const [event, ...more] = loaded.events();
    assert.deepEqual(
      { ...event, timeNs: 0n },
      {
        timeNs: 0n,
        sourceId: ID,
        destinationId: 0,
        source: OWN,
        destination: FAR,
        sourcePort: 0,
        destinationPort: 0,
        reason: CLEAR,
        hook: HOOK.link,
      },
    );
    assert.deepEqual(more, []);
    assert.deepEqual(loaded.counted(), { link_dropped: 3 });
    assert.equal(run(answers(NEAR)), DROP);
    assert.deepEqual(
      loaded.events().map(({ reason }) => reason),
      [CLAIM],
      'another cause is told at once',
    );
  });

  test('while the maps do not hold the whole mesh, what they do not know is taken for a workload elsewhere', () => {
    configure(CONFIG_FLAG.incomplete);
    for (const frame of [ip4(OUT, UDP, udp(1, 2)), ip4(OUT, TCP, T_PLAIN), ip6(OUT6, UDP, udp(1, 2)), ip4(OUT, icmp, echo)])
      assert.equal(run(frame), DROP);
    assert.deepEqual(
      dropped(),
      LINK_CAUSES.map((one) => (one === CLEAR ? 4n : 0n)),
    );
    for (const frame of [ip4(NEAR, TCP, T_PLAIN), ip4(PLAIN, UDP, udp(1, 2)), asks(OWN), answers(OWN)])
      assert.equal(run(frame), PASS, 'what they know is as it was');
  });

  test('without a configuration nothing passes but what neighbours ask', () => {
    configure(0, 0);
    for (const frame of [ip4(NEAR, TCP, T_PLAIN), ip6(NEAR6, TCP, T_PLAIN), ip4(OUT, UDP, udp(1, 2))])
      assert.equal(run(frame), DROP);
    assert.equal(run(asks(OWN)), PASS);
  });

  test('a waypoint makes tunnels of its own, and nothing else', () => {
    enrol(WORKLOAD_FLAG.nativeTunnel);
    for (const segment of [T_HBONE, T_DATA, tcp(PORT.hbone, 40_000, PSH_ACK, Buffer.from('sealed'))])
      assert.equal(run(ip4(FAR, TCP, segment)), PASS);
    for (const frame of [ip4(FAR, TCP, T_PLAIN), ip4(FAR, UDP, udp(1, PORT.hbone)), ip4(FAR, TCP, T_HBONE, { fragment: 1 })])
      assert.equal(run(frame), DROP);
  });

  test('a workload without IPv6 has no IPv6 address but its link-local one', () => {
    loaded.map('workloads').set(COOKIE, { id: ID, flags: 0, ip4: OWN, ip6: null });
    assert.equal(run(ip6(OUT6, UDP, udp(1, 2), { from: ANY6 })), DROP);
    assert.equal(run(ip6(ALL_NODES, icmp6, neighbour(136, ANY6), { from: OWN_LOCAL })), DROP);
    assert.equal(run(ip6(SOLICITED, icmp6, neighbour(135, NEAR6, linkOption(1, OWN_MAC)), { from: OWN_LOCAL })), PASS);
  });

  test('the link of nobody who is enrolled is closed, and so is one that nobody knows', () => {
    loaded.map('workloads').delete(COOKIE);
    assert.equal(run(asks(OWN)), DROP);
    enrol(0);
    loaded.map('links').delete(LOOPBACK);
    assert.equal(run(ip4(OUT, UDP, udp(1, 2))), DROP);
  });
});
