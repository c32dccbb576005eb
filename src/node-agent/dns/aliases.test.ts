import assert from 'node:assert/strict';
import test from 'node:test';
import { type DecodedPacket, decode, encode, RECURSION_DESIRED } from 'dns-packet';
import { SILENT_LOG } from '#model/effects/log.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { aService } from '#model/mesh/mesh-fixtures.testing.ts';
import type { Service } from '#model/mesh/service.ts';
import { DNS } from '#model/settings/dns.ts';
import type { DnsEffects } from '#node-agent/dns/effects.ts';
import { createDnsResponder } from '#node-agent/dns/responder.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';

const named = (name: string): string => `${name}.shop.svc.cluster.local`;
const REVIEWS = aService('reviews', ['10.0.0.1', '10.0.0.2', '10.0.0.3'], { namespace: 'shop', hostname: named('reviews') });
const alias = (name: string, aliasOf: string): Service =>
  aService(name, [], { namespace: 'shop', hostname: named(name), ports: [], aliasOf });
const SERVICES = [
  REVIEWS,
  alias('inside', REVIEWS.hostname),
  alias('further', 'inside.shop.svc.cluster.local'),
  alias('outside', 'db.example.com'),
  alias('nowhere', 'nobody.shop.svc.cluster.local'),
  alias('round', 'about.shop.svc.cluster.local'),
  alias('about', 'round.shop.svc.cluster.local'),
];

type Forward = DnsEffects['forward'];
const nobody: Forward = () => Promise.reject(new Error('nobody is to be asked'));

function responderWith(forward: Forward) {
  return createDnsResponder({
    view: () => ({
      servicesByHostname: (hostname) => SERVICES.filter((one) => one.hostname === hostname),
      endpointAddresses: () => [],
      hasHostnameBelow: () => false,
    }),
    synced: async () => true,
    asked: null,
    clientOf: () => ({ namespace: 'shop' }),
    forward,
    names: { clusterDomain: 'cluster.local', searchDomains: null, preferredNamespace: null, ipv6: true },
    counters: { request() {}, upstreamRequest() {}, upstreamDuration() {}, upstreamFailure() {}, failed() {} },
    ...{
      random: () => 0.5,
      clock: new SteppedClock(),
      log: SILENT_LOG,
      mishaps: SILENT_MISHAPS,
      limits: DNS,
      workloads: () => 1,
      answered() {},
    },
  });
}

/** What a workload is told of a name; `edns`: as glibc asks with it. */
async function ask(forward: Forward, name: string, type: 'A' | 'AAAA' | 'MX' | 'CNAME', edns = false): Promise<DecodedPacket> {
  const option = { type: 'OPT', name: '.', udpPayloadSize: 1_232, extendedRcode: 0, ednsVersion: 0, flags: 0 } as const;
  const query = encode({
    ...{ type: 'query', id: 5, flags: RECURSION_DESIRED, questions: [{ type, name, class: 'IN' }] },
    additionals: edns ? [{ ...option, flag_do: false, options: [] }] : [],
  });
  const reply = decode((await responderWith(forward).handleUdp(query, 'known')) ?? assert.fail('no reply'));
  assert.deepEqual([reply.id, reply.questions?.[0]?.name, reply.additionals?.length ?? 0], [5, name, edns ? 1 : 0]);
  return reply;
}

const dataOf = ({ answers = [] }: DecodedPacket): unknown[] =>
  answers.map((record) => {
    const data: unknown = 'data' in record ? record.data : null;
    return data;
  });
const codeOf = (reply: DecodedPacket): string => String(Reflect.get(reply, 'rcode'));

for (const { asked, type = 'A', want } of [
  { asked: 'inside', want: `NOERROR ${REVIEWS.hostname} 10.0.0.1 10.0.0.2 10.0.0.3` },
  { asked: 'further', want: `NOERROR ${named('inside')} ${REVIEWS.hostname} 10.0.0.1 10.0.0.2 10.0.0.3` },
  { asked: 'inside', type: 'AAAA', want: `NOERROR ${REVIEWS.hostname}` },
  { asked: 'inside', type: 'CNAME', want: `NOERROR ${REVIEWS.hostname}` },
  { asked: 'nowhere', want: `NXDOMAIN ${named('nobody')}` },
  { asked: 'round', want: 'SERVFAIL' },
] as const)
  test(`F16: an alias answers with the name that it stands for and what that has: ${asked} ${type}`, async () => {
    const reply = await ask(nobody, named(asked), type);
    assert.equal([codeOf(reply), ...dataOf(reply)].join(' '), want);
  });

test('F16: an alias of a name outside is asked for outside, and answers with both names', async () => {
  const asked: string[] = [];
  const forward: Forward = async (bytes) => {
    const { id, questions } = decode(bytes);
    const name = questions?.[0]?.name ?? '';
    asked.push(`${name} ${questions?.[0]?.type}`);
    const answers = [
      { type: 'CNAME', name, data: 'real.example.com', ttl: 7 },
      { type: 'A', name: 'real.example.com', data: '192.0.2.1', ttl: 7 },
    ] as const;
    return encode({ type: 'response', id: id ?? 0, questions: questions ?? [], answers: [...answers] });
  };
  const reply = await ask(forward, named('outside'), 'A', true);
  assert.deepEqual(asked, ['db.example.com A']);
  assert.deepEqual(
    reply.answers?.map((record) => [record.name, 'data' in record && record.data]),
    [
      [named('outside'), 'db.example.com'],
      ['db.example.com', 'real.example.com'],
      ['real.example.com', '192.0.2.1'],
    ],
  );
});

test('F16: what the upstream says of the name outside is said of the alias', async () => {
  const forward: Forward = async (bytes) => {
    const { id, questions } = decode(bytes);
    return encode({ type: 'response', id: id ?? 0, flags: 3, questions: questions ?? [] });
  };
  const reply = await ask(forward, named('outside'), 'MX');
  assert.deepEqual([codeOf(reply), ...dataOf(reply)], ['NXDOMAIN', 'db.example.com']);
});
