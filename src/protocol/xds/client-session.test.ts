import assert from 'node:assert/strict';
import test from 'node:test';
import { create, fromBinary } from '@bufbuild/protobuf';
import { type DeltaDiscoveryResponse, DeltaDiscoveryResponseSchema } from '#proto/discovery_pb.js';
import { DeltaClientSession, deltaOf } from './client-session.ts';
import { encodeResponse } from './encode-response.ts';
import { type EncodedResource, encodeAuthorization, encodeService, encodeWorkload } from './encoded-resource.ts';
import { samplePolicy, sampleService, sampleWorkload } from './sample-mesh.testing.ts';
import { reconnectWait, type StreamEnd } from './stream-end.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type TypeUrl } from './type-urls.ts';

const NODE = { id: 'ztunnel~10.0.0.1~agent.weft~weft.svc.cluster.local', metadata: { NODE_NAME: 'node-1' } };

function session(): DeltaClientSession {
  return new DeltaClientSession(NODE, [
    { typeUrl: AUTHORIZATION_TYPE, names: [] },
    { typeUrl: ADDRESS_TYPE, names: [] },
  ]);
}

function response(
  typeUrl: TypeUrl,
  resources: readonly EncodedResource[],
  removed: readonly string[] = [],
): DeltaDiscoveryResponse {
  return fromBinary(
    DeltaDiscoveryResponseSchema,
    Buffer.concat(
      encodeResponse({
        typeUrl,
        nonce: 'n',
        systemVersion: '',
        resources,
        removed,
        framed: null,
        askedBuckets: null,
        withAliases: false,
      }),
    ),
  );
}

const good = encodeWorkload(sampleWorkload({ name: 'good' }));
const bad: EncodedResource = {
  ...encodeWorkload(sampleWorkload({ name: 'bad' })),
  wire: Buffer.from([0x1a, 3, 0x62, 0x61, 0x64]),
};

test('the first request of each type names the node and everything held', () => {
  const client = session();
  client.receive(response(ADDRESS_TYPE, [good]));
  const [policies, addresses] = client.open();
  assert.deepEqual([policies?.typeUrl, policies?.initialResourceVersions], [AUTHORIZATION_TYPE, {}]);
  assert.deepEqual([addresses?.node?.id, addresses?.node?.metadata], [NODE.id, { ...NODE.metadata, HELD_DIGESTS: 'true' }]);
  assert.deepEqual(addresses?.initialResourceVersions, { [good.name]: good.version });
  assert.deepEqual(addresses?.resourceNamesSubscribe, []);
});

test('a good response is acknowledged by its nonce, without a node', () => {
  const { reply, rejected } = session().receive(response(ADDRESS_TYPE, [good]));
  assert.deepEqual([reply.responseNonce, reply.errorDetail, reply.node, rejected], ['n', undefined, undefined, []]);
});

test('B63, C48: one bad resource is named in the NACK, the good ones apply, the bad one is not claimed', () => {
  const client = session();
  const { reply, updated } = client.receive(response(ADDRESS_TYPE, [good, bad]));
  assert.equal(updated.length, 1);
  assert.match(reply.errorDetail?.message ?? '', /^bad: address is neither a workload nor a service$/);
  assert.deepEqual(client.open()[1]?.initialResourceVersions, { [good.name]: good.version });
});

test('B63: several bad resources are told in one sentence', () => {
  const { reply } = session().receive(response(ADDRESS_TYPE, [bad, good, bad]));
  assert.match(reply.errorDetail?.message ?? '', /^bad: [^;]+; bad: [^;]+$/);
});

test('C48: an older state of a resource that turned bad stays claimed without a version, so that its removal arrives', () => {
  const client = session();
  client.receive(response(ADDRESS_TYPE, [good]));
  const turnedBad = create(DeltaDiscoveryResponseSchema, {
    typeUrl: ADDRESS_TYPE,
    nonce: 'm',
    resources: [{ name: good.name, version: 'x' }],
  });
  assert.equal(client.receive(turnedBad).updated.length, 0);
  assert.deepEqual(client.open()[1]?.initialResourceVersions, { [good.name]: '' });
});

test('removals apply although the response is rejected, unknown ones are nothing', () => {
  const client = session();
  client.receive(response(ADDRESS_TYPE, [good, service]));
  const { removed } = client.receive(response(ADDRESS_TYPE, [bad], [good.name, service.name, 'never/seen']));
  assert.deepEqual(removed, [
    { kind: 'workload', key: good.name },
    { kind: 'service', key: service.name },
  ]);
});

test('a type nobody asked for is acknowledged', () => {
  const { reply, updated } = session().receive(
    create(DeltaDiscoveryResponseSchema, { typeUrl: 'what', nonce: 'n', resources: [{ name: 'x' }] }),
  );
  assert.deepEqual([reply.errorDetail, reply.typeUrl, updated], [undefined, 'what', []]);
});

