import assert from 'node:assert/strict';
import test from 'node:test';
import { create, fromBinary, type Message, type MessageInitShape } from '@bufbuild/protobuf';
import { ResourceStore, type StoreDelta } from '#control-plane/discovery/resource-store.ts';
import { parseIp } from '#model/address/ip.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema, ResourceSchema } from '#proto/discovery_pb.js';
import { decodeResource } from './decode-resource.ts';
import { announcesMore, type DeltaResponse, encodeResponse } from './encode-response.ts';
import { samplePolicy, sampleService, sampleWaypointConfig, sampleWorkload } from './sample-mesh.testing.ts';
import { DeltaServerSession } from './server-session.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type TypeUrl, WAYPOINT_CONFIG_TYPE, WORKLOAD_TYPE } from './type-urls.ts';

type RequestInit = Exclude<MessageInitShape<typeof DeltaDiscoveryRequestSchema>, Message>;

const SERVICE = 'shop/ratings.shop.svc.cluster.local';
const POLICY = 'shop/deny-reviews';

function delta(changes: {
  workloads?: StoreDelta['mesh']['workloads'];
  services?: StoreDelta['mesh']['services'];
  policies?: StoreDelta['mesh']['policies'];
  waypoints?: StoreDelta['waypoints'];
}): StoreDelta {
  const { workloads = new Map(), services = new Map(), policies = new Map(), waypoints = new Map() } = changes;
  return { mesh: { workloads, services, policies }, waypoints };
}

const a = sampleWorkload({ name: 'a', addresses: [parseIp('10.1.0.1')] });
const b = sampleWorkload({ name: 'b', addresses: [parseIp('10.1.0.2')], node: 'node-2' });
const other = sampleWorkload({ name: 'other', addresses: [parseIp('10.1.0.3')], node: 'node-2', services: new Map() });

function bookshop(): ResourceStore {
  const store = new ResourceStore(0);
  store.apply(
    delta({ workloads: new Map([a, b, other].map((one) => [one.uid, one])), services: new Map([[SERVICE, sampleService()]]) }),
  );
  return store;
}

/** A client of a store: what it asks and what it is answered. */
function clientOf(store: ResourceStore, node = 'node-1') {
  let nonces = 0;
  const session = new DeltaServerSession({ view: store, newNonce: () => `n${++nonces}` });
  const drain = (): DeltaResponse[] => {
    const responses: DeltaResponse[] = [];
    for (let next = session.next(); next !== null; next = session.next()) if (next !== 'later') responses.push(next);
    return responses;
  };
  return {
    session,
    drain,
    ask(request: RequestInit) {
      const received = session.receive(
        create(DeltaDiscoveryRequestSchema, {
          node: { id: 'x', metadata: { NODE_NAME: node } },
          typeUrl: ADDRESS_TYPE,
          ...request,
        }),
      );
      return { received, responses: drain() };
    },
    apply(change: StoreDelta) {
      store.apply(change);
      return drain();
    },
  };
}

function names(response: DeltaResponse | undefined): string[] {
  return (response?.resources ?? []).map(({ name }) => name).sort();
}

test('C1: an Address request without names is answered with everything, one nonce and its own type', () => {
  const { responses } = clientOf(bookshop()).ask({});
  assert.equal(responses.length, 1);
  assert.deepEqual(names(responses[0]), [a.uid, b.uid, other.uid, SERVICE].sort());
  assert.deepEqual([responses[0]?.typeUrl, responses[0]?.nonce], [ADDRESS_TYPE, 'n1']);
});

test('C2: without policies the first Authorization response is sent and is empty', () => {
  const { responses } = clientOf(bookshop()).ask({ typeUrl: AUTHORIZATION_TYPE });
  assert.deepEqual(
    responses.map(({ resources, removed, nonce }) => [resources, removed, nonce]),
    [[[], [], 'n1']],
  );
});

test('C3: an ACK is not answered', () => {
  const client = clientOf(bookshop());
  client.ask({});
  const { received, responses } = client.ask({ responseNonce: 'n1' });
  assert.deepEqual([received.kind, responses], ['acked', []]);
  assert.equal(client.session.status()[0]?.acknowledged, true);
});

