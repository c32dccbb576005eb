import assert from 'node:assert/strict';
import test from 'node:test';
import { ipToBytes16, parseIp } from '#model/address/ip.ts';
import { parseIdentity, principalOf } from '#model/identity/identity.ts';
import type { L7Condition, L7Operation, L7Policy, L7Rule, L7Source } from '#model/waypoint/config.ts';
import { compileL7, decideL7, dryRunL7 } from './l7.ts';
import type { PolicyFacts } from './l7-fields.ts';

const SOURCE: L7Source = {
  principals: [],
  notPrincipals: [],
  namespaces: [],
  notNamespaces: [],
  serviceAccounts: [],
  notServiceAccounts: [],
  ipBlocks: [],
  notIpBlocks: [],
};
const OPERATION: L7Operation = {
  hosts: [],
  notHosts: [],
  ports: [],
  notPorts: [],
  methods: [],
  notMethods: [],
  paths: [],
  notPaths: [],
};

const from = (...sources: Partial<L7Source>[]): L7Rule => ({
  from: sources.map((source) => ({ ...SOURCE, ...source })),
  to: [],
  when: [],
});
const to = (...operations: Partial<L7Operation>[]): L7Rule => ({
  from: [],
  to: operations.map((one) => ({ ...OPERATION, ...one })),
  when: [],
});
const when = (...conditions: (Partial<L7Condition> & { key: string })[]): L7Rule => ({
  from: [],
  to: [],
  when: conditions.map((condition) => ({ values: [], notValues: [], ...condition })),
});
const policy = (action: 'allow' | 'deny', name: string, ...rules: L7Rule[]): L7Policy => ({
  namespace: 'shop',
  name,
  action,
  dryRun: false,
  rules,
});
const dry = (of: L7Policy): L7Policy => ({ ...of, dryRun: true });

type Asked = {
  id?: string | null;
  ip?: string;
  port?: number;
  host?: string;
  method?: string;
  path?: string;
  headers?: Record<string, string[]>;
  tcp?: boolean;
};

function facts(asked: Asked = {}): PolicyFacts {
  const id = asked.id === undefined ? 'mesh.example/ns/web/sa/front' : asked.id;
  const identity = id === null ? null : parseIdentity(`spiffe://${id}`);
  const http = {
    method: asked.method ?? 'GET',
    path: asked.path ?? '/',
    authority: asked.host ?? 'cart.shop',
    authenticated: null,
    headerValues: (name: string) => asked.headers?.[name] ?? [],
  };
  return {
    identity,
    principal: identity === null ? null : principalOf(identity),
    sourceBytes: ipToBytes16(parseIp(asked.ip ?? '10.0.0.7')),
    destinationBytes: ipToBytes16(parseIp('10.96.0.1')),
    destinationPort: asked.port ?? 80,
    http: asked.tcp === true ? null : http,
  };
}

function verdict(policies: L7Policy[], asked: Asked = {}): string {
  const set = compileL7(policies, 'mesh.example', (why) => assert.fail(why));
  const { kind, by } = decideL7(set, facts(asked));
  return by === null ? kind : `${kind} ${by.policy}#${by.index}`;
}

