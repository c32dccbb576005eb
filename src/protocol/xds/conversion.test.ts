import assert from 'node:assert/strict';
import test from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { parseIp, tryParseCidr } from '#model/address/ip.ts';
import { type Authorization, EMPTY_MATCH, type Match } from '#model/mesh/authorization.ts';
import { gatewayName, type Service } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { PathNormalization } from '#model/waypoint/config.ts';
import { AuthorizationSchema } from '#proto/authorization_pb.js';
import { ResourceSchema } from '#proto/discovery_pb.js';
import { WaypointConfigSchema } from '#proto/weft_pb.js';
import { AddressSchema, type GatewayAddressSchema, ServiceSchema, type WorkloadSchema } from '#proto/workload_pb.js';
import { decodeResource } from './decode-resource.ts';
import {
  asLegacyWorkload,
  encodeAuthorization,
  encodeService,
  encodeWaypointConfig,
  encodeWorkload,
} from './encoded-resource.ts';
import { samplePolicy, sampleService, sampleWaypointConfig, sampleWorkload } from './sample-mesh.testing.ts';
import { serviceFromProto, serviceToProto } from './service.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, WAYPOINT_CONFIG_TYPE, WORKLOAD_TYPE } from './type-urls.ts';
import { waypointConfigToProto } from './waypoint-config.ts';
import { workloadToProto } from './workload.ts';

function payloadOf(wire: Uint8Array): Uint8Array {
  return fromBinary(ResourceSchema, wire).resource?.value ?? new Uint8Array();
}

const gateways: Workload['waypoint'][] = [
  null,
  { kind: 'hostname', namespace: 'shop', hostname: 'waypoint.shop.svc.cluster.local', hbonePort: 15_008 },
  { kind: 'address', network: 'east', address: parseIp('fd00::9'), hbonePort: 15_009 },
];

const workloads = fc.record<Workload>(
  {
    uid: fc.string({ minLength: 1 }),
    name: fc.string(),
    namespace: fc.string(),
    addresses: fc.array(fc.oneof(fc.ipV4(), fc.ipV6()).map(parseIp), { maxLength: 3 }),
    network: fc.string(),
    tunnelProtocol: fc.constantFrom('none', 'hbone'),
    nativeTunnel: fc.boolean(),
    trustDomain: fc.constantFrom('cluster.local', 'td.example'),
    serviceAccount: fc.string({ minLength: 1 }),
    waypoint: fc.constantFrom(...gateways),
    node: fc.string(),
    canonicalName: fc.string(),
    canonicalRevision: fc.string(),
    workloadName: fc.string(),
    workloadKind: fc.constantFrom('deployment', 'cronjob', 'pod', 'job'),
    authorizationPolicies: fc.array(fc.string(), { maxLength: 3 }),
    healthy: fc.boolean(),
    clusterId: fc.string({ minLength: 1 }),
    hostname: fc.string(),
    services: fc
      .dictionary(
        fc.string().map((text) => `ns/${text}`),
        fc.array(fc.record({ servicePort: fc.nat(65_535), targetPort: fc.nat(65_535) }, { noNullPrototype: true }), {
          maxLength: 2,
        }),
        { maxKeys: 4 },
      )
      .map((record) => new Map(Object.entries(record))),
    hostNetwork: fc.boolean(),
    capacity: fc.integer({ min: 1, max: 1_000 }),
    registryOnly: fc.boolean(),
    locality: fc.record({ region: fc.string(), zone: fc.string(), subzone: fc.string() }, { noNullPrototype: true }),
  },
  { noNullPrototype: true },
);
const appTunnels = fc.option(fc.record({ isProxied: fc.boolean(), port: fc.nat(65_535) }, { noNullPrototype: true }), {
  nil: undefined,
});

test('decoding undoes encoding: workloads', () => {
  fc.assert(
    fc.property(workloads, appTunnels, (plain, appTunnel) => {
      const workload = appTunnel === undefined ? plain : { ...plain, appTunnel };
      const decoded = decodeResource(ADDRESS_TYPE, workload.uid, payloadOf(encodeWorkload(workload).wire));
      assert.deepEqual(decoded, { kind: 'workload', workload });
    }),
  );
});