test('C4: a NACK is not answered but counted, and the next change is still delivered', () => {
  const client = clientOf(bookshop());
  client.ask({});
  const { received, responses } = client.ask({ responseNonce: 'n1', errorDetail: { message: 'x: bad' } });
  assert.deepEqual([received.kind, responses], ['rejected', []]);
  const [status] = client.session.status();
  assert.deepEqual([status?.rejections, status?.problem], [1, 'x: bad']);
  const pushed = client.apply(delta({ workloads: new Map([[a.uid, { ...a, healthy: false }]]) }));
  assert.deepEqual(pushed.map(names), [[a.uid]]);
});

test('C4: a NACK counts even when its nonce is outdated', () => {
  const client = clientOf(bookshop());
  client.ask({});
  assert.equal(client.ask({ responseNonce: 'gone', errorDetail: { message: 'm' } }).received.kind, 'rejected');
});

test('C5: a request with an outdated nonce is ignored and changes no subscription', () => {
  const client = clientOf(bookshop());
  client.ask({ resourceNamesSubscribe: ['*'], resourceNamesUnsubscribe: ['*'] });
  const { received, responses } = client.ask({ responseNonce: 'n0', resourceNamesSubscribe: [b.uid] });
  assert.deepEqual([received.kind, responses], ['stale', []]);
  assert.deepEqual(client.apply(delta({ workloads: new Map([[b.uid, { ...b, healthy: false, services: new Map() }]]) })), []);
});

test('C6: the first request of a type is answered in full although it carries a nonce', () => {
  const { responses } = clientOf(bookshop()).ask({ responseNonce: 'of-another-server' });
  assert.equal(responses[0]?.resources.length, 4);
});

test('C7: a reconnect brings what is stale or new, and removes what is gone', () => {
  const store = bookshop();
  const held = store.get(ADDRESS_TYPE, a.uid)?.version ?? '';
  const { responses } = clientOf(store).ask({ initialResourceVersions: { [a.uid]: held, [b.uid]: 'stale', 'gone/uid': 'v' } });
  assert.deepEqual(names(responses[0]), [b.uid, other.uid, SERVICE].sort());
  assert.deepEqual(responses[0]?.removed, ['gone/uid']);
});

test('C8: a reconnect without versions brings everything, and removals all the same', () => {
  const { responses } = clientOf(bookshop()).ask({ initialResourceVersions: { [a.uid]: '', 'gone/uid': '' } });
  assert.equal(responses[0]?.resources.length, 4);
  assert.deepEqual(responses[0]?.removed, ['gone/uid']);
});

test('C8: a client that says no versions of policies is sent them all, and what it must forget', () => {
  const store = bookshop();
  store.apply(delta({ policies: new Map([[POLICY, samplePolicy()]]) }));
  const client = clientOf(store);
  const { responses } = client.ask({ typeUrl: AUTHORIZATION_TYPE, initialResourceVersions: { [POLICY]: '', 'shop/gone': '' } });
  assert.deepEqual(responses.map(names), [[POLICY], []]);
  assert.deepEqual(
    responses.map(({ removed }) => removed),
    [[], ['shop/gone']],
  );
});

const onDemand = { resourceNamesSubscribe: ['*'], resourceNamesUnsubscribe: ['*'] };

test("C10: subscribing to * and unsubscribing from it follows only the workloads of the client's node", () => {
  const client = clientOf(bookshop());
  const { responses } = client.ask(onDemand);
  assert.deepEqual(responses.map(names), [[a.uid]]);
  const arrival = sampleWorkload({ name: 'new', services: new Map() });
  assert.deepEqual(client.apply(delta({ workloads: new Map([[arrival.uid, arrival]]) })).map(names), [[arrival.uid]]);
  assert.deepEqual(client.apply(delta({ workloads: new Map([[other.uid, { ...other, healthy: false }]]) })), []);
});

