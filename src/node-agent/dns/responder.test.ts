import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import test from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { type DecodedPacket, decode, encode, RECURSION_DESIRED } from 'dns-packet';
import { parseIp } from '#model/address/ip.ts';
import type { DnsView } from '#model/dns/resolve-name.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import type { Service } from '#model/mesh/service.ts';
import { DNS } from '#model/settings/dns.ts';
import type { DnsEffects, DnsLabels } from '#node-agent/dns/effects.ts';
import { createDnsResponder } from '#node-agent/dns/responder.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { frameMessage } from '#protocol/dns/frame.ts';

const REVIEWS: Service = {
  name: 'reviews',
  namespace: 'shop',
  hostname: 'reviews.shop.svc.cluster.local',
  addresses: ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map(parseIp),
  ports: [],
  subjectAltNames: [],
  waypoint: null,
  loadBalancing: null,
  ipFamilies: 'automatic',
  canonical: false,
  namespaceOnly: false,
  aliasOf: null,
  datagramPorts: [],
  affinityTimeoutS: 0,
  routes: [],
};
const VIEW: DnsView = {
  servicesByHostname: (hostname) => (hostname === REVIEWS.hostname ? [REVIEWS] : []),
  endpointAddresses: () => [],
  hasHostnameBelow: (name) => REVIEWS.hostname.endsWith(`.${name}`),
};

function setup(overrides: Partial<DnsEffects> = {}) {
  const clock = new SteppedClock();
  const seen = { failed: [] as string[], requests: [] as DnsLabels[], upstream: [] as string[], answered: [] as string[] };
  const effects: DnsEffects = {
    view: () => VIEW,
    synced: async () => true,
    asked: null,
    clientOf: (workload) => (workload === 'known' ? { namespace: 'shop' } : null),
    forward: async (bytes) => replyTo(bytes, 3),
    names: { clusterDomain: 'cluster.local', searchDomains: null, preferredNamespace: null, ipv6: true },
    random: () => 0.5,
    clock,
    log: SILENT_LOG,
    mishaps: SILENT_MISHAPS,
    counters: {
      request: (labels) => void seen.requests.push(labels),
      upstreamRequest: () => void seen.upstream.push('request'),
      upstreamDuration: (_, durationMs) => void seen.upstream.push(`duration ${durationMs}`),
      upstreamFailure: () => void seen.upstream.push('failure'),
      failed: (why, transport) => void seen.failed.push(`${transport} ${why}`),
    },
    limits: DNS,
    answered: (uid, name, addresses) =>
      void seen.answered.push(`${uid} ${name} ${addresses.map(({ ip, ttlMs }) => `${ip} ${ttlMs}`)}`),
    workloads: () => 1,
    ...overrides,
  };
  return { clock, seen, responder: createDnsResponder(effects) };
}

const queryBytes = (name: string, type: 'A' | 'AAAA' | 'MX' | 'SRV' = 'A', id = 5): Buffer =>
  encode({ type: 'query', id, flags: RECURSION_DESIRED, questions: [{ type, name, class: 'IN' }] });

function replyTo(bytes: Buffer, rcode: number): Buffer {
  const { id, questions } = decode(bytes);
  return encode({ type: 'response', id: id ?? 0, flags: rcode, questions: questions ?? [] });
}

function summary(reply: Buffer | null) {
  const packet: DecodedPacket = decode(reply ?? assert.fail('no reply'));
  const data = (packet.answers ?? []).map((record) => ('data' in record ? record.data : null));
  return { rcode: Reflect.get(packet, 'rcode'), authoritative: packet.flag_aa, data };
}

/** A socket whose other end is in the test's hands. */
function socketPair() {
  const sent: Buffer[] = [];
  const stream: Duplex = new Duplex({
    read() {},
    write(chunk: Buffer, _, done) {
      sent.push(chunk);
      done();
    },
  });
  const replies = () => sent.map((framed) => decode(framed.subarray(2)).id);
  return { stream, replies, receive: (bytes: Buffer | null) => stream.push(bytes) };
}

test('B61: a mesh name is answered without asking anyone', async () => {
  const { responder, seen } = setup({ forward: () => assert.fail('forwarded') });
  const got = summary(await responder.handleUdp(queryBytes('reviews'), 'known'));
  assert.deepEqual([got.rcode, got.authoritative, got.data.length], ['NOERROR', true, 3]);
  assert.deepEqual(seen.requests, [{ workload: 'known', queryType: 'A', transport: 'udp' }]);
});