const fullService: Service = sampleService({
  addresses: [parseIp('10.96.0.9'), parseIp('fd00::96')],
  ports: [
    { servicePort: 80, targetPort: 0, appProtocol: 'http2' },
    { servicePort: 81, targetPort: 8081, appProtocol: 'tls' },
  ],
  subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/ratings'],
  waypoint: { kind: 'hostname', namespace: 'shop', hostname: 'w.shop.svc', hbonePort: 15_008 },
  canary: { waypoint: { kind: 'address', network: '', address: parseIp('10.96.0.8'), hbonePort: 15_009 }, weight: 7 },
  loadBalancing: {
    mode: 'failover',
    routingPreference: ['network', 'region', 'zone', 'subzone', 'node', 'cluster'],
    allowUnhealthy: true,
  },
  ipFamilies: 'dual',
  canonical: true,
  namespaceOnly: true,
  aliasOf: 'www.example.com',
  affinityTimeoutS: 10_800,
  datagramPorts: [
    { servicePort: 53, targetPort: 5353 },
    { servicePort: 443, targetPort: 0 },
  ],
  routes: [
    { transport: 'tcp', port: 80, clientNamespace: null, shares: [{ service: 'shop/v1', port: 8080, weight: 1_000_000 }] },
    { transport: 'udp', port: 53, clientNamespace: 'web', shares: [{ service: null, port: 53, weight: 0 }] },
  ],
});

for (const service of [sampleService(), fullService]) {
  test(`decoding undoes encoding: service with ${service.ports.length} ports`, () => {
    const decoded = decodeResource(ADDRESS_TYPE, 'x', payloadOf(encodeService(service).wire));
    assert.deepEqual(decoded, { kind: 'service', service });
  });
}

const cidr = (text: string) => tryParseCidr(text) ?? assert.fail(text);
const fullMatch: Match = {
  namespaces: [{ kind: 'exact', value: 'shop' }],
  notNamespaces: [{ kind: 'prefix', value: 'test-' }],
  principals: [{ kind: 'suffix', value: '/sa/x' }],
  notPrincipals: [{ kind: 'presence' }],
  sourceIps: [cidr('10.0.0.0/8')],
  notSourceIps: [cidr('fd00::/64')],
  destinationIps: [cidr('10.1.2.3')],
  notDestinationIps: [cidr('0.0.0.0/0')],
  destinationPorts: [80, 443],
  notDestinationPorts: [22],
  serviceAccounts: [{ namespace: 'a', serviceAccount: 'b' }],
  notServiceAccounts: [{ namespace: 'c', serviceAccount: 'd' }],
};
const policies: Authorization[] = [
  samplePolicy(),
  samplePolicy({ scope: 'global', action: 'allow', dryRun: true, rules: [] }),
  samplePolicy({
    scope: 'namespace',
    rules: [{ clauses: [] }, { clauses: [{ matches: [] }, { matches: [EMPTY_MATCH, fullMatch] }] }],
  }),
];
for (const policy of policies) {
  test(`decoding undoes encoding: ${policy.scope} policy with ${policy.rules.length} rules`, () => {
    assert.deepEqual(decodeResource(AUTHORIZATION_TYPE, 'x', payloadOf(encodeAuthorization(policy).wire)), {
      kind: 'policy',
      policy,
    });
  });
}

test('presence is on the wire although its message is empty', () => {
  const bytes = payloadOf(encodeAuthorization(samplePolicy({ rules: [{ clauses: [{ matches: [fullMatch] }] }] })).wire);
  assert.ok(Buffer.from(bytes).includes(Buffer.from([0x22, 0x00])));
});

test('decoding undoes encoding: waypoint configuration', () => {
  const config = sampleWaypointConfig({ services: [{ key: 'shop/a', routes: [], policies: [] }] });
  const decoded = decodeResource(WAYPOINT_CONFIG_TYPE, 'shop/waypoint', payloadOf(encodeWaypointConfig(config).wire));
  assert.deepEqual(decoded, { kind: 'waypoint-config', config });
});