test('B63: synced needs the first response of every type, on each stream anew', () => {
  const client = session();
  client.open();
  client.receive(response(ADDRESS_TYPE, []));
  assert.equal(client.synced, false);
  client.receive(response(AUTHORIZATION_TYPE, []));
  assert.equal(client.synced, true);
  client.open();
  assert.equal(client.synced, false);
});

test('a response becomes one delta of the mesh, gone resources as null', () => {
  const client = session();
  client.receive(response(ADDRESS_TYPE, [good]));
  const service = sampleService();
  const { mesh } = deltaOf(client.receive(response(ADDRESS_TYPE, [encodeService(service)], [good.name])));
  assert.deepEqual([...mesh.workloads], [[good.name, null]]);
  assert.deepEqual([...mesh.services], [['shop/ratings.shop.svc.cluster.local', service]]);
  const policy = samplePolicy();
  const second = deltaOf(client.receive(response(AUTHORIZATION_TYPE, [encodeAuthorization(policy)])));
  assert.deepEqual([...second.mesh.policies], [['shop/deny-reviews', policy]]);
});

function onDemand(): DeltaClientSession {
  return new DeltaClientSession(NODE, [
    { typeUrl: AUTHORIZATION_TYPE, names: [] },
    { typeUrl: ADDRESS_TYPE, names: 'on-demand' },
  ]);
}

/** A response to an on-demand client: it tells the other names of what it holds. */
function withAliases(resources: readonly EncodedResource[], removed: readonly string[] = []): DeltaDiscoveryResponse {
  const whole = { typeUrl: ADDRESS_TYPE, nonce: 'n', systemVersion: '', framed: null, askedBuckets: null } as const;
  const parts = encodeResponse({ ...whole, resources, removed, withAliases: true });
  return fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(parts));
}

const service = encodeService(sampleService());
const [vip = ''] = service.aliases;

test('B72: on demand the first request asks for nothing of everything, and later ones for names without a nonce', () => {
  const client = onDemand();
  const [policies, addresses] = client.open();
  assert.deepEqual([policies?.resourceNamesSubscribe, policies?.resourceNamesUnsubscribe], [[], []]);
  assert.deepEqual([addresses?.resourceNamesSubscribe, addresses?.resourceNamesUnsubscribe], [['*'], ['*']]);
  const more = client.change({ subscribe: [vip, '/10.9.9.9'], unsubscribe: [] });
  assert.deepEqual([more.typeUrl, more.resourceNamesSubscribe, more.responseNonce], [ADDRESS_TYPE, [vip, '/10.9.9.9'], '']);
});

test('B72: a name is answered by what has it, by whichever of its names, or by word that nothing has', () => {
  const client = onDemand();
  client.change({ subscribe: [vip, '/10.9.9.9', '/10.9.9.8', good.name], unsubscribe: [] });
  const { answers } = client.receive(withAliases([service, good], ['/10.9.9.9', '/10.7.7.7']));
  assert.deepEqual(
    [...answers],
    [
      [vip, [service.name]],
      [good.name, [good.name]],
      ['/10.9.9.9', []],
    ],
  );
});

test('B72: what could not be read answers no name', () => {
  const client = onDemand();
  client.change({ subscribe: [bad.name], unsubscribe: [] });
  assert.deepEqual([...client.receive(withAliases([bad])).answers], []);
});

test('B72: the next stream begins with the names that are asked for, and with what is held of them', () => {
  const client = onDemand();
  client.change({ subscribe: [vip, '/10.9.9.9'], unsubscribe: [] });
  client.receive(withAliases([service, good]));
  client.change({ subscribe: [], unsubscribe: ['/10.9.9.9', good.name] });
  const addresses = client.open()[1];
  assert.deepEqual(addresses?.resourceNamesSubscribe, ['*', vip]);
  assert.deepEqual(addresses?.initialResourceVersions, { [service.name]: service.version });
});

test('a client that follows everything is told no answers', () => {
  assert.equal(session().receive(response(ADDRESS_TYPE, [good], ['/10.9.9.9'])).answers.size, 0);
});

const ends: { name: string; end: StreamEnd; want: 'none' | 'first' | 'growing' }[] = [
  {
    name: 'a stream that cannot be established is tried more and more rarely',
    end: { kind: 'not-established' },
    want: 'growing',
  },
  { name: 'a clean end is followed at once', end: { kind: 'clean' }, want: 'none' },
  {
    name: 'an unknown failure in mid-stream waits 10 ms each time',
    end: { kind: 'broken', code: 'UNKNOWN', details: '' },
    want: 'first',
  },
  {
    name: 'a closing transport waits 10 ms each time',
    end: { kind: 'broken', code: 'UNAVAILABLE', details: 'Transport is closing' },
    want: 'first',
  },
  { name: 'overload doubles', end: { kind: 'broken', code: 'RESOURCE_EXHAUSTED', details: '' }, want: 'growing' },
  { name: 'an unavailable server doubles', end: { kind: 'broken', code: 'UNAVAILABLE', details: 'no' }, want: 'growing' },
];
for (const { name, end, want } of ends) test(`B63: ${name}`, () => assert.equal(reconnectWait(end), want));
