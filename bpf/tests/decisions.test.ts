import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type IpAddress, parseIp } from '#model/address/ip.ts';
import { ADDRESS_FLAG, CONFIG_FLAG, REASON, SCHEMA, SERVICE_FLAG, WORKLOAD_FLAG } from '#model/kernel/abi.ts';
import { ip, struct, u16, u32, u64 } from '#model/kernel/layout.ts';
import { PORT } from '#model/mesh/ports.ts';
import { runProgram } from '#platform/bpf/kernel-calls.testing.ts';
import { loadObject } from '#platform/bpf/object.ts';
import { type LoadedProgram, loadProgram, withoutPrograms } from './loaded.testing.ts';

/** Twins of the contexts in decisions.bpf.c. */
const DIAL = struct('test_dial', {
  netnsCookie: u64,
  ip,
  port: u16,
  protocol: u16,
  path: u32,
  reason: u16,
  backendPort: u16,
  backend: ip,
  destinationId: u32,
});

/** enum dial_path, and 99 for a namespace that is not enrolled. */
const PATHS: ReadonlyMap<number, string> = new Map([
  [0, 'leave'],
  [1, 'backend'],
  [2, 'agent'],
  [3, 'refuse'],
  [99, 'not enrolled'],
]);
const [TCP, UDP, MPTCP] = [6, 17, 262];
const GENERATION = 9;
const [APP, GATE] = [11n, 12n];
const [APP_ID, NEAR_ID, FAR_ID, PLAIN_ID, GATE_ID] = [1, 2, 3, 4, 8];
const WAYPOINT_ID = 50;
const at = parseIp;
const [HOME, HOME6, NEAR, NEAR6, FAR, PLAIN] = [
  at('10.7.0.1'),
  at('fd07::1'),
  at('10.7.0.2'),
  at('fd07::2'),
  at('10.7.1.1'),
  at('10.7.2.1'),
];
const VIP = at('240.0.0.1');

type Ask = { to: IpAddress; port?: number; protocol?: number; from?: bigint };

