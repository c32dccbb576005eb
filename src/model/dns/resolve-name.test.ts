import assert from 'node:assert/strict';
import test from 'node:test';
import { familyOf, parseIp } from '#model/address/ip.ts';
import { type Service, serviceKeyOf } from '#model/mesh/service.ts';
import { type DnsView, type NameOptions, resolveName } from './resolve-name.ts';

const OPTIONS: NameOptions = { clusterDomain: 'cluster.local', searchDomains: null, preferredNamespace: null, ipv6: true };

function service(hostname: string, namespace: string, addresses: string[], more: Partial<Service> = {}): Service {
  return {
    name: hostname.split('.')[0] ?? hostname,
    namespace,
    hostname,
    addresses: addresses.map(parseIp),
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
    ...more,
  };
}

function viewOf(services: readonly Service[], endpoints: Record<string, string[]> = {}): DnsView {
  return {
    servicesByHostname: (hostname) => services.filter((candidate) => candidate.hostname === hostname),
    endpointAddresses: (key, family) => (endpoints[key] ?? []).map(parseIp).filter((ip) => familyOf(ip) === family),
    hasHostnameBelow: (name) => services.some(({ hostname }) => hostname.endsWith(`.${name}`)),
  };
}

const SERVICES = [
  service('reviews.shop.svc.cluster.local', 'shop', ['10.0.0.1', 'fd00::1']),
  service('ratings.bank.svc.cluster.local', 'bank', ['10.0.0.2']),
  service('only6.shop.svc.cluster.local', 'shop', ['10.0.0.3', 'fd00::3'], { ipFamilies: 'ipv6' }),
  service('headless.shop.svc.cluster.local', 'shop', []),
  service('idle.shop.svc.cluster.local', 'shop', []),
  service('example.com', 'shop', ['240.0.0.1']),
  service('novip.example.com', 'shop', []),
  service('*.wild.org', 'shop', ['240.0.0.2']),
  service('*.deep.wild.org', 'shop', ['240.0.0.3']),
  service('db.shop.svc.cluster.local', 'shop', [], { aliasOf: 'db.example.com' }),
  service('secret.shop.svc.cluster.local', 'shop', ['10.0.0.9'], { namespaceOnly: true }),
];
const VIEW = viewOf(SERVICES, { 'shop/headless.shop.svc.cluster.local': ['10.1.0.1', '10.1.0.2', 'fd01::1'] });

type Case = { name: string; asked: string; type?: string; namespace?: string; want: string };

