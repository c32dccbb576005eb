import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type DecodedPacket, decode, encode, RECURSION_DESIRED, streamEncode } from 'dns-packet';
import { SILENT_LOG } from '#model/effects/log.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { aMesh, aService } from '#model/mesh/mesh-fixtures.testing.ts';
import type { DnsCounters } from '#node-agent/dns/effects.ts';
import type { DnsResponder } from '#node-agent/dns/responder.ts';
import { systemClock } from '#platform/clock.ts';
import { chooseIo } from '#platform/io/choice/choose.ts';
import type { Io } from '#platform/io/io.ts';
import { tcpListenerIn } from '#platform/linux/netns/sockets.ts';
import { asDuplex } from '#protocol/stream/duplex.ts';
import { openDns } from './effects.ts';

const MESH = aMesh([], [aService('cart', ['240.0.0.1'])]);

/** A nameserver on loopback that knows every name as 9.9.9.9; `asked` are the names. */
async function aNameserver(t: TestContext) {
  const asked: string[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (bytes, from) => {
    const { id = 0, questions = [] } = decode(bytes);
    const name = questions[0]?.name ?? '';
    asked.push(name);
    const answers = [{ type: 'A' as const, name, ttl: 60, data: '9.9.9.9' }];
    socket.send(encode({ type: 'response', id, questions, answers }), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.after(() => socket.close());
  return { asked, nameserver: { address: '127.0.0.1', port: socket.address().port } };
}

async function setUp(t: TestContext) {
  const { asked, nameserver } = await aNameserver(t);
  const counted: string[] = [];
  const count = (what: string) => () => void counted.push(what);
  const counters: DnsCounters = {
    request: count('request'),
    upstreamRequest: count('upstream request'),
    upstreamDuration: count('upstream reply'),
    upstreamFailure: count('upstream failure'),
    failed: (why) => void counted.push(why),
  };
  const settings = {
    nameservers: [nameserver],
    clusterDomain: 'cluster.local',
    clock: systemClock,
    log: SILENT_LOG,
    mishaps: SILENT_MISHAPS,
    counters,
    workloads: () => 1,
    synced: async () => true,
    asked: null,
    answered() {},
  };
  const dns = openDns(settings, MESH, (uid) => (uid === 'known' ? { namespace: 'shop' } : null));
  t.after(() => dns.stop());
  const ask = async (name: string, uid = 'known') => {
    const query = encode({ type: 'query', id: 7, flags: RECURSION_DESIRED, questions: [{ type: 'A', name, class: 'IN' }] });
    const packet: DecodedPacket = decode((await dns.handleUdp(query, uid)) ?? assert.fail('no reply'));
    const data = (packet.answers ?? []).flatMap((one) => ('data' in one ? [one.data] : []));
    return { rcode: Reflect.get(packet, 'rcode'), data, ttl: packet.answers?.[0] };
  };
  return { asked, counted, ask, dns };
}

test('B61: names of the mesh are answered here, all others by the nameserver of the node', async (t) => {
  const { ask, asked } = await setUp(t);
  assert.deepEqual((await ask('cart')).data, ['240.0.0.1']);
  assert.deepEqual((await ask('example.org')).data, ['9.9.9.9']);
  assert.deepEqual(asked, ['example.org']);
});

test('what is asked, forwarded and failed is counted', async (t) => {
  const { ask, counted } = await setUp(t);
  await ask('cart');
  await ask('example.org');
  assert.equal((await ask('cart', 'stranger')).rcode, 'SERVFAIL');
  assert.deepEqual(counted, ['request', 'request', 'upstream request', 'upstream reply', 'request', 'unknown-workload']);
});

test('after the end nothing is forwarded any more', async (t) => {
  const { ask, asked, dns, counted } = await setUp(t);
  dns.stop();
  assert.equal((await ask('example.org')).rcode, 'SERVFAIL');
  assert.deepEqual([asked, counted], [[], ['request', 'too-many-queries']]);
});

/** What the agent's listener does with a connection, on a real socket of this machine. */
function listenOn(t: TestContext, dns: DnsResponder, io: Io): number {
  const netnsFd = openSync('/proc/self/ns/net', 'r');
  t.after(() => closeSync(netnsFd));
  const { fd, port } = tcpListenerIn({ netnsFd, mark() {} }, 0);
  const listener = io.listen(fd, (stream) => void dns.handleTcp(asDuplex(stream), 'known'));
  t.after(() => listener.close());
  return port;
}

const framed = (id: number, name: string): Buffer =>
  streamEncode({ type: 'query', id, flags: RECURSION_DESIRED, questions: [{ type: 'A', name, class: 'IN' }] });

for (const kind of ['core', 'node'])
  test(`F6: names are answered over TCP on real sockets, however the bytes come, until the client is done (${kind})`, async (t) => {
    const { dns } = await setUp(t);
    const port = listenOn(t, dns, chooseIo(kind, systemClock, SILENT_MISHAPS));
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    const got: Buffer[] = [];
    socket.on('data', (bytes: Buffer) => got.push(bytes));
    const bytes = Buffer.concat([framed(1, 'cart'), framed(2, 'nobody.shop.svc.cluster.local'), framed(3, 'cart')]);
    for (const at of [0, 1, 20, 50]) socket.write(bytes.subarray(at, [1, 20, 50, bytes.length][[0, 1, 20, 50].indexOf(at)]));
    const answered = (): Record<number, unknown> => {
      let rest = Buffer.concat(got);
      const found: Record<number, unknown> = {};
      while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
        const { id = 0, answers = [] } = decode(rest.subarray(2, 2 + rest.readUInt16BE(0)));
        found[id] = answers.map((one) => 'data' in one && one.data).join();
        rest = rest.subarray(2 + rest.readUInt16BE(0));
      }
      return found;
    };
    while (Object.keys(answered()).length < 3) await once(socket, 'data', { signal: AbortSignal.timeout(5_000) });
    assert.deepEqual(answered(), { 1: '240.0.0.1', 2: '', 3: '240.0.0.1' });
    socket.end(framed(4, 'cart')); // and is heard although it ends
    await once(socket, 'end', { signal: AbortSignal.timeout(5_000) });
    assert.equal(answered()[4], '240.0.0.1');
  });