describe('decisions of connect()', { skip: withoutPrograms }, () => {
  let loaded: LoadedProgram;

  before(() => {
    loaded = loadProgram('tests', 'decisions');
    configure(0);
    const workloads = loaded.map('workloads');
    workloads.set(APP, { id: APP_ID, flags: 0, ip4: HOME, ip6: HOME6 });
    workloads.set(GATE, { id: GATE_ID, flags: WORKLOAD_FLAG.nativeTunnel, ip4: at('10.7.0.50'), ip6: null });
    const addresses = loaded.map('addresses');
    const both = ADDRESS_FLAG.local | ADDRESS_FLAG.hbone;
    addresses.set(NEAR, { id: NEAR_ID, flags: both, waypointId: 0 });
    addresses.set(NEAR6, { id: NEAR_ID, flags: both, waypointId: 0 });
    addresses.set(FAR, { id: FAR_ID, flags: ADDRESS_FLAG.hbone, waypointId: 0 });
    addresses.set(PLAIN, { id: PLAIN_ID, flags: 0, waypointId: 0 });
  });
  after(() => loaded?.close());

  function configure(flags: number): void {
    loaded.map('config').set(0, {
      schema: SCHEMA,
      generation: GENERATION,
      flags,
      outboundPort: PORT.outbound,
      plaintextPort: PORT.plaintext,
      hbonePort: PORT.hbone,
      dnsPort: PORT.dns,
      waypointPort: PORT.waypoint,
      lastId: 0,
    });
  }
  function verdict(destinationId: number, port: number, allow: number, generation = GENERATION): void {
    loaded.map('verdicts').set({ sourceId: APP_ID, destinationId, port }, { generation, allow });
  }
  /** One port of a service at `vip` with these slots. */
  function service(
    vip: IpAddress,
    port: number,
    slots: [IpAddress, number][],
    more: { waypointId?: number; flags?: number } = {},
  ) {
    const { waypointId = 0, flags = 0 } = more;
    const id = 100 + port;
    for (const wanted of [0, port]) {
      loaded.map('services').set({ ip: vip, port: wanted, protocol: TCP }, { id, backendCount: slots.length, waypointId, flags });
    }
    for (const [slot, [backend, target]] of slots.entries())
      loaded.map('backends').set({ serviceId: id, slot }, { ip: backend, port: target });
  }
  function decide({ to, port = 80, protocol = TCP, from = APP }: Ask) {
    const question = { netnsCookie: from, ip: to, port, protocol };
    const empty = { path: 0, reason: 0, backendPort: 0, backend: null, destinationId: 0 };
    const run = runProgram(loaded.program('test_path'), DIAL.encode({ ...question, ...empty }), true);
    assert.ok(run !== null, 'this kernel runs syscall programs since 5.14');
    return DIAL.decode(run.context);
  }
  function decides(ask: Ask, path: string, reason: number, backend?: [IpAddress, number], destinationId?: number): void {
    const answer = decide(ask);
    assert.deepEqual([PATHS.get(answer.path), answer.reason], [path, reason]);
    if (backend !== undefined) assert.deepEqual([answer.backend, answer.backendPort], backend);
    if (destinationId !== undefined) assert.equal(answer.destinationId, destinationId);
  }

  test('a namespace that is not enrolled is left alone', () => decides({ to: NEAR, from: 77n }, 'not enrolled', 0));

  for (const to of ['127.0.0.1', '127.8.9.1', '0.0.0.0', '::1', '::ffff:127.0.0.1', '10.7.0.1', 'fd07::1'])
    test(`${to} stays in the workload, whatever the port`, () => {
      decides({ to: at(to) }, 'leave', REASON.none);
      decides({ to: at(to), port: 53, protocol: UDP }, 'leave', REASON.none);
    });

  test('DNS goes to the agent over TCP and UDP, to any other server; other datagrams are left alone', () => {
    for (const to of [at('8.8.8.8'), at('2001:db8::53'), NEAR])
      for (const protocol of [TCP, UDP]) decides({ to, port: 53, protocol }, 'agent', REASON.dns, [to, 53], 0);
    decides({ to: NEAR, port: 54, protocol: UDP }, 'leave', REASON.none);
    decides({ to: NEAR, port: 53, protocol: 132 }, 'leave', REASON.none);
  });

  for (const protocol of [UDP, 1, 132, 136])
    test(`protocol ${protocol}: nothing carries it to a workload of another node, so it is refused there and nowhere else`, () => {
      decides({ to: FAR, port: 5000, protocol }, 'refuse', REASON.datagram, [FAR, 5000], FAR_ID);
      decides({ to: at('::ffff:10.7.1.1'), port: 5000, protocol }, 'refuse', REASON.datagram);
      for (const to of [NEAR, NEAR6, PLAIN, at('9.9.9.9')]) decides({ to, port: 5000, protocol }, 'leave', REASON.none);
      configure(CONFIG_FLAG.incomplete);
      decides({ to: at('9.9.9.9'), port: 5000, protocol }, 'refuse', REASON.unknownMesh);
      decides({ to: NEAR, port: 5000, protocol }, 'leave', REASON.none);
      configure(0);
    });

  test('a datagram for a VIP is refused where a workload of the mesh stands behind it', () => {
    const place = { ip: at('240.0.0.9'), port: 0, protocol: TCP };
    const entry = { id: 0, backendCount: 0, waypointId: 0 };
    loaded.map('services').set(place, { ...entry, flags: SERVICE_FLAG.agent });
    decides({ to: place.ip, port: 5000, protocol: UDP }, 'leave', REASON.none);
    loaded.map('services').set(place, { ...entry, flags: SERVICE_FLAG.agent | SERVICE_FLAG.mesh });
    decides({ to: place.ip, port: 5000, protocol: UDP }, 'refuse', REASON.datagram, [place.ip, 5000], 0);
  });

  test('a resolver that connects to find its source address finds it, and what it sends goes nowhere', () => {
    service(VIP, 89, [[NEAR, 1]]);
    for (const port of [0, 9, 65_535])
      decides({ to: FAR, port, protocol: UDP }, 'backend', REASON.datagram, [HOME, PORT.outbound], FAR_ID);
    loaded
      .map('services')
      .set({ ip: VIP, port: 0, protocol: TCP }, { id: 0, backendCount: 0, waypointId: 0, flags: SERVICE_FLAG.mesh });
    decides({ to: VIP, port: 89, protocol: UDP }, 'backend', REASON.datagram, [HOME, PORT.outbound]); // as TCP will dial
    decides({ to: VIP, port: 90, protocol: UDP }, 'refuse', REASON.datagram);
    decides({ to: FAR, port: 9, protocol: 132 }, 'refuse', REASON.datagram);
    for (const port of [1, 53_000, 443]) decides({ to: FAR, port, protocol: UDP }, 'refuse', REASON.datagram);
  });

  test('B70: who may only reach the mesh reaches what its own permit names, by its port, until that is over', () => {
    const [own, permits] = [21n, loaded.map('permits')];
    loaded.map('workloads').set(own, { id: 21, flags: WORKLOAD_FLAG.registryOnly, ip4: HOME, ip6: HOME6 });
    const [to, now] = [at('9.9.9.8'), process.hrtime.bigint()];
    const key = { sourceId: 21, ip: to, port: 443 };
    decides({ to, port: 443, from: own }, 'refuse', REASON.notRegistered);
    permits.set(key, { untilNs: now + 600_000_000_000n, name: 'db.example.com' });
    decides({ to, port: 443, from: own }, 'backend', REASON.none, [to, 443]);
    decides({ to, port: 443, protocol: UDP, from: own }, 'backend', REASON.notRegistered, [HOME, PORT.outbound]); // a resolver's look
    decides({ to, port: 80, from: own }, 'refuse', REASON.notRegistered);
    decides({ to: at('9.9.9.7'), port: 443, from: own }, 'refuse', REASON.notRegistered);
    permits.set({ ...key, sourceId: 22, port: 80 }, { untilNs: now + 600_000_000_000n, name: 'db.example.com' });
    decides({ to, port: 80, from: own }, 'refuse', REASON.notRegistered);
    permits.set(key, { untilNs: now - 1n, name: 'db.example.com' });
    decides({ to, port: 443, from: own }, 'refuse', REASON.notRegistered);
  });

  test('an address outside the mesh is reached as it was dialled, unless the maps do not hold the whole mesh', () => {
    decides({ to: at('9.9.9.9') }, 'backend', REASON.none, [at('9.9.9.9'), 80]);
    configure(CONFIG_FLAG.incomplete);
    decides({ to: at('9.9.9.9') }, 'agent', REASON.unknownDestination, [at('9.9.9.9'), 80]);
    configure(0);
  });

  test('B72: an address that is known to be nobody’s is reached by whoever may go outside, though the maps do not hold the whole mesh', () => {
    const outside = at('9.9.9.8');
    loaded.map('addresses').set(outside, { id: 0, flags: ADDRESS_FLAG.outside, waypointId: 0 });
    configure(CONFIG_FLAG.incomplete);
    decides({ to: outside }, 'backend', REASON.none, [outside, 80], 0);
    decides({ to: outside, port: 5000, protocol: UDP }, 'leave', REASON.none);
    loaded.map('workloads').set(APP, { id: APP_ID, flags: WORKLOAD_FLAG.registryOnly, ip4: HOME, ip6: HOME6 });
    decides({ to: outside }, 'refuse', REASON.notRegistered, [outside, 80], 0);
    decides({ to: outside, port: 5000, protocol: UDP }, 'refuse', REASON.notRegistered);
    loaded.map('workloads').set(APP, { id: APP_ID, flags: 0, ip4: HOME, ip6: HOME6 });
    configure(0);
  });

  for (const [family, near] of [
    ['IPv4', NEAR],
    ['IPv6', NEAR6],
  ] as const)
    test(`${family}: a pair of this node goes direct with an allowing verdict, and to the agent without one`, () => {
      decides({ to: near, port: 8080 }, 'agent', REASON.evaluate, [near, 8080], NEAR_ID);
      verdict(NEAR_ID, 8080, 1);
      decides({ to: near, port: 8080 }, 'backend', REASON.direct, [near, 8080], NEAR_ID);
      decides({ to: near, port: 8080, protocol: MPTCP }, 'backend', REASON.direct);
      decides({ to: near, port: 8081 }, 'agent', REASON.evaluate);
      verdict(NEAR_ID, 8080, 1, GENERATION - 1);
      decides({ to: near, port: 8080 }, 'agent', REASON.evaluate);
      verdict(NEAR_ID, 8080, 0);
      decides({ to: near, port: 8080 }, 'refuse', REASON.denied, [near, 8080], NEAR_ID);
      verdict(NEAR_ID, 8080, 0, GENERATION + 1);
      decides({ to: near, port: 8080 }, 'agent', REASON.evaluate);
    });

  test('a workload of another node is reached through the agent, and a denial is known here already', () => {
    decides({ to: FAR, port: 8080 }, 'agent', REASON.hbone, [FAR, 8080], FAR_ID);
    verdict(FAR_ID, 8080, 1);
    decides({ to: FAR, port: 8080 }, 'agent', REASON.hbone);
    verdict(FAR_ID, 8080, 0);
    decides({ to: FAR, port: 8080 }, 'refuse', REASON.denied);
  });

  test('a workload without HBONE is dialled as it is', () =>
    decides({ to: PLAIN }, 'backend', REASON.none, [PLAIN, 80], PLAIN_ID));

  test('a service becomes one of its slots, each drawn about equally often', () => {
    service(VIP, 80, [
      [NEAR, 9000],
      [NEAR, 9001],
      [FAR, 9002],
      [PLAIN, 9003],
    ]);
    const drawn = new Map<number, number>();
    for (let index = 0; index < 4000; index++) {
      const { backendPort } = decide({ to: VIP });
      drawn.set(backendPort, (drawn.get(backendPort) ?? 0) + 1);
    }
    assert.deepEqual([...drawn.keys()].sort(), [9000, 9001, 9002, 9003]);
    // 4,000 fair draws of four: 1,000 each, and 850 is more than five standard deviations away.
    for (const [port, times] of drawn) assert.ok(times > 850 && times < 1150, `${port} was drawn ${times} times`);
  });

  test('K76: a client of a service with session affinity keeps its backend, wherever it is drawn, until it was silent too long', () => {
    const [id, affinity] = [191, { flags: SERVICE_FLAG.affinity }];
    const slots: [IpAddress, number][] = Array.from({ length: 40 }, (_, slot) => [PLAIN, 9000 + slot]);
    const next = (): number => decide({ to: VIP, port: 91 }).backendPort;
    const draws = (): number => new Set(Array.from({ length: 20 }, next)).size;
    service(VIP, 91, slots, affinity);
    assert.ok(draws() > 1, 'nobody has said how long');
    loaded.map('affinities').set(id, 60);
    const mine = next();
    assert.equal(draws(), 1);
    service(VIP, 91, [...slots, [PLAIN, 8000]], affinity);
    assert.equal(next(), mine, 'another one came');
    service(
      VIP,
      91,
      [...slots.filter(([, port]) => port !== mine), [PLAIN, mine]].toReversed() as [IpAddress, number][],
      affinity,
    );
    assert.deepEqual([next(), draws()], [mine, 1], 'it moved to another slot');
    const key = { serviceId: id, client: HOME };
    const kept = loaded.map('sessions').get(key) ?? assert.fail('no session');
    assert.deepEqual([kept.backend, kept.backendPort, kept.slot], [PLAIN, mine, 0]);
    service(
      VIP,
      91,
      slots.filter(([, port]) => port !== mine),
      affinity,
    );
    loaded.map('backends').delete({ serviceId: id, slot: 39 });
    const other = next();
    assert.notEqual(other, mine, 'it left');
    assert.equal(draws(), 1);
    // What a client had an hour ago is a port that a fair draw of 39 hits 20 times in a row never.
    const old = (): void => {
      const session = loaded.map('sessions').get(key) ?? assert.fail('no session');
      loaded.map('sessions').set(key, { ...session, usedNs: session.usedNs - 61_000_000_000n });
    };
    const drawn = Array.from({ length: 20 }, () => {
      old();
      return next();
    });
    assert.ok(new Set(drawn).size > 1, 'it was silent for more than a minute');
  });

  test('K76: what a route does not lead to any more is drawn for anew', () => {
    const affinity = { flags: SERVICE_FLAG.affinity | SERVICE_FLAG.split };
    service(VIP, 92, [[PLAIN, 1]], affinity);
    loaded.map('affinities').set(192, 60);
    for (const [setId, port] of [
      [801, 9801],
      [802, 9802],
    ] as const)
      loaded.map('backends').set({ serviceId: setId, slot: 0 }, { ip: PLAIN, port });
    loaded.map('splits').set({ serviceId: 192, slot: 0 }, { setId: 801, backendCount: 1 });
    decides({ to: VIP, port: 92 }, 'backend', REASON.none, [PLAIN, 9801]);
    loaded.map('splits').set({ serviceId: 192, slot: 0 }, { setId: 802, backendCount: 1 });
    decides({ to: VIP, port: 92 }, 'backend', REASON.none, [PLAIN, 9802]);
    loaded.map('splits').set({ serviceId: 192, slot: 0 }, { setId: 0, backendCount: 0 });
    decides({ to: VIP, port: 92 }, 'refuse', REASON.noBackend);
  });

  test('the verdict of a service is that of the workload and port behind it', () => {
    service(VIP, 81, [[NEAR, 9100]]);
    decides({ to: VIP, port: 81 }, 'agent', REASON.evaluate, [NEAR, 9100], NEAR_ID);
    verdict(NEAR_ID, 81, 1);
    decides({ to: VIP, port: 81 }, 'agent', REASON.evaluate);
    verdict(NEAR_ID, 9100, 1);
    decides({ to: VIP, port: 81 }, 'backend', REASON.direct, [NEAR, 9100], NEAR_ID);
  });

  test('a backend outside the mesh is dialled, not the VIP', () => {
    service(VIP, 82, [[at('9.9.9.9'), 443]]);
    decides({ to: VIP, port: 82 }, 'backend', REASON.none, [at('9.9.9.9'), 443], 0);
  });

  test('a VIP is never let out: unknown port and no backend are refused, what the slots cannot say goes to the agent', () => {
    service(VIP, 83, []);
    service(VIP, 84, [[NEAR, 1]], { flags: SERVICE_FLAG.agent });
    service(VIP, 85, [[NEAR, 1]]);
    loaded.map('backends').delete({ serviceId: 185, slot: 0 });
    decides({ to: VIP, port: 83 }, 'refuse', REASON.noBackend);
    decides({ to: VIP, port: 84 }, 'agent', REASON.agentService, [VIP, 84]);
    decides({ to: VIP, port: 85 }, 'agent', REASON.agentService, [VIP, 85]);
    decides({ to: VIP, port: 86 }, 'refuse', REASON.noSuchPort);
    decides({ to: VIP, port: 80, protocol: UDP }, 'leave', REASON.none);
  });

  test('B41: an address that nobody has is that of the block around it; what the block says of a port decides', () => {
    const block = (text: IpAddress, place: string): void =>
      loaded.map('blocks').set({ prefixLength: 160, isV4: text.includes(':') ? 0 : 1, ip: text }, at(place));
    const [served, passing, six] = [at('10.9.0.1'), at('10.8.0.1'), at('2001:db8::1')];
    block(served, '100::2');
    block(passing, '100::3');
    block(six, '100::3');
    block(PLAIN, '100::3');
    service(at('100::2'), 82, [[PLAIN, 8080]]);
    service(at('100::3'), 443, [], { flags: SERVICE_FLAG.passthrough });
    decides({ to: served, port: 82 }, 'backend', REASON.none, [PLAIN, 8080]);
    decides({ to: served, port: 83 }, 'refuse', REASON.noSuchPort);
    for (const to of [passing, six]) for (const port of [443, 80]) decides({ to, port }, 'backend', REASON.none, [to, port]);
    decides({ to: PLAIN, port: 443 }, 'backend', REASON.none, [PLAIN, 443], PLAIN_ID);
    configure(CONFIG_FLAG.incomplete);
    decides({ to: passing, port: 80 }, 'agent', REASON.unknownDestination);
    configure(0);
    const placeOf = (flags: number) =>
      loaded.map('services').set({ ip: at('100::2'), port: 0, protocol: TCP }, { id: 0, backendCount: 0, waypointId: 0, flags });
    placeOf(SERVICE_FLAG.agent);
    decides({ to: served, port: 83 }, 'agent', REASON.agentService);
    loaded.map('services').delete({ ip: at('100::2'), port: 0, protocol: TCP });
    decides({ to: served, port: 83 }, 'agent', REASON.agentService);
    placeOf(SERVICE_FLAG.mesh);
    decides({ to: served, protocol: UDP }, 'refuse', REASON.datagram);
    decides({ to: passing, protocol: UDP }, 'leave', REASON.none);
    loaded.map('addresses').set(served, { id: 0, flags: ADDRESS_FLAG.outside, waypointId: 0 });
    decides({ to: served, port: 83 }, 'refuse', REASON.noSuchPort); // nobody's own, and that of the block
    loaded.map('addresses').delete(served);
    for (const [key] of loaded.map('blocks').entries()) loaded.map('blocks').delete(key);
    decides({ to: served, port: 83 }, 'backend', REASON.none, [served, 83]);
  });

  test('a waypoint of this node takes the connection itself, another is reached through the agent', () => {
    service(VIP, 87, [], { waypointId: WAYPOINT_ID });
    decides({ to: VIP, port: 87 }, 'agent', REASON.waypoint, [VIP, 87], 0);
    loaded.map('waypoints').set(WAYPOINT_ID, { ip4: null, ip6: at('fd07::50') });
    decides({ to: VIP, port: 87 }, 'agent', REASON.waypoint, [VIP, 87], 0);
    loaded.map('waypoints').set(WAYPOINT_ID, { ip4: at('10.7.0.50'), ip6: null });
    decides({ to: VIP, port: 87 }, 'agent', REASON.waypoint, [VIP, 87], 0); // whose enrolment it is is not known
    loaded.map('addresses').set(at('10.7.0.50'), { id: GATE_ID, flags: ADDRESS_FLAG.local | ADDRESS_FLAG.hbone, waypointId: 0 });
    decides({ to: VIP, port: 87 }, 'backend', REASON.waypoint, [at('10.7.0.50'), PORT.waypoint], GATE_ID);
  });

  test('of a service with a canary that is on this node, too, it takes its share; else the agent draws', () => {
    const [canary, place, port] = [WAYPOINT_ID + 1, at('10.7.0.51'), 187];
    const id = 100 + port;
    loaded
      .map('services')
      .set({ ip: VIP, port, protocol: TCP }, { id, backendCount: 1, waypointId: WAYPOINT_ID, flags: SERVICE_FLAG.split });
    decides({ to: VIP, port }, 'agent', REASON.agentService, [VIP, port], 0); // the share is being written
    loaded.map('splits').set({ serviceId: id, slot: 0 }, { setId: canary, backendCount: 30 });
    decides({ to: VIP, port }, 'agent', REASON.agentService, [VIP, port], 0); // it is on another node
    loaded.map('waypoints').set(canary, { ip4: place, ip6: null });
    loaded.map('addresses').set(place, { id: GATE_ID + 1, flags: ADDRESS_FLAG.local | ADDRESS_FLAG.hbone, waypointId: 0 });
    const drawn = Array.from({ length: 2_000 }, () => decide({ to: VIP, port }));
    assert.ok(drawn.every(({ reason, backendPort }) => reason === REASON.waypoint && backendPort === PORT.waypoint));
    const share = drawn.filter(({ backend }) => backend === place).length / drawn.length;
    assert.ok(share > 0.25 && share < 0.35, `${share} of 0.3: five standard deviations are 0.05`);
    for (const [weight, want] of [
      [0, at('10.7.0.50')],
      [100, place],
    ] as const) {
      loaded.map('splits').set({ serviceId: id, slot: 0 }, { setId: canary, backendCount: weight });
      assert.ok(Array.from({ length: 200 }, () => decide({ to: VIP, port })).every(({ backend }) => backend === want));
    }
    loaded.map('waypoints').delete(WAYPOINT_ID);
    decides({ to: VIP, port }, 'agent', REASON.agentService, [VIP, port], 0); // and so is the waypoint itself
    loaded.map('waypoints').set(WAYPOINT_ID, { ip4: at('10.7.0.50'), ip6: null });
  });

  test('a workload with a waypoint is reached through it by its address, but not behind a service, nor by the waypoint', () => {
    const behind = at('10.7.0.3');
    loaded.map('addresses').set(behind, { id: 5, flags: ADDRESS_FLAG.local | ADDRESS_FLAG.hbone, waypointId: WAYPOINT_ID });
    decides({ to: behind }, 'backend', REASON.waypoint, [at('10.7.0.50'), PORT.waypoint]);
    service(VIP, 88, [[behind, 8080]]);
    decides({ to: VIP, port: 88 }, 'agent', REASON.evaluate, [behind, 8080], 5);
    decides({ to: behind, from: GATE }, 'agent', REASON.evaluate, [behind, 80], 5);
  });

  test('a waypoint makes its own tunnels', () => {
    decides({ to: FAR, port: PORT.hbone, from: GATE }, 'leave', REASON.none);
    decides({ to: FAR, port: PORT.hbone }, 'agent', REASON.hbone);
  });
});

describe('what the kernel can run by itself', { skip: withoutPrograms }, () => {
  test('is found out by trying: a hook that it runs one day should be tested whole, as arrival is', (t) => {
    for (const object of ['connect', 'getpeername', 'datagram', 'flow', 'lookup']) {
      for (const { name, runs } of tryPrograms(object))
        t.diagnostic(`${name}: ${runs ? 'can be run' : 'cannot be run'} by itself`);
    }
  });
});

/** Which programs of a production object the kernel takes at all; a context that it refuses still shows that it would run one. */
function tryPrograms(object: string): { name: string; runs: boolean }[] {
  const path = new URL(`../../build/bpf/${object}.o`, import.meta.url).pathname;
  const { programs, close } = loadObject(path, () => null, null);
  const found = [...programs].map(([name, program]) => {
    try {
      return { name, runs: runProgram(program, Buffer.alloc(72)) !== null };
    } catch {
      return { name, runs: true };
    }
  });
  close();
  return found;
}