// want: `addresses [via cname]`, `empty`, `absent` (`between`: there are names below it) or `forward`.
const cases: Case[] = [
  { name: 'B61: a short name is completed with the client namespace', asked: 'reviews', want: '10.0.0.1' },
  { name: 'B61: a short name of another namespace is not found', asked: 'reviews', namespace: 'bank', want: 'forward' },
  { name: 'B61: name.namespace', asked: 'reviews.shop', namespace: 'bank', want: '10.0.0.1' },
  { name: 'B61: name.namespace.svc', asked: 'reviews.shop.svc', namespace: 'bank', want: '10.0.0.1' },
  { name: 'B61: the full name', asked: 'reviews.shop.svc.cluster.local', namespace: 'bank', want: '10.0.0.1' },
  { name: 'B61: case and a final dot do not matter', asked: 'Reviews.SHOP.svc.cluster.local.', want: '10.0.0.1' },
  { name: 'B61: AAAA gives the addresses of its family', asked: 'reviews', type: 'AAAA', want: 'fd00::1' },
  { name: 'B61: a family without a VIP is empty, not unknown', asked: 'ratings.bank', type: 'AAAA', want: 'empty' },
  { name: 'B61: a family the service does not offer is empty', asked: 'only6', type: 'A', want: 'empty' },
  ...['TXT', 'MX', 'SRV', 'HTTPS', 'CAA', 'PTR', 'ANY', 'UNKNOWN_65'].map((type) => ({
    name: `F15: a mesh name has no ${type}: empty, and nobody is asked`,
    asked: 'reviews.shop.svc.cluster.local',
    type,
    want: 'empty',
  })),
  { name: 'F15: the same of a short name', asked: 'reviews', type: 'MX', want: 'empty' },
  { name: 'F15: and of an external name with a VIP', asked: 'example.com', type: 'HTTPS', want: 'empty' },
  { name: 'F15: a name below the domain of the mesh is absent', asked: 'nobody.shop.svc.cluster.local', want: 'absent' },
  { name: 'F15: whatever the type', asked: '_grpclb._tcp.reviews.shop.svc.cluster.local', type: 'SRV', want: 'absent' },
  { name: 'F15: in any case', asked: 'Nobody.SVC.Cluster.Local.', want: 'absent' },
  { name: 'F15: also outside of svc', asked: 'x.pod.cluster.local', want: 'absent' },
  { name: 'F15: a search domain behind an outside name', asked: 'www.nowhere.net.shop.svc.cluster.local', want: 'absent' },
  { name: 'F15: a namespace lies between', asked: 'shop.svc.cluster.local', want: 'between' },
  { name: 'F15: svc lies between', asked: 'svc.cluster.local', want: 'between' },
  { name: 'F15: the domain itself lies between', asked: 'cluster.local', type: 'SOA', want: 'between' },
  { name: 'F15: a namespace without services does not', asked: 'desert.svc.cluster.local', want: 'absent' },
  { name: 'F15: a name that only ends alike is not ours', asked: 'mycluster.local', want: 'forward' },
  { name: 'B61: unknown names are forwarded', asked: 'nowhere.example.net', want: 'forward' },
  { name: 'B61: the root is forwarded', asked: '.', want: 'forward' },
  { name: 'B61: a headless service answers with its endpoints', asked: 'headless', want: '10.1.0.1 10.1.0.2' },
  { name: 'B61: a headless service without endpoints is empty', asked: 'idle', want: 'empty' },
  { name: 'B61: a service entry without VIPs is forwarded', asked: 'novip.example.com', want: 'forward' },
  { name: 'B61: an external name with a VIP is answered', asked: 'example.com', want: '240.0.0.1' },
  {
    name: 'B62: a search domain that the resolver appended is cut off, with a CNAME',
    asked: 'example.com.shop.svc.cluster.local',
    want: '240.0.0.1 via example.com',
  },
  {
    name: 'B62: the CNAME names what was left after cutting, not the completed name',
    asked: 'reviews.shop.bank.svc.cluster.local',
    namespace: 'bank',
    want: '10.0.0.1 via reviews.shop',
  },
  { name: 'B62: cutting the cluster domain', asked: 'example.com.cluster.local', want: '240.0.0.1 via example.com' },
  { name: 'B62: a wildcard answers on the asked name', asked: 'a.wild.org', want: '240.0.0.2' },
  { name: 'B62: the most specific wildcard wins', asked: 'a.deep.wild.org', want: '240.0.0.3' },
  { name: 'B62: a wildcard covers several labels', asked: 'x.y.z.wild.org', want: '240.0.0.2' },
  { name: 'B62: a wildcard does not cover its own parent', asked: 'wild.org', want: 'forward' },
  { name: 'B62: a wildcard hit after cutting has no CNAME', asked: 'a.wild.org.shop.svc.cluster.local', want: '240.0.0.2' },
  ...['A', 'AAAA', 'MX', 'CNAME'].map((type) => ({
    name: `F16: an alias stands for another name, whose ${type} is the answer`,
    asked: 'db.shop.svc.cluster.local',
    type,
    want: 'alias of db.example.com',
  })),
  { name: 'F16: also by its short name', asked: 'db', want: 'alias of db.example.com' },
  { name: 'B40: a namespace-only service answers its namespace', asked: 'secret', want: '10.0.0.9' },
  { name: 'B40: and is invisible to others', asked: 'secret.shop', namespace: 'bank', want: 'forward' },
];