const lookups = [
  { name: 'an unknown address is reported as removed', asked: '/10.9.9.9', found: [a.uid], removed: ['/10.9.9.9'] },
  { name: 'a VIP brings the service and its workloads', asked: '/10.96.0.9', found: [SERVICE, a.uid, b.uid], removed: [] },
  { name: 'a service name brings the service and its workloads', asked: SERVICE, found: [SERVICE, a.uid, b.uid], removed: [] },
  { name: 'a uid brings the workload', asked: other.uid, found: [other.uid, a.uid], removed: [] },
  { name: "a workload's address brings the workload", asked: '/10.1.0.2', found: [b.uid, a.uid], removed: [] },
];
for (const { name, asked, found, removed } of lookups) {
  test(`C11: on demand, ${name}`, () => {
    const client = clientOf(bookshop());
    client.ask(onDemand);
    const { responses } = client.ask({ resourceNamesSubscribe: [asked] });
    assert.equal(responses.length, 1);
    assert.deepEqual(names(responses[0]), [...found].sort());
    assert.deepEqual(responses[0]?.removed, removed);
  });
}

test('C11: on demand, a looked-up service brings its later workloads, its aliases, and their removal', () => {
  const client = clientOf(bookshop());
  client.ask(onDemand);
  const { responses } = client.ask({ resourceNamesSubscribe: [SERVICE] });
  const wire = fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(encodeResponse(responses[0] ?? assert.fail())));
  assert.deepEqual(wire.resources.find(({ name }) => name === SERVICE)?.aliases, ['/10.96.0.9']);
  const late = sampleWorkload({ name: 'late', node: 'node-3' });
  assert.deepEqual(client.apply(delta({ workloads: new Map([[late.uid, late]]) })).map(names), [[late.uid]]);
  assert.deepEqual(
    client.apply(delta({ workloads: new Map([[late.uid, null]]) })).map(({ removed }) => removed),
    [[late.uid]],
  );
  assert.deepEqual(client.apply(delta({ workloads: new Map([[other.uid, null]]) })), []);
});

test('C11: on demand, a service that was asked for by its address brings its later workloads, too', () => {
  const client = clientOf(bookshop());
  client.ask(onDemand);
  client.ask({ resourceNamesSubscribe: ['/10.96.0.9'] });
  const late = sampleWorkload({ name: 'late', node: 'node-3' });
  assert.deepEqual(client.apply(delta({ workloads: new Map([[late.uid, late]]) })).map(names), [[late.uid]]);
  client.ask({ resourceNamesUnsubscribe: ['/10.96.0.9', SERVICE, late.uid] });
  const later = sampleWorkload({ name: 'later', node: 'node-3' });
  assert.deepEqual(client.apply(delta({ workloads: new Map([[later.uid, later]]) })), []);
});

test('C11: on demand, an address that was unknown is delivered once something has it', () => {
  const client = clientOf(bookshop());
  client.ask(onDemand);
  client.ask({ resourceNamesSubscribe: ['/10.9.9.9'] });
  const late = sampleWorkload({ name: 'late', node: 'node-3', addresses: [parseIp('10.9.9.9')], services: new Map() });
  assert.deepEqual(client.apply(delta({ workloads: new Map([[late.uid, late]]) })).map(names), [[late.uid]]);
});

test('an unsubscribed name is no longer followed, and a pure unsubscribe is not answered', () => {
  const client = clientOf(bookshop());
  client.ask(onDemand);
  client.ask({ resourceNamesSubscribe: [other.uid] });
  assert.deepEqual(client.ask({ resourceNamesUnsubscribe: [other.uid] }).responses, []);
  assert.deepEqual(client.apply(delta({ workloads: new Map([[other.uid, { ...other, healthy: false }]]) })), []);
});

test('C12: a deleted pod is one removed name and nothing else', () => {
  const client = clientOf(bookshop());
  client.ask({});
  const responses = client.apply(delta({ workloads: new Map([[b.uid, null]]) }));
  assert.deepEqual(
    responses.map(({ resources, removed }) => [resources, removed]),
    [[[], [b.uid]]],
  );
});

test('a wildcard client that names something is answered in full', () => {
  const client = clientOf(bookshop());
  client.ask({});
  assert.equal(client.ask({ responseNonce: 'n1', resourceNamesSubscribe: ['x'] }).responses[0]?.resources.length, 4);
});

