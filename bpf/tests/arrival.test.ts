import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { familyOf, type IpAddress, ipToBytes16, parseIp } from '#model/address/ip.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { createMishaps } from '#model/effects/mishaps.ts';
import { ADDRESS_FLAG, HOOK, REASON, SCHEMA, TAKEN } from '#model/kernel/abi.ts';
import { EVENT, type KernelEvent, type MapKey, type MapName, type MapValue } from '#model/kernel/maps.ts';
import { PORT } from '#model/mesh/ports.ts';
import { runProgram } from '#platform/bpf/kernel-calls.testing.ts';
import { readRing } from '#platform/bpf/reports.ts';
import { systemClock } from '#platform/clock.ts';
import { type LoadedProgram, loadProgram, withoutPrograms } from './loaded.testing.ts';

const [TCP, UDP] = [6, 17];
const [DROP, PASS] = [0, 1];
const ID = 7;

type Arrival = { from: IpAddress; to: IpAddress; port: number; protocol: number; fromPort?: number };
const SYN: Arrival = { from: parseIp('10.7.0.1'), to: parseIp('10.7.0.2'), port: 8080, protocol: TCP };
const SYN6: Arrival = { ...SYN, from: parseIp('fd07::1'), to: parseIp('fd07::2') };

/**
 * struct bpf_sk_lookup of the kernel: the remote port and addresses in network order, the local port in host order. A run by
 * itself cannot come from an interface: what comes over loopback is tried by test/kernel.
 */
function contextOf({ from, to, port, protocol, fromPort = 40_000 }: Arrival): Buffer {
  const bytes = Buffer.alloc(72);
  const v4 = familyOf(from) === 4;
  bytes.writeUInt32LE(v4 ? 2 : 10, 8);
  bytes.writeUInt32LE(protocol, 12);
  const [remote, local] = [Buffer.from(ipToBytes16(from)), Buffer.from(ipToBytes16(to))];
  if (v4) remote.copy(bytes, 16, 12);
  else remote.copy(bytes, 20);
  bytes.writeUInt16BE(fromPort, 36);
  if (v4) local.copy(bytes, 40, 12);
  else local.copy(bytes, 44);
  bytes.writeUInt32LE(port, 60);
  return bytes;
}