const RULES: { name: string; rule: L7Rule; yes: Asked[]; no: Asked[] }[] = [
  { name: 'an empty rule matches everything', rule: from(), yes: [{}, { id: null }], no: [] },
  {
    name: 'an exact principal',
    rule: from({ principals: ['mesh.example/ns/web/sa/front'] }),
    yes: [{}],
    no: [{ id: 'mesh.example/ns/web/sa/other' }, { id: null }],
  },
  {
    name: 'B46: a principal with spiffe://, which never matches',
    rule: from({ principals: ['spiffe://mesh.example/ns/web/sa/front'] }),
    yes: [],
    no: [{}, { id: null }],
  },
  {
    name: 'a principal of the default trust domain',
    rule: from({ principals: ['cluster.local/ns/web/sa/front'] }),
    yes: [{}],
    no: [{ id: 'evil.example/ns/web/sa/front' }],
  },
  {
    name: 'a principal prefix',
    rule: from({ principals: ['mesh.example/ns/web/*'] }),
    yes: [{}],
    no: [{ id: 'mesh.example/ns/webx/sa/front' }],
  },
  {
    name: 'a principal suffix',
    rule: from({ principals: ['*/sa/front'] }),
    yes: [{}],
    no: [{ id: 'mesh.example/ns/web/sa/back' }],
  },
  { name: 'W65 principals * requires an identity', rule: from({ principals: ['*'] }), yes: [{}], no: [{ id: null }] },
  { name: 'a star inside a principal is literal', rule: from({ principals: ['mesh.example/*/sa/front'] }), yes: [], no: [{}] },
  {
    name: 'notPrincipals matches a missing identity',
    rule: from({ notPrincipals: ['mesh.example/ns/web/sa/front'] }),
    yes: [{ id: null }, { id: 'mesh.example/ns/web/sa/x' }],
    no: [{}],
  },
  {
    name: 'namespaces with a star anywhere',
    rule: from({ namespaces: ['w*b'] }),
    yes: [{}, { id: 'mesh.example/ns/weeb/sa/x' }],
    no: [{ id: 'mesh.example/ns/wob2/sa/x' }, { id: null }],
  },
  { name: 'notNamespaces matches a missing identity', rule: from({ notNamespaces: ['web'] }), yes: [{ id: null }], no: [{}] },
  {
    name: 'serviceAccounts',
    rule: from({ serviceAccounts: ['web/front'] }),
    yes: [{}],
    no: [{ id: 'mesh.example/ns/shop/sa/front' }, { id: null }],
  },
  {
    name: 'ipBlocks',
    rule: from({ ipBlocks: ['10.0.0.0/24', '2001:db8::/32'] }),
    yes: [{}, { ip: '2001:db8::7' }],
    no: [{ ip: '10.0.1.7' }, { ip: '::1' }],
  },
  {
    name: 'an IPv6 block of everything holds no IPv4 address',
    rule: from({ ipBlocks: ['::/0'] }),
    yes: [{ ip: '::1' }],
    no: [{}],
  },
  { name: 'notIpBlocks', rule: from({ notIpBlocks: ['10.0.0.7'] }), yes: [{ ip: '10.0.0.8' }], no: [{}] },
  {
    name: 'fields of one source are ANDed',
    rule: from({ namespaces: ['web'], ipBlocks: ['10.9.0.0/16'] }),
    yes: [{ ip: '10.9.1.1' }],
    no: [{}],
  },
  {
    name: 'sources are ORed',
    rule: from({ namespaces: ['bank'] }, { ipBlocks: ['10.0.0.7'] }),
    yes: [{}],
    no: [{ ip: '10.0.0.8' }],
  },
  {
    name: 'hosts ignore case and include the port',
    rule: to({ hosts: ['Cart.Shop', '*.mesh'] }),
    yes: [{}, { host: 'CART.shop' }, { host: 'a.MESH' }],
    no: [{ host: 'cart.shop:80' }],
  },
  { name: 'hosts with any port', rule: to({ hosts: ['cart.shop:*'] }), yes: [{ host: 'cart.shop:80' }], no: [{}] },
  { name: 'ports are those of the service', rule: to({ ports: ['80', '443'] }), yes: [{}, { port: 443 }], no: [{ port: 8080 }] },
  { name: 'notPorts', rule: to({ notPorts: ['80'] }), yes: [{ port: 81 }], no: [{}] },
  {
    name: 'methods are case-sensitive',
    rule: to({ methods: ['GET', 'PO*'] }),
    yes: [{}, { method: 'POST' }],
    no: [{ method: 'get' }, { method: 'PUT' }],
  },
  { name: 'notMethods', rule: to({ notMethods: ['GET'] }), yes: [{ method: 'PUT' }], no: [{}] },
  {
    name: 'paths: exact, prefix, suffix',
    rule: to({ paths: ['/a', '/b/*', '*.css'] }),
    yes: [{ path: '/a' }, { path: '/b/c' }, { path: '/x.css' }],
    no: [{ path: '/a/' }, { path: '/b' }, { path: '/A' }],
  },
  {
    name: 'paths: {*} is one segment',
    rule: to({ paths: ['/foo/{*}'] }),
    yes: [{ path: '/foo/bar' }],
    no: [{ path: '/foo' }, { path: '/foo/a/b' }, { path: '/foo/' }],
  },
  {
    name: 'paths: {**} with literals after it',
    rule: to({ paths: ['/{**}/admin'] }),
    yes: [{ path: '/x/admin' }, { path: '/x/y/admin' }],
    no: [{ path: '/x/admin/y' }],
  },
  {
    name: 'paths: {*} and {**}',
    rule: to({ paths: ['/foo/{*}/bar/{**}'] }),
    yes: [{ path: '/foo/x/bar/' }, { path: '/foo/x/bar/y/z' }],
    no: [{ path: '/foo/x/y/bar/' }],
  },
  {
    name: 'paths: {**} before a final slash is a full match',
    rule: to({ paths: ['/foo/{**}/'] }),
    yes: [{ path: '/foo/bar/' }, { path: '/foo//' }],
    no: [{ path: '/foo/bar' }, { path: '/foo/bar/baz.txt' }],
  },
  {
    name: 'paths: dots in a template are literal',
    rule: to({ paths: ['/v1.0/{*}'] }),
    yes: [{ path: '/v1.0/x' }],
    no: [{ path: '/v1x0/x' }],
  },
  {
    name: 'notPaths',
    rule: to({ notPaths: ['/healthz', '/pub/{**}'] }),
    yes: [{ path: '/a' }],
    no: [{ path: '/healthz' }, { path: '/pub/x' }],
  },
  {
    name: 'operations are ORed, their fields ANDed',
    rule: to({ methods: ['GET'], paths: ['/r'] }, { methods: ['PUT'], paths: ['/w'] }),
    yes: [{ path: '/r' }, { method: 'PUT', path: '/w' }],
    no: [{ path: '/w' }],
  },
  { name: 'when: source.ip', rule: when({ key: 'source.ip', values: ['10.0.0.0/8'] }), yes: [{}], no: [{ ip: '11.0.0.1' }] },
  {
    name: 'W10 when: remote.ip is the rightmost forwarded address',
    rule: when({ key: 'remote.ip', values: ['1.2.3.4'] }),
    yes: [{ headers: { 'x-forwarded-for': ['9.9.9.9, 1.2.3.4'] } }],
    no: [{}, { headers: { 'x-forwarded-for': ['1.2.3.4, 9.9.9.9'] } }],
  },
  {
    name: 'W10 when: source.ip is not',
    rule: when({ key: 'source.ip', values: ['1.2.3.4'] }),
    yes: [],
    no: [{ headers: { 'x-forwarded-for': ['1.2.3.4'] } }],
  },
  { name: 'when: source.namespace', rule: when({ key: 'source.namespace', values: ['w*'] }), yes: [{}], no: [{ id: null }] },
  {
    name: 'when: source.principal notValues',
    rule: when({ key: 'source.principal', notValues: ['*/sa/front'] }),
    yes: [{ id: null }],
    no: [{}],
  },
  {
    name: 'when: source.serviceAccount without namespace is the policy’s',
    rule: when({ key: 'source.serviceAccount', values: ['front'] }),
    yes: [{ id: 'mesh.example/ns/shop/sa/front' }],
    no: [{}],
  },
  {
    name: 'when: source.trustDomain',
    rule: when({ key: 'source.trustDomain', values: ['mesh.*'] }),
    yes: [{}],
    no: [{ id: 'other/ns/a/sa/b' }, { id: null }],
  },
  {
    name: 'W76 when: header entries are compared one by one',
    rule: when({ key: 'request.headers[X-Role]', values: ['admin'] }),
    yes: [{ headers: { 'x-role': ['user', 'admin'] } }],
    no: [{ headers: { 'x-role': ['user,admin'] } }, {}],
  },
  {
    name: 'when: header presence and absence',
    rule: when({ key: 'request.headers[a]', values: ['*'] }, { key: 'request.headers[b]', notValues: ['*'] }),
    yes: [{ headers: { a: ['1'] } }],
    no: [{}, { headers: { a: ['1'], b: ['1'] } }],
  },
  {
    name: 'when: destination.ip and port',
    rule: when({ key: 'destination.ip', values: ['10.96.0.0/16'] }, { key: 'destination.port', values: ['80'] }),
    yes: [{}],
    no: [{ port: 81 }],
  },
  {
    name: 'from, to and when are ANDed',
    rule: {
      ...from({ namespaces: ['web'] }),
      ...{ to: to({ methods: ['GET'] }).to, when: when({ key: 'request.headers[a]', values: ['1'] }).when },
    },
    yes: [{ headers: { a: ['1'] } }],
    no: [{}, { headers: { a: ['1'] }, method: 'PUT' }],
  },
];