test('a change that leaves the bytes as they were is not sent', () => {
  const client = clientOf(bookshop());
  client.ask({});
  assert.deepEqual(client.apply(delta({ workloads: new Map([[a.uid, { ...a }]]) })), []);
});

test('changes merge while a client is slow: one response with the last state', () => {
  const store = bookshop();
  const client = clientOf(store);
  client.ask({});
  store.apply(delta({ workloads: new Map([[a.uid, { ...a, healthy: false }]]) }));
  store.apply(
    delta({
      workloads: new Map([
        [a.uid, null],
        [b.uid, { ...b, canonicalRevision: 'v2' }],
      ]),
    }),
  );
  const responses = client.drain();
  assert.deepEqual(
    responses.map((response) => [names(response), response.removed]),
    [[[b.uid], [a.uid]]],
  );
});

/** What a client that applies responses in order is missing after any of them: policies its workloads list. */
function missingPolicies(responses: readonly DeltaResponse[], held: Set<string>, listed: Map<string, readonly string[]>) {
  const missing: string[] = [];
  for (const { typeUrl, resources, removed } of responses) {
    for (const { name, wire } of resources) {
      if (typeUrl === AUTHORIZATION_TYPE) held.add(name);
      else listed.set(name, policiesListedIn(typeUrl, wire));
    }
    for (const name of removed) (typeUrl === AUTHORIZATION_TYPE ? held : listed).delete(name);
    for (const [name, policies] of listed)
      for (const policy of policies) if (!held.has(policy)) missing.push(`${name} ${policy}`);
  }
  return missing;
}

function policiesListedIn(typeUrl: TypeUrl, wire: Uint8Array): readonly string[] {
  const decoded = decodeResource(typeUrl, '', fromBinary(ResourceSchema, wire).resource?.value ?? new Uint8Array());
  return decoded.kind === 'workload' ? decoded.workload.authorizationPolicies : [];
}

test('C7: a client that says the versions of its policies is sent only those that differ', () => {
  const store = bookshop();
  const other = samplePolicy({ name: 'other' });
  store.apply(
    delta({
      policies: new Map([
        [POLICY, samplePolicy()],
        ['shop/other', other],
      ]),
    }),
  );
  const initialResourceVersions = { [POLICY]: store.get(AUTHORIZATION_TYPE, POLICY)?.version ?? '', 'shop/other': 'older' };
  const { responses } = clientOf(store).ask({ typeUrl: AUTHORIZATION_TYPE, initialResourceVersions });
  assert.deepEqual(responses.map(names), [['shop/other']]);
});

test('C16: a workload never lists a policy that the client lacks, when policies come, are replaced and go', () => {
  const store = bookshop();
  const client = clientOf(store);
  const held = new Set<string>();
  const listed = new Map<string, readonly string[]>();
  const steps: { policies: StoreDelta['mesh']['policies']; lists: readonly string[] }[] = [
    { policies: new Map([[POLICY, samplePolicy()]]), lists: [POLICY] },
    {
      policies: new Map([
        [POLICY, null],
        ['shop/second', samplePolicy({ name: 'second' })],
      ]),
      lists: ['shop/second'],
    },
    { policies: new Map([['shop/second', null]]), lists: [] },
  ];
  assert.deepEqual(
    missingPolicies([...client.ask({}).responses, ...client.ask({ typeUrl: AUTHORIZATION_TYPE }).responses], held, listed),
    [],
  );
  for (const { policies, lists } of steps) {
    const responses = client.apply(delta({ policies, workloads: new Map([[a.uid, { ...a, authorizationPolicies: lists }]]) }));
    assert.deepEqual(missingPolicies(responses, held, listed), []);
  }
  assert.deepEqual([...held], []);
});

test('C16: a policy added while an address update waits is sent before it', () => {
  const store = bookshop();
  const client = clientOf(store);
  client.ask({});
  client.ask({ typeUrl: AUTHORIZATION_TYPE });
  store.apply(delta({ workloads: new Map([[a.uid, { ...a, authorizationPolicies: [POLICY] }]]) }));
  store.apply(delta({ policies: new Map([[POLICY, samplePolicy()]]) }));
  assert.deepEqual(
    client.drain().map(({ typeUrl }) => typeUrl),
    [AUTHORIZATION_TYPE, ADDRESS_TYPE],
  );
});

