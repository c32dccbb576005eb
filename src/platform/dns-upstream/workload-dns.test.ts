import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import test from 'node:test';
import { decode, encode } from 'dns-packet';
import { familyOf, parseIp } from '#model/address/ip.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import type { Service } from '#model/mesh/service.ts';
import { DNS } from '#model/settings/dns.ts';
import { createDnsResponder, type DnsResponder } from '#node-agent/dns/responder.ts';
import { systemClock } from '#platform/clock.ts';
import { createDnsUpstream, ownNamespaceSockets } from '#platform/dns-upstream/upstream.ts';
import { inOwnNetns, runIn, testNode } from '#platform/linux/sandbox/own-netns.testing.ts';

const ENDPOINTS = Array.from({ length: 200 }, (_, at) => parseIp(`10.7.0.${at + 1}`));

function service(name: string, namespace: string, addresses: string[]): Service {
  const hostname = name.includes('.') ? name : `${name}.${namespace}.svc.cluster.local`;
  const rest = {
    ports: [],
    subjectAltNames: [],
    waypoint: null,
    loadBalancing: null,
    canonical: false,
    namespaceOnly: false,
    aliasOf: null,
    datagramPorts: [],
    affinityTimeoutS: 0,
    routes: [],
  };
  return { name, namespace, hostname, addresses: addresses.map(parseIp), ipFamilies: 'automatic', ...rest };
}

const SERVICES = [
  service('reviews', 'shop', ['10.9.0.1', 'fd09::1']),
  service('many', 'shop', []),
  service('*.partner.example', 'shop', ['10.9.0.2']),
];

/** A nameserver of the world: it knows `www.example.org` and nothing else. */
async function startNameserver() {
  const socket = createSocket('udp4');
  socket.on('message', (query, from) => {
    const { id = 0, questions = [] } = decode(query);
    const [{ name, type } = { name: '', type: 'A' as const }] = questions;
    const known = name.toLowerCase() === 'www.example.org';
    const answers = known && type === 'A' ? [{ type: 'A' as const, name, ttl: 60, data: '192.0.2.80' }] : [];
    socket.send(encode({ type: 'response', id, flags: known ? 0 : 3, questions, answers }), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return { nameserver: { address: '127.0.0.1', port: socket.address().port }, close: () => socket.close() };
}

function responderFor(nameserver: { address: string; port: number }): DnsResponder {
  const resolvConf = { current: async () => ({ nameservers: [nameserver], timeoutMs: 1_000, attempts: 1 }) };
  const upstream = createDnsUpstream({ resolvConf, sockets: ownNamespaceSockets, clock: systemClock });
  return createDnsResponder({
    view: () => ({
      servicesByHostname: (hostname) => SERVICES.filter((candidate) => candidate.hostname === hostname),
      endpointAddresses: (_, family) => ENDPOINTS.filter((address) => familyOf(address) === family),
      hasHostnameBelow: (name) => SERVICES.some(({ hostname }) => hostname.endsWith(`.${name}`)),
    }),
    synced: async () => true,
    asked: null,
    clientOf: () => ({ namespace: 'shop' }),
    forward: upstream.exchange,
    names: { clusterDomain: 'cluster.local', searchDomains: null, preferredNamespace: null, ipv6: true },
    random: Math.random,
    clock: systemClock,
    log: SILENT_LOG,
    mishaps: SILENT_MISHAPS,
    counters: { request() {}, upstreamRequest() {}, upstreamDuration() {}, upstreamFailure() {}, failed() {} },
    limits: DNS,
    workloads: () => 1,
    answered() {},
  });
}

/** The responder where workloads look for their nameserver. */
async function listenOn(address: string, responder: DnsResponder) {
  const udp = createSocket('udp4');
  udp.on('message', async (query, from) => {
    const reply = await responder.handleUdp(query, 'w');
    if (reply !== null) udp.send(reply, from.port, from.address);
  });
  udp.bind(53, address);
  const tcp = createServer((socket) => void responder.handleTcp(socket, 'w')).listen(53, address);
  await Promise.all([once(udp, 'listening'), once(tcp, 'listening')]);
  return () => {
    responder.stop();
    udp.close();
    tcp.close();
  };
}

inOwnNetns(import.meta.url, () => {
  test('B61, B62: the C library of a workload resolves mesh names and outside names, by UDP and by TCP', async (context) => {
    const world = await startNameserver();
    context.after(world.close);
    const node = await testNode({ uplinks: ['lo'] });
    context.after(node.clean);
    await node.sandboxes.prepareNode();
    const sandbox = await node.sandboxes.create({ namespace: 'shop', name: 'client' });
    context.after(await listenOn('10.41.1.1', responderFor(world.nameserver)));
    const lookUp = async (database: string, name: string) => {
      const { stdout, status } = await runIn(sandbox, ['getent', database, name], { mountResolvConf: true });
      const addresses = stdout.split('\n').flatMap((line) => line.match(/^\S+(?=\s+STREAM)/)?.[0] ?? []);
      return { status, addresses: addresses.sort() };
    };
    const names = [
      'reviews',
      'reviews.shop',
      'reviews.shop.svc',
      'reviews.shop.svc.cluster.local',
      'reviews.shop.svc.cluster.local.',
    ];
    for (const name of names)
      assert.deepEqual(await lookUp('ahosts', name), { status: 0, addresses: ['10.9.0.1', 'fd09::1'] }, name);
    assert.deepEqual((await lookUp('ahostsv4', 'api.partner.example')).addresses, ['10.9.0.2']);
    assert.deepEqual((await lookUp('ahostsv4', 'www.example.org')).addresses, ['192.0.2.80']);
    assert.equal((await lookUp('ahostsv4', 'nowhere.example.org')).status, 2);
    // Without an AAAA record the library shows the IPv4 address in its IPv6 form.
    assert.deepEqual((await lookUp('ahostsv6', 'www.example.org')).addresses, ['::ffff:192.0.2.80']);
    // 200 addresses do not fit in a datagram: the library asks again over TCP.
    assert.deepEqual((await lookUp('ahostsv4', 'many')).addresses, ENDPOINTS.map(String).sort());
  });
});