test('B61: the order of the answers is drawn anew each time', async () => {
  const lots = [0.3, 0.1, 0.2, 0.1, 0.2, 0.3];
  const { responder } = setup({ random: () => lots.shift() ?? 0 });
  assert.deepEqual(summary(await responder.handleUdp(queryBytes('reviews'), 'known')).data, ['10.0.0.2', '10.0.0.3', '10.0.0.1']);
  assert.deepEqual(summary(await responder.handleUdp(queryBytes('reviews'), 'known')).data, ['10.0.0.1', '10.0.0.2', '10.0.0.3']);
});

test('B61: the wrong family is NOERROR without records', async () => {
  const { responder } = setup();
  const got = summary(await responder.handleUdp(queryBytes('reviews', 'AAAA'), 'known'));
  assert.deepEqual([got.rcode, got.authoritative, got.data], ['NOERROR', true, []]);
});

test('B61: unknown names are forwarded, and NXDOMAIN passed through', async () => {
  const { responder, seen } = setup();
  assert.equal(summary(await responder.handleUdp(queryBytes('nowhere.example'), 'known')).rcode, 'NXDOMAIN');
  assert.deepEqual(seen.upstream, ['request', 'duration 0']);
  assert.deepEqual(seen.failed, []);
});

const absences = [
  { name: 'reviews', type: 'MX', rcode: 'NOERROR', soa: false },
  { name: 'nobody.shop.svc.cluster.local', type: 'A', rcode: 'NXDOMAIN', soa: true },
  { name: '_grpclb._tcp.x.svc.cluster.local', type: 'SRV', rcode: 'NXDOMAIN', soa: true },
  { name: 'shop.svc.cluster.local', type: 'A', rcode: 'NOERROR', soa: true },
] as const;
for (const { name, type, rcode, soa } of absences) {
  test(`F15: ${type} of ${name} is ${rcode} without records, for 5 s, and asked of nobody`, async () => {
    const { responder, seen } = setup({ forward: () => assert.fail('forwarded') });
    const reply = await responder.handleUdp(queryBytes(name, type), 'known');
    const got = summary(reply);
    assert.deepEqual([got.rcode, got.authoritative, got.data, seen.failed], [rcode, true, [], []]);
    const [authority] = decode(reply ?? assert.fail()).authorities ?? [];
    assert.deepEqual(
      authority?.type === 'SOA' && [authority.name, authority.ttl, authority.data.minimum],
      soa && ['cluster.local', 5, 5],
    );
  });
}

test('F15: as long as the mesh is not known nobody says that a name is absent', async () => {
  const known = Promise.withResolvers<boolean>();
  const { responder, seen } = setup({ synced: () => known.promise });
  const asked = responder.handleUdp(queryBytes('nobody.shop.svc.cluster.local'), 'known');
  const present = summary(await responder.handleUdp(queryBytes('reviews.shop.svc.cluster.local'), 'known'));
  assert.equal(present.rcode, 'NOERROR', 'what is known already is answered');
  known.resolve(false);
  assert.equal(summary(await asked).rcode, 'SERVFAIL');
  assert.deepEqual(seen.failed, ['udp unknown-mesh']);
});

test('an unknown workload gets SERVFAIL, even for a mesh name', async () => {
  const { responder, seen } = setup();
  assert.equal(summary(await responder.handleUdp(queryBytes('reviews'), 'stranger')).rcode, 'SERVFAIL');
  assert.deepEqual(seen.failed, ['udp unknown-workload']);
});

const upstreamFailures = [
  { name: 'rejects', forward: async () => Promise.reject(new Error('unreachable')) },
  { name: 'throws', forward: () => assert.fail('thrown at once') },
];
for (const { name, forward } of upstreamFailures) {
  test(`an upstream that ${name} gives SERVFAIL`, async () => {
    const { responder, seen } = setup({ forward });
    assert.equal(summary(await responder.handleUdp(queryBytes('example.org'), 'known')).rcode, 'SERVFAIL');
    assert.deepEqual([seen.failed, seen.upstream], [['udp upstream-failed'], ['request', 'failure']]);
  });
}

test('an upstream that hangs is given up after the time limit, and its place is kept until it lets go', async () => {
  const signals: AbortSignal[] = [];
  const hanging = Promise.withResolvers<Buffer>();
  const forward = (_: Buffer, { signal }: { signal: AbortSignal }) => {
    signals.push(signal);
    return hanging.promise;
  };
  const { responder, clock, seen } = setup({ forward, limits: { ...DNS, forwardsPerWorkloadMax: 1 } });
  const first = responder.handleUdp(queryBytes('example.org'), 'known');
  clock.advance(DNS.forwardMs);
  assert.equal(summary(await first).rcode, 'SERVFAIL');
  assert.equal(signals[0]?.aborted, true);
  assert.equal(summary(await responder.handleUdp(queryBytes('example.org'), 'known')).rcode, 'SERVFAIL');
  hanging.reject(new Error('late'));
  await turn();
  void responder.handleUdp(queryBytes('example.org'), 'known');
  assert.equal(signals.length, 2);
  assert.deepEqual(seen.failed, ['udp upstream-failed', 'udp too-many-queries']);
});

