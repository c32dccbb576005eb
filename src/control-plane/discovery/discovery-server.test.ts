import assert from 'node:assert/strict';
import test from 'node:test';
import { create, fromBinary, type Message, type MessageInitShape } from '@bufbuild/protobuf';
import type { Caller } from '#control-plane/authentication/authenticator.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { DeltaDiscoveryRequestSchema, type DeltaDiscoveryResponse, DeltaDiscoveryResponseSchema } from '#proto/discovery_pb.js';
import type { RpcError } from '#protocol/xds/resource-fault.ts';
import { samplePolicy, sampleWorkload } from '#protocol/xds/sample-mesh.testing.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from '#protocol/xds/type-urls.ts';
import { DiscoveryServer } from './discovery-server.ts';
import { ResourceStore, type StoreDelta } from './resource-store.ts';

const agent: Caller = {
  namespace: 'weft-system',
  serviceAccount: 'weft-agent',
  node: 'node-1',
  grant: null,
  untilMs: null,
  origin: { ip: '127.0.0.1', instance: '' },
};
const node = {
  id: 'ztunnel~10.0.0.1~agent.weft-system~weft-system.svc.cluster.local',
  metadata: { NAMESPACE: 'weft-system', NODE_NAME: 'node-1' },
};

type RequestInit = Exclude<MessageInitShape<typeof DeltaDiscoveryRequestSchema>, Message>;

function serving() {
  const clock = new SteppedClock();
  const store = new ResourceStore(0);
  let nonces = 0;
  const server = new DiscoveryServer({ store, clock, log: SILENT_LOG, newNonce: () => `n${++nonces}` });
  return { clock, server };
}

/** One stream of the server; `slow` makes each message wait for `drained`. */
function connect({ clock, server }: ReturnType<typeof serving>, options: { slow?: boolean } = {}) {
  const sent: DeltaDiscoveryResponse[] = [];
  const ended: RpcError[] = [];
  const listener = server.open(agent, {
    peer: '127.0.0.1:1',
    send(parts) {
      sent.push(fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(parts)));
      return options.slow !== true;
    },
    end: (error) => ended.push(error),
  });
  const ask = (request: RequestInit) => {
    listener.receive(create(DeltaDiscoveryRequestSchema, request));
    clock.advance(1);
  };
  return { listener, sent, ended, ask };
}

function workloads(...names: string[]): StoreDelta {
  const list = names.map((name) => sampleWorkload({ name }));
  return {
    mesh: { workloads: new Map(list.map((one) => [one.uid, one])), services: new Map(), policies: new Map() },
    waypoints: new Map(),
  };
}

test('C13: a first request without a node ends the stream as invalid, one of another namespace as denied', () => {
  const both = [
    { request: { typeUrl: ADDRESS_TYPE }, status: 'invalid-argument' },
    { request: { typeUrl: ADDRESS_TYPE, node: { ...node, metadata: { NAMESPACE: 'shop' } } }, status: 'permission-denied' },
  ];
  for (const { request, status } of both) {
    const client = connect(serving());
    client.ask(request);
    client.ask({ typeUrl: ADDRESS_TYPE, node });
    assert.deepEqual([client.ended.map((error) => error.status), client.sent], [[status], []]);
  }
});

test('C16: of the requests that open a stream, policies are answered first', () => {
  const both = serving();
  both.server.publish(workloads('a'));
  const client = connect(both);
  client.listener.receive(create(DeltaDiscoveryRequestSchema, { typeUrl: ADDRESS_TYPE, node }));
  client.ask({ typeUrl: AUTHORIZATION_TYPE, node });
  assert.deepEqual(
    client.sent.map(({ typeUrl }) => typeUrl),
    [AUTHORIZATION_TYPE, ADDRESS_TYPE],
  );
});

test('a change is sent to clients that keep up within the call that makes it', () => {
  const both = serving();
  const client = connect(both);
  client.ask({ typeUrl: ADDRESS_TYPE, node });
  both.server.publish(workloads('a'));
  assert.deepEqual(
    client.sent.map(({ resources }) => resources.length),
    [0, 1],
  );
});

test('a client that is behind gets one response for all that happened meanwhile', () => {
  const both = serving();
  const client = connect(both, { slow: true });
  client.ask({ typeUrl: ADDRESS_TYPE, node });
  for (const name of ['a', 'b', 'a', 'c']) both.server.publish(workloads(name));
  assert.equal(client.sent.length, 1);
  client.listener.drained();
  both.clock.advance(1);
  assert.deepEqual(
    client.sent[1]?.resources.map(({ name }) => name.split('/').at(-1)),
    ['a', 'b', 'c'],
  );
});