/** The production program, run by the kernel on made-up SYNs. */
describe('arrival', { skip: withoutPrograms }, () => {
  let loaded: LoadedProgram;
  let listener: Server;

  before(() => {
    loaded = loadProgram('attach', 'lookup');
    loaded.map('config').set(0, {
      schema: SCHEMA,
      generation: 5,
      flags: 0,
      outboundPort: PORT.outbound,
      plaintextPort: PORT.plaintext,
      hbonePort: PORT.hbone,
      dnsPort: PORT.dns,
      waypointPort: PORT.waypoint,
      lastId: 0,
    });
    // A run by itself has no namespace: the copy of cookie 0 is the one that is loaded.
    loaded.map('workloads').set(0n, { id: ID, flags: 0, ip4: SYN.to, ip6: SYN6.to });
    for (const ip of [SYN.to, SYN6.to]) address(ip, ADDRESS_FLAG.local);
  });
  beforeEach(() => {
    loaded.counted();
    loaded.events();
  });
  after(() => {
    listener?.close();
    loaded?.close();
  });

  function put<Name extends MapName>(name: Name, key: MapKey<Name>, value: MapValue<Name>): void {
    loaded.map(name).set(key, value);
  }
  function address(ip: IpAddress, flags: number, id = ID, waypointId = 0): void {
    put('addresses', ip, { id, flags, waypointId });
  }
  const verdict = (allow: number, generation = 5): void =>
    put('verdicts', { sourceId: 0, destinationId: ID, port: SYN.port }, { generation, allow });

  function arrive(arrival: Arrival): { answer: number; socket: bigint } {
    const run = runProgram(loaded.program('weft_arrival'), contextOf(arrival));
    assert.ok(run !== null, 'this kernel runs sk_lookup programs since 5.9');
    return { answer: run.returned, socket: run.context.readBigUInt64LE(0) };
  }
  function passes(arrival: Arrival, counted: Record<string, number> = {}): void {
    assert.deepEqual(arrive(arrival), { answer: PASS, socket: 0n });
    assert.deepEqual([loaded.counted(), loaded.events()], [counted, []]);
  }
  function isRefused(arrival: Arrival, reason: number, destinationId: number, sourceId = 0): void {
    assert.deepEqual(arrive(arrival), { answer: DROP, socket: 0n });
    assert.deepEqual(loaded.counted(), { inbound_refused: 1 });
    const [event, ...more] = loaded.events();
    assert.deepEqual(
      { ...event, timeNs: 0n },
      {
        timeNs: 0n,
        sourceId,
        destinationId,
        source: arrival.from,
        destination: arrival.to,
        sourcePort: 40_000,
        destinationPort: arrival.port,
        reason,
        hook: HOOK.lookup,
      },
    );
    assert.deepEqual(more, []);
  }

  for (const [family, syn] of [
    ['IPv4', SYN],
    ['IPv6', SYN6],
  ] as const) {
    test(`${family}: what comes from the own address is none of our business`, () => {
      passes({ ...syn, from: syn.to, port: PORT.plaintext });
    });

    test(`${family}: HBONE reaches its listener, which asks for a certificate itself`, () =>
      passes({ ...syn, port: PORT.hbone }));

    for (const port of [PORT.outbound, PORT.plaintext, PORT.dns]) {
      test(`${family}: port ${port} of the agent is closed to others`, () => isRefused({ ...syn, port }, REASON.reservedPort, 0));
    }

    describe(`${family}: an attested flow`, () => {
      const flow = { netnsCookie: 0n, source: syn.from, destination: syn.to, sourcePort: 40_000, destinationPort: 9090 };
      const ends = { dialled: syn.to, backend: syn.to, dialledPort: 80, backendPort: 9090 };
      const origin = { sourceId: 3, destinationId: ID, ...ends, reason: REASON.direct, taken: TAKEN.not, generation: 5 };
      const attest = (change: Partial<MapValue<'attested'>> = {}): void => put('attested', flow, { ...origin, ...change });
      const arrives = { ...syn, port: 9090 };
      const pair = (allow: number, generation = 5): void =>
        put('verdicts', { sourceId: 3, destinationId: ID, port: 9090 }, { generation, allow });
      after(() => {
        loaded.map('attested').delete(flow);
        loaded.map('verdicts').delete({ sourceId: 3, destinationId: ID, port: 9090 });
        loaded.map('addresses').delete(syn.from);
        address(syn.to, ADDRESS_FLAG.local);
      });

      test('passes, the same from another port does not', () => {
        attest();
        passes(arrives, { inbound_attested: 1 });
        isRefused({ ...syn, port: 9091 }, REASON.noAgent, ID);
      });

      test('passes once: when its connection is established, another SYN of these ends is refused', () => {
        attest({ taken: TAKEN.byOne });
        isRefused(arrives, REASON.notAttested, ID, 3);
        assert.deepEqual(arrive(arrives), { answer: DROP, socket: 0n });
        assert.deepEqual([loaded.counted(), loaded.events()], [{ inbound_refused: 1 }, []], 'told once for each connection');
      });

      test('that was aborted: what its peer had under way is refused without a word', () => {
        attest({ taken: TAKEN.byOne });
        put('workloads', 0n, { id: 3, flags: 0, ip4: SYN.from, ip6: SYN6.from });
        address(syn.from, ADDRESS_FLAG.local, 3);
        const back = { from: syn.to, to: syn.from, port: 40_000, protocol: TCP };
        assert.deepEqual(arrive({ ...back, fromPort: 9090 }), { answer: DROP, socket: 0n });
        assert.deepEqual([loaded.counted(), loaded.events()], [{ inbound_refused: 1 }, []]);
        isRefused(back, REASON.notAttested, 3, ID);
        loaded.map('addresses').delete(syn.from);
        put('workloads', 0n, { id: ID, flags: 0, ip4: SYN.to, ip6: SYN6.to });
      });

      test('is refused in the namespace of another enrolment than was meant', () => {
        attest({ destinationId: ID + 1 });
        isRefused(arrives, REASON.notAttested, ID, 3);
      });

      test('of an older generation is judged by the verdict of now: allowed, denied, or asked of the agent', () => {
        attest({ generation: 4 });
        pair(1);
        passes(arrives, { inbound_attested: 1 });
        pair(0);
        isRefused(arrives, REASON.denied, ID, 3);
        pair(1, 4);
        isRefused(arrives, REASON.noAgent, ID, 3);
      });

      test('of an older generation asks the agent when a waypoint was bound meanwhile, to the address or the service', () => {
        attest({ generation: 4 });
        pair(1);
        address(syn.to, ADDRESS_FLAG.local, ID, 50);
        isRefused(arrives, REASON.noAgent, ID, 3);
        address(syn.to, ADDRESS_FLAG.local);
        const key = { ip: syn.to, port: 80, protocol: TCP };
        put('services', key, { id: 1, backendCount: 1, waypointId: 50, flags: 0 });
        isRefused(arrives, REASON.noAgent, ID, 3);
        put('services', key, { id: 1, backendCount: 1, waypointId: 0, flags: 0 });
        passes(arrives, { inbound_attested: 1 });
        loaded.map('services').delete(key);
      });

      test('for a waypoint is not judged here: it asks for itself', () => {
        attest({ reason: REASON.waypoint, generation: 4 });
        pair(0);
        passes(arrives, { inbound_attested: 1 });
      });

      test('is what a workload of this node must have: without it it is refused, even where plain text is open', () => {
        loaded.map('attested').delete(flow);
        address(syn.to, ADDRESS_FLAG.local | ADDRESS_FLAG.plaintextOpen);
        passes(arrives, { inbound_open: 1 });
        address(syn.from, ADDRESS_FLAG.local, 3);
        isRefused(arrives, REASON.notAttested, ID, 3);
        address(syn.from, ADDRESS_FLAG.hbone, 3);
        passes(arrives, { inbound_open: 1 });
        address(syn.from, ADDRESS_FLAG.local, ID);
        passes(arrives);
      });
    });

    test(`${family}: an address of another enrolment of this node is not served here`, () => {
      address(syn.to, ADDRESS_FLAG.local | ADDRESS_FLAG.plaintextOpen, ID + 1);
      isRefused(syn, REASON.notLocal, 0);
      address(syn.to, ADDRESS_FLAG.local);
    });

    test(`${family}: an address that no workload of this node has is refused`, () => {
      isRefused({ ...syn, to: syn.from, from: syn.to }, REASON.notLocal, 0);
      address(syn.from, ADDRESS_FLAG.hbone);
      isRefused({ ...syn, to: syn.from, from: syn.to }, REASON.notLocal, 0);
      loaded.map('addresses').delete(syn.from);
    });

    test(`${family}: plain text passes where nothing restricts it, even with an old denial in the cache`, () => {
      address(syn.to, ADDRESS_FLAG.local | ADDRESS_FLAG.plaintextOpen);
      passes(syn, { inbound_open: 1 });
      verdict(0);
      passes(syn, { inbound_open: 1 });
      address(syn.to, ADDRESS_FLAG.local);
    });

    test(`${family}: a cached verdict for plain text decides: allow passes, deny is refused`, () => {
      verdict(1);
      passes(syn, { inbound_open: 1 });
      verdict(0);
      isRefused(syn, REASON.denied, ID);
    });

    test(`${family}: a verdict of another generation or port is none, and without an agent that means refused`, () => {
      verdict(1, 4);
      isRefused(syn, REASON.noAgent, ID);
      verdict(1);
      isRefused({ ...syn, port: 8081 }, REASON.noAgent, ID);
      loaded.map('verdicts').delete({ sourceId: 0, destinationId: ID, port: SYN.port });
    });
  }

  test('in a namespace that nobody is enrolled in nothing arrives', () => {
    loaded.map('workloads').delete(0n);
    address(SYN.to, ADDRESS_FLAG.local | ADDRESS_FLAG.plaintextOpen);
    isRefused(SYN, REASON.notLocal, 0);
    address(SYN.to, ADDRESS_FLAG.local);
    loaded.map('workloads').set(0n, { id: ID, flags: 0, ip4: SYN.to, ip6: SYN6.to });
  });

  test('datagrams pass, but not to the DNS listener of a workload', () => {
    passes({ ...SYN, protocol: UDP });
    assert.deepEqual(arrive({ ...SYN, protocol: UDP, port: PORT.dns }), { answer: DROP, socket: 0n });
  });

  test('plain text that nobody has judged is given to the listener of the agent', async () => {
    listener = createServer().listen(0, '::');
    await once(listener, 'listening');
    const { fd } = (listener as unknown as { _handle: { fd: number } })._handle;
    put('listeners', ID, BigInt(fd));
    const { answer, socket } = arrive(SYN);
    assert.equal(answer, PASS);
    assert.equal(socket, loaded.map('listeners').get(ID), 'the socket chosen is the listener');
    assert.notEqual(socket, 0n);
    assert.deepEqual([loaded.counted(), loaded.events()], [{ inbound_agent: 1 }, []]);
  });

  test('S17: an exception over one event of the ring loses that one: it is counted, and those behind it are read', () => {
    const mishaps = createMishaps(SILENT_LOG, systemClock);
    const heard: number[] = [];
    const takes = ({ destinationPort }: KernelEvent): void => {
      if (destinationPort === PORT.plaintext) throw new TypeError('planted');
      heard.push(destinationPort);
    };
    const reader = readRing(loaded.eventsFd, EVENT, takes, mishaps);
    for (const port of [PORT.outbound, PORT.plaintext, PORT.dns]) arrive({ ...SYN, port });
    assert.equal(reader.drain(10), 3);
    reader.close();
    assert.deepEqual([heard, [...mishaps.counts()]], [[PORT.outbound, PORT.dns], [['kernel-event', 1]]]);
  });
});