test('one workload cannot take the places of another', async () => {
  const forward = () => new Promise<Buffer>(() => {});
  const clientOf = () => ({ namespace: 'shop' });
  const { responder, seen } = setup({ forward, clientOf, limits: { ...DNS, forwardsMax: 3, forwardsPerWorkloadMax: 2 } });
  for (const workload of ['a', 'a', 'a', 'b']) void responder.handleUdp(queryBytes('example.org'), workload);
  await turn();
  assert.deepEqual(seen.failed, ['udp too-many-queries']);
  assert.equal(seen.upstream.length, 3);
});

test('another opcode is NOTIMP, nonsense is FORMERR, a response gets no reply at all', async () => {
  const { responder, seen } = setup();
  const query = queryBytes('reviews');
  const changed = (at: number, value: number) => {
    const copy = Buffer.from(query);
    copy.writeUInt16BE(value, at);
    return copy;
  };
  assert.equal(summary(await responder.handleUdp(changed(2, 0x2800), 'known')).rcode, 'NOTIMP');
  assert.equal(summary(await responder.handleUdp(changed(4, 3), 'known')).rcode, 'FORMERR');
  assert.equal(await responder.handleUdp(changed(2, 0x8000), 'known'), null);
  assert.deepEqual(seen.failed, ['udp not-implemented', 'udp malformed', 'udp malformed']);
});

test('a type without a name is counted as OTHER', async () => {
  const { responder, seen } = setup();
  const query = queryBytes('reviews');
  query.writeUInt16BE(65_280, query.length - 4);
  await responder.handleUdp(query, 'known');
  assert.equal(seen.requests[0]?.queryType, 'OTHER');
});

test('a long forwarded reply is cut for UDP and whole for TCP', async () => {
  const forward = async (bytes: Buffer) => Buffer.concat([replyTo(bytes, 0), Buffer.alloc(600)]);
  const { responder } = setup({ forward });
  const reply = await responder.handleUdp(queryBytes('example.org'), 'known');
  assert.equal(decode(reply ?? assert.fail()).flag_tc, true);
  const { stream, replies, receive } = socketPair();
  void responder.handleTcp(stream, 'known');
  receive(frameMessage(queryBytes('example.org')));
  await turn();
  assert.deepEqual(replies(), [5]);
});

test('TCP: queries of one connection are answered as they are ready, and all of them before it ends', async () => {
  const slow = Promise.withResolvers<Buffer>();
  const { responder } = setup({ forward: () => slow.promise });
  const { stream, replies, receive } = socketPair();
  const served = responder.handleTcp(stream, 'known');
  receive(Buffer.concat([frameMessage(queryBytes('example.org', 'A', 1)), frameMessage(queryBytes('reviews', 'A', 2))]));
  receive(null);
  await turn();
  assert.deepEqual(replies(), [2]);
  slow.resolve(replyTo(queryBytes('example.org', 'A', 1), 0));
  await served;
  assert.deepEqual(replies(), [2, 1]);
});

test('TCP: only so many queries of one connection run at once, the rest follow', async () => {
  const waiting: (() => void)[] = [];
  const forward = (bytes: Buffer) => new Promise<Buffer>((resolve) => void waiting.push(() => resolve(replyTo(bytes, 0))));
  const { responder } = setup({ forward });
  const { stream, replies, receive } = socketPair();
  void responder.handleTcp(stream, 'known');
  receive(Buffer.concat(Array.from({ length: 40 }, (_, id) => frameMessage(queryBytes('example.org', 'A', id)))));
  await turn();
  assert.equal(waiting.length, 16);
  assert.equal(stream.isPaused(), true);
  for (let rounds = 0; replies().length < 40 && rounds < 10; rounds++) {
    for (const release of waiting.splice(0)) release();
    await turn();
  }
  assert.equal(replies().length, 40);
  assert.equal(stream.isPaused(), false);
});

test('TCP: a connection that idles for 5 s is closed, one that waits for an upstream is not', async () => {
  const { responder, clock } = setup({
    forward: () => new Promise<Buffer>(() => {}),
    limits: { ...DNS, forwardMs: 60_000 },
  });
  const [idle, busy] = [socketPair(), socketPair()];
  const served = responder.handleTcp(idle.stream, 'known');
  void responder.handleTcp(busy.stream, 'known');
  busy.receive(frameMessage(queryBytes('example.org')));
  idle.receive(Buffer.of(0)); // half of a length: no progress
  await turn();
  clock.advance(5_000);
  await served;
  assert.deepEqual([idle.stream.destroyed, busy.stream.destroyed], [true, false]);
});