for (const { name, asked, type = 'A', namespace = 'shop', want } of cases) {
  test(name, () => {
    const found = resolveName({ name: asked, type }, { namespace }, VIEW, OPTIONS);
    const text =
      found.kind === 'answer' ? found.addresses.join(' ') + (found.cname === null ? '' : ` via ${found.cname}`) : found.kind;
    const told = found.kind === 'alias' ? `alias of ${found.target}` : text;
    assert.equal(found.kind === 'absent' && found.exists ? 'between' : told, want);
  });
}

test('B61: with IPv6 off, AAAA of a mesh name is empty', () => {
  const found = resolveName({ name: 'reviews', type: 'AAAA' }, { namespace: 'shop' }, VIEW, { ...OPTIONS, ipv6: false });
  assert.equal(found.kind, 'empty');
});

test('F15: a name that no service can have is not looked for, and below the domain of the mesh not asked outside either', () => {
  const kindOf = (name: string) => resolveName({ name, type: 'A', plain: false }, { namespace: 'shop' }, VIEW, OPTIONS).kind;
  assert.deepEqual(['reviews.shop.svc.cluster.local', 'reviews', 'version.bind'].map(kindOf), ['absent', 'forward', 'forward']);
});

test('search domains given explicitly replace those of the cluster', () => {
  const options = { ...OPTIONS, searchDomains: ['corp.example'] };
  const client = { namespace: 'shop' };
  assert.equal(resolveName({ name: 'example.com.corp.example', type: 'A' }, client, VIEW, options).kind, 'answer');
  assert.equal(resolveName({ name: 'example.com.cluster.local', type: 'A' }, client, VIEW, options).kind, 'absent');
});

const sameHost = (namespace: string, more: Partial<Service> = {}) => service('pay.example', namespace, ['10.9.0.1'], more);
const choices = [
  { name: 'own namespace first', among: [sameHost('b', { canonical: true }), sameHost('a')], preferred: 'b', want: 'a' },
  { name: 'then the canonical one', among: [sameHost('c'), sameHost('b', { canonical: true })], preferred: 'c', want: 'b' },
  { name: 'then the preferred namespace', among: [sameHost('b'), sameHost('c')], preferred: 'c', want: 'c' },
  { name: 'then the first', among: [sameHost('c'), sameHost('b')], preferred: null, want: 'c' },
  {
    name: 'a hidden one does not count',
    among: [sameHost('c', { namespaceOnly: true }), sameHost('b')],
    preferred: 'c',
    want: 'b',
  },
];
for (const { name, among, preferred, want } of choices) {
  test(`B40: of several services with one hostname: ${name}`, () => {
    const found = resolveName({ name: 'pay.example', type: 'A' }, { namespace: 'a' }, viewOf(among), {
      ...OPTIONS,
      preferredNamespace: preferred,
    });
    assert.equal(found.kind === 'answer' && found.service, serviceKeyOf({ namespace: want, hostname: 'pay.example' }));
  });
}

const own = { name: 'box', addresses: ['10.1.0.9', 'fd01::9'].map(parseIp) };
for (const [asked, type, namespace, want] of [
  ['box', 'A', 'shop', '10.1.0.9'],
  ['box.shop', 'A', 'shop', '10.1.0.9'],
  ['box.shop.svc.cluster.local', 'AAAA', 'shop', 'fd01::9'],
  ['box.shop.svc.cluster.local', 'MX', 'shop', 'empty'],
  ['box.bank.svc.cluster.local', 'A', 'shop', 'absent'],
  ['other.shop.svc.cluster.local', 'A', 'shop', 'absent'],
  ['reviews', 'A', 'shop', '10.0.0.1'],
] as const)
  test(`H14: a workload finds itself by its own name, unless a service is called so: ${asked} ${type}`, () => {
    const name = asked === 'reviews' ? 'reviews' : own.name;
    const client = { namespace, own: { ...own, name } };
    const found = resolveName({ name: asked, type }, client, VIEW, OPTIONS);
    assert.equal(found.kind === 'answer' ? found.addresses.join(' ') : found.kind, want);
  });
