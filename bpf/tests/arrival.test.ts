import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { familyOf, type IpAddress, ipToBytes16, parseIp } from '#model/address/ip.ts';
import { ADDRESS_FLAG, HOOK, REASON, SCHEMA } from '#model/kernel/abi.ts';
import type { MapKey, MapName, MapValue } from '#model/kernel/maps.ts';
import { PORT } from '#model/mesh/ports.ts';
import { runProgram } from '#platform/bpf/kernel-calls.testing.ts';
import { type LoadedProgram, loadProgram, withoutPrograms } from './loaded.testing.ts';

const [TCP, UDP] = [6, 17];
const [DROP, PASS] = [0, 1];
const ID = 7;

type Arrival = { from: IpAddress; to: IpAddress; port: number; protocol: number };
const SYN: Arrival = { from: parseIp('10.7.0.1'), to: parseIp('10.7.0.2'), port: 8080, protocol: TCP };
const SYN6: Arrival = { ...SYN, from: parseIp('fd07::1'), to: parseIp('fd07::2') };

/**
 * struct bpf_sk_lookup of the kernel: the remote port and addresses in network order, the local port in host order. A run by
 * itself cannot come from an interface: what comes over loopback is tried by test/kernel.
 */
function contextOf({ from, to, port, protocol }: Arrival): Buffer {
  const bytes = Buffer.alloc(72);
  const v4 = familyOf(from) === 4;
  bytes.writeUInt32LE(v4 ? 2 : 10, 8);
  bytes.writeUInt32LE(protocol, 12);
  const [remote, local] = [Buffer.from(ipToBytes16(from)), Buffer.from(ipToBytes16(to))];
  if (v4) remote.copy(bytes, 16, 12);
  else remote.copy(bytes, 20);
  bytes.writeUInt16BE(40_000, 36);
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
    });
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
  function address(ip: IpAddress, flags: number): void {
    put('addresses', ip, { id: ID, flags, waypointId: 0 });
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
  function isRefused(arrival: Arrival, reason: number, destinationId: number): void {
    assert.deepEqual(arrive(arrival), { answer: DROP, socket: 0n });
    assert.deepEqual(loaded.counted(), { inbound_refused: 1 });
    const [event, ...more] = loaded.events();
    assert.deepEqual(
      { ...event, timeNs: 0n },
      {
        timeNs: 0n,
        sourceId: 0,
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

    test(`${family}: an attested flow passes, the same from another port does not`, () => {
      const flow = { netnsCookie: 0n, source: syn.from, destination: syn.to, sourcePort: 40_000, destinationPort: 9090 };
      const origin = { sourceId: 3, destinationId: ID, dialled: syn.to, backend: syn.to, dialledPort: 80, backendPort: 9090 };
      put('attested', flow, { ...origin, reason: REASON.direct });
      passes({ ...syn, port: 9090 }, { inbound_attested: 1 });
      isRefused({ ...syn, port: 9091 }, REASON.noAgent, ID);
      loaded.map('attested').delete(flow);
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
});