test('a policy that came back before its removal was sent is not removed', () => {
  const store = bookshop();
  store.apply(delta({ policies: new Map([[POLICY, samplePolicy()]]) }));
  const client = clientOf(store);
  client.ask({ typeUrl: AUTHORIZATION_TYPE });
  store.apply(delta({ policies: new Map([[POLICY, null]]) }));
  store.apply(delta({ policies: new Map([[POLICY, samplePolicy({ dryRun: true })]]) }));
  assert.deepEqual(
    client.drain().map((response) => [names(response), response.removed]),
    [[[POLICY], []]],
  );
});

test('a waypoint follows its own configuration by name: unknown, made, changed, gone', () => {
  const client = clientOf(bookshop());
  const first = client.ask({ typeUrl: WAYPOINT_CONFIG_TYPE, resourceNamesSubscribe: ['shop/waypoint'] }).responses;
  assert.deepEqual(
    first.map(({ resources, removed }) => [resources.length, removed]),
    [[0, ['shop/waypoint']]],
  );
  const made = new Map([
    ['shop/waypoint', sampleWaypointConfig()],
    ['shop/other', sampleWaypointConfig({ gateway: 'other' })],
  ]);
  assert.deepEqual(client.apply(delta({ waypoints: made })).map(names), [['shop/waypoint']]);
  assert.deepEqual(client.apply(delta({ waypoints: new Map([['shop/other', null]]) })), []);
  const gone = client.apply(delta({ waypoints: new Map([['shop/waypoint', null]]) }));
  assert.deepEqual(
    gone.map(({ removed }) => removed),
    [['shop/waypoint']],
  );
});

test('the legacy type serves bare workloads and no services', () => {
  const { responses } = clientOf(bookshop()).ask({ typeUrl: WORKLOAD_TYPE });
  assert.deepEqual(names(responses[0]), [a.uid, b.uid, other.uid].sort());
});

test('a type that nobody serves is not answered', () => {
  const { received, responses } = clientOf(bookshop()).ask({ typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster' });
  assert.deepEqual([received.kind, responses], ['unknown-type', []]);
});

test('a large push is split, and loses nothing', () => {
  const store = bookshop();
  const client = clientOf(store);
  client.ask({});
  const many = Array.from({ length: 12_000 }, (_, at) => sampleWorkload({ name: `w${at}` }));
  const responses = client.apply(delta({ workloads: new Map(many.map((one) => [one.uid, one])) }));
  assert.ok(responses.length > 1);
  assert.equal(new Set(responses.flatMap(names)).size, many.length);
});

test('the encoded response is what protobuf reads back', () => {
  const { responses } = clientOf(bookshop()).ask({ initialResourceVersions: { gone: 'v' } });
  const decoded = fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(encodeResponse(responses[0] ?? assert.fail())));
  assert.deepEqual([decoded.typeUrl, decoded.nonce, decoded.removedResources], [ADDRESS_TYPE, 'n1', ['gone']]);
  assert.equal(decoded.systemVersionInfo, '1970-01-01T00:00:00.000Z/1');
  assert.deepEqual(decoded.resources.map(({ name }) => name).sort(), [a.uid, b.uid, other.uid, SERVICE].sort());
  assert.deepEqual(
    decoded.resources.flatMap(({ aliases }) => aliases),
    [],
  );
  assert.ok(decoded.resources.every(({ version, resource }) => version !== '' && resource?.typeUrl === ADDRESS_TYPE));
});

/** A mesh of `count` workloads, which one response cannot hold. */
function largeMesh(count: number): { store: ResourceStore; uids: string[] } {
  const store = new ResourceStore(0);
  const list = Array.from({ length: count }, (_, index) => sampleWorkload({ name: `w${index}` }));
  store.apply(delta({ workloads: new Map(list.map((one) => [one.uid, one])) }));
  return { store, uids: list.map(({ uid }) => uid) };
}

/** Every response until there is none, with what happened after each. */
function* partsOf(client: ReturnType<typeof clientOf>): Generator<DeltaResponse> {
  for (let next = client.session.next(); next !== null; next = client.session.next()) if (next !== 'later') yield next;
}

function begin(client: ReturnType<typeof clientOf>, request: RequestInit): void {
  const init = { node: { id: 'x', metadata: { NODE_NAME: 'node-1' } }, typeUrl: ADDRESS_TYPE, ...request };
  client.session.receive(create(DeltaDiscoveryRequestSchema, init));
}

test('C51: a large answer comes in parts of a bounded size, each resource once; all but the last announce more', () => {
  const { store, uids } = largeMesh(3_000);
  const client = clientOf(store);
  begin(client, {});
  const parts = [...partsOf(client)];
  assert.ok(parts.length > 3);
  assert.ok(parts.every((part) => Buffer.concat(encodeResponse(part)).length < 1.1 * CONTROL.responseBytesMax));
  assert.deepEqual(
    parts.map(({ nonce }) => announcesMore(nonce)),
    parts.map((_, index) => index < parts.length - 1),
  );
  assert.deepEqual(parts.flatMap(names).sort(), [...uids].sort());
  const read = parts.flatMap((part) => fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(encodeResponse(part))).resources);
  assert.deepEqual(read.map(({ name }) => name).sort(), [...uids].sort(), 'what was made ready for all is the same');
});

