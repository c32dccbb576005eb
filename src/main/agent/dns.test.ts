import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { type DecodedPacket, decode, encode, RECURSION_DESIRED } from 'dns-packet';
import { SILENT_LOG } from '#model/effects/log.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { aMesh, aService } from '#model/mesh/mesh-fixtures.testing.ts';
import type { DnsCounters } from '#node-agent/dns/effects.ts';
import { systemClock } from '#platform/clock.ts';
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
  };
  const dns = openDns(settings, MESH, (uid) => (uid === 'known' ? 'shop' : null));
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
