import assert from 'node:assert/strict';
import test from 'node:test';
import { type Mistake, readSpec, testAccepted, testMistakes } from '#control-plane/kinds/documents.testing.ts';
import type { WorkloadEntryResource } from './kind.ts';

const mistakes: Mistake[] = [
  {
    name: 'an entry with a mistyped address',
    spec: '{ address: 10.0.0.256 }',
    at: 'spec.address',
    says: /neither an IP address nor a hostname/,
    remedy: /without a port/,
  },
  {
    name: 'an entry with a unix socket',
    spec: '{ address: "unix:///run/x" }',
    at: 'spec.address',
    says: /unix socket/,
    remedy: /IP address/,
  },
  {
    name: 'a service account that would change the identity',
    spec: '{ address: 10.0.0.1, serviceAccount: a/../b }',
    at: 'spec.serviceAccount',
    says: /not the name of a service account/,
    remedy: /bare name/,
  },
  {
    name: 'no address and no network',
    spec: '{ labels: { app: a } }',
    at: 'spec.address',
    says: /without an address/,
    remedy: /^add spec.address$/,
  },
  {
    name: 'an address with a port',
    spec: '{ address: "10.0.0.1:80" }',
    at: 'spec.address',
    says: /neither an IP address nor a hostname/,
    remedy: /without a port/,
  },
  {
    name: 'a port of zero',
    spec: '{ address: 10.0.0.1, ports: { http: 0 } }',
    at: 'spec.ports.http',
    says: /0 is not a port/,
    remedy: /1 to 65535/,
  },
  {
    name: 'a service account with its namespace',
    spec: '{ address: 10.0.0.1, serviceAccount: shop/cart }',
    at: 'spec.serviceAccount',
    says: /"shop\/cart" is not the name of a service account/,
    remedy: /bare name/,
  },
  {
    name: 'a field misspelt',
    spec: '{ address: 10.0.0.1, lables: { a: b } }',
    at: 'spec.lables',
    says: /did you mean "labels"/,
    remedy: /^write labels$/,
  },
  {
    name: 'a weight that is no number',
    spec: '{ address: 10.0.0.1, weight: "3" }',
    at: 'spec.weight',
    says: /must be a whole number, is the text "3"/,
    remedy: /^write 3 without quotes$/,
  },
];
testMistakes('WorkloadEntry', mistakes);

testAccepted('WorkloadEntry', {
  'an IPv4 address': '{ address: 10.0.0.1 }',
  'an IPv6 address': '{ address: "fd00::1" }',
  'a hostname': '{ address: db.example.com }',
  'a hostname in capitals': '{ address: DB.example.com }',
  'another network without an address': '{ network: far }',
  'everything there is':
    '{ address: 10.0.0.1, ports: { http: 80, grpc: 65535 }, labels: { app: a }, network: n, locality: r/z/s, weight: 2, serviceAccount: a }',
});

const readings: { name: string; spec: string; head?: string; want: Partial<WorkloadEntryResource> }[] = [
  {
    name: 'an address',
    spec: '{ address: 10.0.0.1 }',
    want: { hostname: '', ports: {}, labels: {}, network: '', weight: 1, serviceAccount: 'default' },
  },
  { name: 'a hostname', spec: '{ address: db.example.com }', want: { address: null, hostname: 'db.example.com' } },
  { name: 'no address', spec: '{ network: far }', want: { address: null, hostname: '', network: 'far' } },
  {
    name: 'labels of both places, the spec winning',
    spec: '{ address: 10.0.0.1, labels: { a: spec, b: spec } }',
    head: 'labels: { a: meta, c: meta }',
    want: { labels: { a: 'spec', b: 'spec', c: 'meta' } },
  },
  {
    name: 'a whole locality',
    spec: '{ address: 10.0.0.1, locality: r/z/s }',
    want: { locality: { region: 'r', zone: 'z', subzone: 's' } },
  },
  {
    name: 'a part of a locality',
    spec: '{ address: 10.0.0.1, locality: r }',
    want: { locality: { region: 'r', zone: '', subzone: '' } },
  },
  { name: 'a weight', spec: '{ address: 10.0.0.1, weight: 7 }', want: { weight: 7 } },
  { name: 'no weight at all', spec: '{ address: 10.0.0.1, weight: 0 }', want: { weight: 1 } },
  { name: 'ports', spec: '{ address: 10.0.0.1, ports: { http: 8080 } }', want: { ports: { http: 8080 } } },
  { name: 'an identity', spec: '{ address: 10.0.0.1, serviceAccount: cart }', want: { serviceAccount: 'cart' } },
  { name: 'an empty identity', spec: '{ address: 10.0.0.1, serviceAccount: "" }', want: { serviceAccount: 'default' } },
];
for (const { name, spec, head = '', want } of readings) {
  test(`reads ${name}`, () => {
    const entry = readSpec<WorkloadEntryResource>('WorkloadEntry', spec, head);
    assert.deepEqual({ ...entry, ...want }, entry);
  });
}