test('the status of a connection tells what was sent, acknowledged and rejected', () => {
  const both = serving();
  const client = connect(both);
  client.ask({ typeUrl: AUTHORIZATION_TYPE, node });
  assert.equal(both.server.connections()[0]?.upToDate, false);
  client.ask({ typeUrl: AUTHORIZATION_TYPE, responseNonce: 'n1' });
  assert.equal(both.server.connections()[0]?.upToDate, true);
  both.server.publish({
    mesh: { workloads: new Map(), services: new Map(), policies: new Map([['shop/deny-reviews', samplePolicy()]]) },
    waypoints: new Map(),
  });
  client.ask({ typeUrl: AUTHORIZATION_TYPE, responseNonce: 'n2', errorDetail: { message: 'shop/deny-reviews: no' } });
  const [status] = both.server.connections();
  assert.deepEqual([status?.upToDate, status?.types[0]?.problem, status?.node], [false, 'shop/deny-reviews: no', 'node-1']);
});

test('a closed stream is forgotten', () => {
  const both = serving();
  const client = connect(both);
  assert.equal(both.server.presence.isConnected('node-1'), true);
  client.listener.closed();
  both.server.publish(workloads('a'));
  assert.deepEqual([client.sent, both.server.connections(), both.server.presence.isConnected('node-1')], [[], [], false]);
});

test('a stopping server ends its streams as unavailable, so that clients come again', () => {
  const both = serving();
  const client = connect(both);
  both.server.close();
  assert.deepEqual(
    client.ended.map(({ status }) => status),
    ['unavailable'],
  );
});

test('a client that has not taken a response is sent no other, however much there is to send', () => {
  const both = serving();
  both.server.publish(workloads(...Array.from({ length: 2_000 }, (_, index) => `w${index}`)));
  const client = connect(both, { slow: true });
  client.ask({ typeUrl: ADDRESS_TYPE, node });
  both.server.publish(workloads('a'));
  both.clock.advance(1_000);
  assert.equal(client.sent.length, 1);
  assert.equal(both.server.connections()[0]?.upToDate, false);
  for (let taken = 0; taken < 10; taken++) {
    client.listener.drained();
    both.clock.advance(1);
  }
  assert.equal(new Set(client.sent.flatMap(({ resources }) => resources.map(({ name }) => name))).size, 2_001);
  assert.deepEqual(
    both.server.connections()[0]?.types.map(({ pending }) => pending),
    [0],
  );
});

test('a fleet that starts at once is served in turn: nobody waits for the whole answer of another', () => {
  const both = serving();
  both.server.publish(workloads(...Array.from({ length: 2_000 }, (_, index) => `w${index}`)));
  const clients = Array.from({ length: 18 }, () => connect(both, { slow: true }));
  for (const client of clients) client.listener.receive(create(DeltaDiscoveryRequestSchema, { typeUrl: ADDRESS_TYPE, node }));
  both.clock.advance(1);
  assert.deepEqual(
    clients.map(({ sent }) => sent.length),
    clients.map(() => 1),
  );
});

test('a client that does not take what it was sent is cut off, one that does is not', () => {
  const both = serving();
  const [stuck, slow] = [connect(both, { slow: true }), connect(both, { slow: true })];
  for (const client of [stuck, slow]) client.ask({ typeUrl: ADDRESS_TYPE, node });
  both.clock.advance(59_000);
  slow.listener.drained();
  both.server.publish(workloads('a'));
  both.clock.advance(2_000);
  assert.deepEqual(
    [stuck, slow].map(({ ended }) => ended.map(({ status }) => status)),
    [['unavailable'], []],
  );
});

test('a stream ends when the token that opened it does, however far away that is', () => {
  const both = serving();
  const day = 86_400_000;
  const ended: RpcError[] = [];
  const untilMs = both.clock.nowMs() + 60 * day;
  both.server.open({ ...agent, untilMs }, { peer: '127.0.0.1:1', send: () => true, end: (error) => ended.push(error) });
  both.clock.advance(60 * day - 1);
  assert.equal(ended.length, 0);
  both.clock.advance(1);
  assert.deepEqual(
    ended.map(({ status, message }) => [status, message]),
    [['unauthenticated', 'the token has expired']],
  );
});