test('TCP: a client that never reads its replies is closed', async () => {
  const { responder, clock } = setup();
  let written = 0;
  const stuck: Duplex = new Duplex({
    read() {},
    write() {
      written++; // never calls back: the peer's window is shut
    },
    writableHighWaterMark: 64,
  });
  const served = responder.handleTcp(stuck, 'known');
  stuck.push(Buffer.concat(Array.from({ length: 100 }, () => frameMessage(queryBytes('reviews')))));
  await turn();
  assert.equal(stuck.isPaused(), true);
  assert.ok(written < 100 && stuck.writableLength < 10_000);
  clock.advance(5_000);
  await served;
});

for (const plant of ['clock', 'stream'] as const) {
  test(`S17: a mistake over one connection (${plant}) closes it, is reported, and gives its place back`, async () => {
    const told: unknown[] = [];
    const mishaps = { ...SILENT_MISHAPS, report: (entry: string, error: unknown) => void told.push([entry, String(error)]) };
    const clock = new SteppedClock();
    let isPlanted = true;
    const after = (delayMs: number, task: () => void) => {
      if (isPlanted && plant === 'clock') throw new Error('planted');
      return clock.after(delayMs, task);
    };
    const { responder, seen } = setup({
      mishaps,
      clock: {
        nowMs: () => clock.nowMs(),
        monotonicMs: () => clock.monotonicMs(),
        every: (periodMs, task) => clock.every(periodMs, task),
        after,
      },
      limits: { ...DNS, connectionsPerWorkloadMax: 1 },
    });
    const bad = socketPair();
    if (plant === 'stream') {
      bad.stream.write = () => {
        throw new Error('planted');
      };
    }
    const served = responder.handleTcp(bad.stream, 'known');
    if (!bad.stream.destroyed) bad.receive(frameMessage(queryBytes('reviews')));
    await served;
    assert.equal(bad.stream.destroyed, true);
    assert.deepEqual(told, [['accept', 'Error: planted']]);
    isPlanted = false;
    const good = socketPair();
    void responder.handleTcp(good.stream, 'known');
    good.receive(frameMessage(queryBytes('reviews', 'A', 9)));
    await turn();
    assert.deepEqual([good.replies(), seen.failed], [[9], []]);
  });
}

test('TCP: a broken stream, one connection too many, and stopping all close connections', async () => {
  const { responder, seen } = setup({ limits: { ...DNS, connectionsPerWorkloadMax: 1 } });
  const [broken, second, third] = [socketPair(), socketPair(), socketPair()];
  const served = responder.handleTcp(broken.stream, 'known');
  await responder.handleTcp(second.stream, 'known');
  broken.receive(Buffer.of(0, 3, 1, 2, 3));
  await served;
  const last = responder.handleTcp(third.stream, 'known');
  responder.stop();
  await last;
  assert.deepEqual(seen.failed, ['tcp too-many-connections', 'tcp malformed']);
});

test('B70: what nameservers outside answer is told of whoever asked, before he hears of it; what the mesh answers is not', async () => {
  const answers = [{ type: 'A', name: 'db.example.org', ttl: 60, data: '9.9.9.9' }] as const;
  let isThere = false;
  const { responder, seen } = setup({
    async forward(bytes) {
      isThere = true;
      const { id = 0, questions = [] } = decode(bytes);
      return encode({ type: 'response', id, questions, answers: [...answers] });
    },
    answered: (uid, name, addresses) => void seen.answered.push(`${isThere} ${uid} ${name} ${addresses.map(({ ip }) => ip)}`),
  });
  await responder.handleUdp(queryBytes('DB.example.org'), 'known');
  await responder.handleUdp(queryBytes('reviews'), 'known');
  await responder.handleUdp(queryBytes('db.example.org', 'MX'), 'known');
  await responder.handleUdp(queryBytes('db.example.org'), 'stranger');
  assert.deepEqual(seen.answered, ['true known DB.example.org 9.9.9.9']);
});

test('B73: what a name may mean is asked for before it is said that there is none, and where it is not answered nobody says so', async () => {
  const asked: string[][] = [];
  for (const isAnswered of [true, false]) {
    const { responder } = setup({
      asked: async (workload, services) => {
        asked.push([workload, ...services]);
        return isAnswered;
      },
    });
    const reply = await responder.handleUdp(queryBytes('cart.bank.svc.cluster.local'), 'known');
    assert.equal(summary(reply).rcode, isAnswered ? 'NXDOMAIN' : 'SERVFAIL');
  }
  assert.deepEqual(asked, Array(2).fill(['known', 'bank/cart.bank.svc.cluster.local', 'shop/cart.bank', 'shop/*.bank']));
});