test('C51: what changes and what goes while an answer is under way is told between its parts, and nothing is missed', () => {
  const { store, uids } = largeMesh(3_000);
  const client = clientOf(store);
  begin(client, {});
  const held = new Map<string, string>();
  let parts = 0;
  for (const { resources, removed } of partsOf(client)) {
    for (const { name, version } of resources) held.set(name, version);
    for (const name of removed) held.delete(name);
    const [early, late] = [uids[parts] ?? '', uids[2_999 - parts] ?? ''];
    parts += 1;
    if (parts > 20) continue;
    const changed = sampleWorkload({ name: early.split('/').at(-1) ?? '', healthy: false });
    store.apply(delta({ workloads: new Map([[early, changed], [late, null], [`new${parts}`, sampleWorkload({ name: `n${parts}` })]]) })); // biome-ignore format: one change
  }
  const served = new Map<string, string>();
  for (let index = 0, block = store.block(ADDRESS_TYPE, 0); block !== null; block = store.block(ADDRESS_TYPE, ++index))
    for (const { name, version } of block.resources) served.set(name, version);
  assert.ok(parts > 20 && served.size > 2_900);
  assert.deepEqual(new Map([...held].sort()), new Map([...served].sort()));
});

test('C52: what is gone overtakes what came, also for a client that is far behind', () => {
  const { store, uids } = largeMesh(3_000);
  const client = clientOf(store);
  client.ask({});
  const gone = uids[0] ?? '';
  const others = uids
    .slice(1)
    .map((uid) => [uid, sampleWorkload({ name: uid.split('/').at(-1) ?? '', healthy: false })] as const);
  store.apply(delta({ workloads: new Map(others) }));
  store.apply(delta({ workloads: new Map([[gone, null]]) }));
  const responses = client.drain();
  assert.ok(responses.length > 1);
  assert.deepEqual(responses[0]?.removed, [gone]);
});

test('C7: a client that comes back with all of a large mesh is sent what differs, in pieces of work', () => {
  const { store, uids } = largeMesh(60_000);
  const versions = Object.fromEntries(uids.map((uid) => [uid, store.get(ADDRESS_TYPE, uid)?.version ?? '']));
  const client = clientOf(store);
  begin(client, { initialResourceVersions: { ...versions, [uids[7] ?? '']: 'old', 'no/longer': 'x' } });
  const steps: (DeltaResponse | 'later')[] = [];
  for (let next = client.session.next(); next !== null; next = client.session.next()) steps.push(next);
  assert.ok(steps.filter((step) => step === 'later').length > 3);
  const responses = steps.filter((step) => step !== 'later');
  assert.deepEqual([responses.flatMap(names), responses.flatMap(({ removed }) => removed)], [[uids[7]], ['no/longer']]);
  assert.equal(announcesMore(responses.at(-1)?.nonce ?? ''), false);
});