for (const { name, rule, yes, no } of RULES) {
  test(`L7 policy: ${name}`, () => {
    for (const asked of yes) assert.equal(verdict([policy('allow', 'p', rule)], asked), 'allow shop/p#0', JSON.stringify(asked));
    for (const asked of no) assert.equal(verdict([policy('allow', 'p', rule)], asked), 'deny', JSON.stringify(asked));
    for (const asked of yes) assert.equal(verdict([policy('deny', 'p', rule)], asked), 'deny shop/p#0', JSON.stringify(asked));
    for (const asked of no) assert.equal(verdict([policy('deny', 'p', rule)], asked), 'allow', JSON.stringify(asked));
  });
}

test('L7 policy (config-api 3.5): no policy allows; DENY is decided before ALLOW; any ALLOW policy closes the rest', () => {
  assert.equal(verdict([]), 'allow');
  assert.equal(
    verdict([policy('allow', 'all', from()), policy('deny', 'web', from({ namespaces: ['web'] }))]),
    'deny shop/web#0',
  );
  assert.equal(
    verdict([
      policy('allow', 'a', from({ namespaces: ['x'] })),
      policy('allow', 'b', from({ namespaces: ['y'] }, { namespaces: ['web'] })),
    ]),
    'allow shop/b#0',
  );
  assert.equal(verdict([policy('allow', 'a', from({ namespaces: ['x'] }))]), 'deny');
});