test('C9: equal content has equal bytes and version whatever the order it was built in', () => {
  const ports = [{ servicePort: 80, targetPort: 8080 }];
  const one = encodeWorkload(
    sampleWorkload({
      services: new Map([
        ['b/x', ports],
        ['a/y', ports],
      ]),
    }),
  );
  const two = encodeWorkload(
    sampleWorkload({
      services: new Map([
        ['a/y', ports],
        ['b/x', ports],
      ]),
    }),
  );
  assert.deepEqual(one.wire, two.wire);
  assert.match(one.version, /^[1-9a-f][0-9a-f]{0,15}$/);
  const { namespace, gateway, ...rest } = sampleWaypointConfig();
  assert.equal(
    encodeWaypointConfig({ ...rest, gateway, namespace }).version,
    encodeWaypointConfig(sampleWaypointConfig()).version,
  );
});

test('C9: another content has another version', () => {
  assert.notEqual(encodeWorkload(sampleWorkload()).version, encodeWorkload(sampleWorkload({ healthy: false })).version);
});

test('C17: tunnel protocol is none or HBONE, an absent waypoint is no message, and capacity 1 is left out', () => {
  const message = workloadToProto(sampleWorkload({ tunnelProtocol: 'none' }));
  assert.deepEqual([message.tunnelProtocol, message.waypoint, message.capacity], [0, undefined, undefined]);
  const loaded = workloadToProto(sampleWorkload({ capacity: 7 }));
  assert.deepEqual([loaded.tunnelProtocol, loaded.capacity], [1, 7]);
});

test('a workload as the legacy type keeps name and version', () => {
  const address = encodeWorkload(sampleWorkload());
  const legacy = asLegacyWorkload(address) ?? assert.fail();
  assert.deepEqual(decodeResource(WORKLOAD_TYPE, legacy.name, payloadOf(legacy.wire)), {
    kind: 'workload',
    workload: sampleWorkload(),
  });
  assert.equal(fromBinary(ResourceSchema, legacy.wire).version, address.version);
  assert.equal(asLegacyWorkload(encodeService(sampleService())), null);
});

test('empty fields of a foreign control plane get their meaning', () => {
  const bytes = toBinary(AddressSchema, create(AddressSchema, { type: { case: 'workload', value: { uid: 'u' } } }));
  const decoded = decodeResource(ADDRESS_TYPE, 'u', bytes);
  assert.ok(decoded.kind === 'workload');
  const { trustDomain, serviceAccount, clusterId, capacity, healthy } = decoded.workload;
  assert.deepEqual(
    [trustDomain, serviceAccount, clusterId, capacity, healthy],
    ['cluster.local', 'default', 'Kubernetes', 1, true],
  );
});

test('a workload of weight 0 gets no share of a service', () => {
  const bytes = toBinary(AddressSchema, create(AddressSchema, { type: { case: 'workload', value: { uid: 'u', capacity: 0 } } }));
  const decoded = decodeResource(ADDRESS_TYPE, 'u', bytes);
  assert.equal(decoded.kind === 'workload' && decoded.workload.healthy, false);
});

/** A number of a later version. */
const UNKNOWN_ENUM: number = 9;

type WorkloadInit = MessageInitShape<typeof WorkloadSchema>;
type ServiceInit = MessageInitShape<typeof ServiceSchema>;
const badWorkloads: { name: string; workload: WorkloadInit; says: RegExp }[] = [
  { name: 'no uid', workload: {}, says: /no uid/ },
  { name: 'an address of 5 bytes', workload: { uid: 'u', addresses: [new Uint8Array(5)] }, says: /4 or 16 bytes, not 5/ },
  { name: 'a waypoint without destination', workload: { uid: 'u', waypoint: {} }, says: /waypoint has no destination/ },
  { name: 'a network gateway without destination', workload: { uid: 'u', networkGateway: {} }, says: /network_gateway has no/ },
  { name: 'a service key without slash', workload: { uid: 'u', services: { shop: {} } }, says: /service key "shop"/ },
  { name: 'tunnel protocol 2', workload: { uid: 'u', tunnelProtocol: 2 }, says: /unknown tunnel_protocol 2/ },
  { name: 'an unknown tunnel protocol', workload: { uid: 'u', tunnelProtocol: UNKNOWN_ENUM }, says: /unknown tunnel_protocol 9/ },
  { name: 'an unknown network mode', workload: { uid: 'u', networkMode: UNKNOWN_ENUM }, says: /network_mode 9/ },
  { name: 'an unknown status', workload: { uid: 'u', status: UNKNOWN_ENUM }, says: /status 9/ },
  {
    name: 'an unknown application tunnel',
    workload: { uid: 'u', applicationTunnel: { protocol: UNKNOWN_ENUM } },
    says: /application tunnel protocol 9/,
  },
];
for (const { name, workload, says } of badWorkloads) {
  test(`B63: a workload with ${name} is refused by name`, () => {
    const bytes = toBinary(AddressSchema, create(AddressSchema, { type: { case: 'workload', value: workload } }));
    assert.throws(() => decodeResource(ADDRESS_TYPE, 'u', bytes), { code: 'WEFT_XDS_RESOURCE', message: says });
  });
}

function toGateway(hostname: string): MessageInitShape<typeof GatewayAddressSchema> {
  return { destination: { case: 'hostname', value: { namespace: '', hostname } } };
}

const badServices: { name: string; service: ServiceInit; says: RegExp }[] = [
  { name: 'no hostname', service: {}, says: /no hostname/ },
  {
    name: 'a prefix too long',
    service: { hostname: 'h', addresses: [{ address: new Uint8Array(4), length: 33 }] },
    says: /0\.0\.0\.0\/33/,
  },
  { name: 'an unspecified scope', service: { hostname: 'h', loadBalancing: { routingPreference: [0] } }, says: /scope 0/ },
  { name: 'an unknown mode', service: { hostname: 'h', loadBalancing: { mode: UNKNOWN_ENUM } }, says: /mode 9/ },
  {
    name: 'an unknown health policy',
    service: { hostname: 'h', loadBalancing: { healthPolicy: UNKNOWN_ENUM } },
    says: /health policy 9/,
  },
  { name: 'unknown families', service: { hostname: 'h', ipFamilies: UNKNOWN_ENUM }, says: /ip_families 9/ },
  {
    name: 'a weighted waypoint to nowhere',
    service: { hostname: 'h', weightedWaypoints: [{ weight: 1 }] },
    says: /weighted waypoint/,
  },
  {
    name: 'weighted waypoints beside no waypoint',
    service: { hostname: 'h', weightedWaypoints: [{ weight: 1, destination: toGateway('w') }] },
    says: /beside no waypoint/,
  },
  {
    name: 'two waypoints beside its own',
    service: {
      hostname: 'h',
      waypoint: toGateway('w'),
      weightedWaypoints: ['w', 'x', 'y'].map((name) => ({ weight: 1, destination: toGateway(name) })),
    },
    says: /more than one beside/,
  },
];
for (const [weights, want] of [
  [[80, 20], 20],
  [[1, 1], 50],
  [[0, 0], 0],
  [[0, 7], 100],
] as const) {
  test(`B63: weights ${weights} of a waypoint and its canary are ${want} % for that`, () => {
    const weightedWaypoints = weights.map((weight, at) => ({ weight, destination: toGateway(at === 0 ? 'w' : 'next') }));
    const service = create(ServiceSchema, { hostname: 'h', waypoint: toGateway('w'), weightedWaypoints });
    const { canary } = serviceFromProto(service);
    assert.deepEqual([canary?.weight, canary && gatewayName(canary.waypoint)], [want, '/next']);
  });
}