test('W65 ALLOW without rules denies everyone, DENY without rules does nothing', () => {
  assert.equal(verdict([policy('allow', 'none')]), 'deny');
  assert.equal(verdict([policy('deny', 'none')]), 'allow');
});

test('L7 policy: policies are tried in the order of their names and the rule index is named', () => {
  const both = [policy('deny', 'b', from()), policy('deny', 'a', from({ namespaces: ['x'] }), from())];
  assert.equal(verdict(both), 'deny shop/a#1');
});

const TCP: { name: string; policies: L7Policy[]; want: string }[] = [
  {
    name: 'an ALLOW rule with a request attribute never matches',
    policies: [policy('allow', 'p', to({ methods: ['GET'] }))],
    want: 'deny',
  },
  {
    name: 'an ALLOW rule without one matches',
    policies: [policy('allow', 'p', to({ methods: ['GET'] }), to({ ports: ['80'] }))],
    want: 'allow shop/p#1',
  },
  {
    name: 'a DENY rule matches without its request attributes',
    policies: [policy('deny', 'p', to({ paths: ['/admin'] }))],
    want: 'deny shop/p#0',
  },
  {
    name: 'a DENY rule keeps its other restrictions',
    policies: [policy('deny', 'p', to({ paths: ['/admin'], ports: ['81'] }))],
    want: 'allow',
  },
  {
    name: 'a negative request attribute is one too',
    policies: [policy('allow', 'p', to({ notPaths: ['/admin'] }))],
    want: 'deny',
  },
  {
    name: 'headers in when are request attributes',
    policies: [policy('allow', 'p', when({ key: 'request.headers[a]', notValues: ['x'] }))],
    want: 'deny',
  },
];

for (const { name, policies, want } of TCP) {
  test(`L7 policy on TCP (config-api 3.6): ${name}`, () => assert.equal(verdict(policies, { tcp: true }), want));
}

test('L7 policy (config-api 3.7): dry run is reported, never enforced, and does not close the rest', () => {
  const policies = [dry(policy('deny', 'd', from())), dry(policy('allow', 'a', from({ namespaces: ['x'] })))];
  assert.equal(verdict(policies), 'allow');
  const set = compileL7(policies, 'mesh.example', assert.fail);
  assert.deepEqual(dryRunL7(set, facts()), { deny: { policy: 'shop/d', index: 0 }, allow: { kind: 'deny', by: null } });
  assert.equal(dryRunL7(compileL7([], 'mesh.example', assert.fail), facts()), null);
});

const UNUSABLE: L7Rule[] = [
  from({ ipBlocks: ['10.0.0.0/33'] }),
  to({ ports: ['http'] }),
  to({ paths: ['/foo/{*}.txt'] }),
  to({ paths: ['/{**}/foo/{*}'] }),
  to({ paths: ['/{**}/{**}'] }),
  to({ paths: ['/a/{x}'] }),
  to({ paths: ['/*/baz/{*}'] }),
  when({ key: 'connection.sni', values: ['x'] }),
  when({ key: 'source.ip' }),
];

for (const rule of UNUSABLE) {
  test(`L7 policy: a rule that cannot be evaluated is reported and made strict: ${JSON.stringify(rule)}`, () => {
    for (const [action, want] of [
      ['allow', 'deny'],
      ['deny', 'deny'],
    ] as const) {
      const problems: string[] = [];
      const set = compileL7([policy(action, 'p', rule)], 'mesh.example', (why) => problems.push(why));
      for (const tcp of [true, false]) assert.equal(decideL7(set, facts({ tcp })).kind, want);
      assert.match(problems.join(), /^AuthorizationPolicy shop\/p rule 0: /);
    }
  });
}