for (const { name, service, says } of badServices) {
  test(`B63: a service with ${name} is refused by name`, () => {
    const bytes = toBinary(AddressSchema, create(AddressSchema, { type: { case: 'service', value: service } }));
    assert.throws(() => decodeResource(ADDRESS_TYPE, 's', bytes), { code: 'WEFT_XDS_RESOURCE', message: says });
  });
}

const unreadable = [
  { name: 'an address of neither kind', typeUrl: ADDRESS_TYPE, bytes: new Uint8Array() },
  { name: 'bytes that are no message', typeUrl: ADDRESS_TYPE, bytes: new Uint8Array([0xff, 0xff, 0xff]) },
  {
    name: 'a policy of an unknown scope',
    typeUrl: AUTHORIZATION_TYPE,
    bytes: toBinary(AuthorizationSchema, create(AuthorizationSchema, { name: 'p', scope: UNKNOWN_ENUM })),
  },
  {
    name: 'a policy of an unknown action',
    typeUrl: AUTHORIZATION_TYPE,
    bytes: toBinary(AuthorizationSchema, create(AuthorizationSchema, { name: 'p', action: UNKNOWN_ENUM })),
  },
  {
    name: "another waypoint's configuration",
    typeUrl: WAYPOINT_CONFIG_TYPE,
    bytes: toBinary(
      WaypointConfigSchema,
      create(WaypointConfigSchema, {
        namespace: 'a',
        gateway: 'b',
        configJson: Buffer.from(JSON.stringify(sampleWaypointConfig())),
      }),
    ),
  },
  {
    name: 'a waypoint configuration whose level of path normalization is unknown',
    typeUrl: WAYPOINT_CONFIG_TYPE,
    bytes: toBinary(
      WaypointConfigSchema,
      waypointConfigToProto({ ...sampleWaypointConfig(), pathNormalization: 'LATER' as PathNormalization }),
    ),
  },
  { name: 'a waypoint configuration that is no JSON', typeUrl: WAYPOINT_CONFIG_TYPE, bytes: new Uint8Array() },
] as const;
for (const { name, typeUrl, bytes } of unreadable) {
  test(`B63: ${name} is refused by name`, () => {
    assert.throws(() => decodeResource(typeUrl, 'the-name', bytes), { code: 'WEFT_XDS_RESOURCE', message: /^the-name: / });
  });
}

const odd = [
  { kind: 'allow', action: 0, want: { matches: [EMPTY_MATCH] }, rule: 'never matches in an ALLOW policy' },
  { kind: 'deny', action: 1, want: { matches: [] }, rule: 'always matches in a DENY policy' },
] as const;
for (const { action, want, rule } of odd) {
  for (const match of [{ sourceIps: [{ address: new Uint8Array(4), length: 64 }] }, { notPrincipals: [{}] }]) {
    test(`a match with an unreadable ${Object.keys(match)[0]} ${rule}`, () => {
      const message = create(AuthorizationSchema, { name: 'p', action, rules: [{ clauses: [{ matches: [match] }] }] });
      const decoded = decodeResource(AUTHORIZATION_TYPE, 'p', toBinary(AuthorizationSchema, message));
      assert.deepEqual(decoded.kind === 'policy' && decoded.policy.rules, [{ clauses: [want] }]);
    });
  }
}

test("a block of addresses is one without the bits beyond its length; another network's VIP is passed over, the service is kept", () => {
  const address = new Uint8Array([10, 0, 0, 1]);
  const message = create(AddressSchema, {
    type: {
      case: 'service',
      value: {
        hostname: 'h',
        addresses: [
          { address, length: 24 },
          { address, network: 'east' },
          { address, length: 32 },
        ],
      },
    },
  });
  const decoded = decodeResource(ADDRESS_TYPE, 's', toBinary(AddressSchema, message));
  assert.ok(decoded.kind === 'service');
  assert.deepEqual(decoded.service.addresses, ['10.0.0.1']);
  assert.deepEqual(decoded.service.blocks, [{ base: '10.0.0.0', length: 24 }]);
  assert.deepEqual(serviceFromProto(serviceToProto(decoded.service)), decoded.service);
});
