import assert from 'node:assert/strict';
import test from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { ResourceStore, type StoreDelta } from '#control-plane/discovery/resource-store.ts';
import { parseIp } from '#model/address/ip.ts';
import { type DeltaDiscoveryRequest, DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema } from '#proto/discovery_pb.js';
import { RpcError } from '#protocol/xds/resource-fault.ts';
import { DeltaClientSession, deltaOf } from './client-session.ts';
import { type DeltaResponse, encodeResponse } from './encode-response.ts';
import { samplePolicy, sampleWorkload } from './sample-mesh.testing.ts';
import { DeltaServerSession } from './server-session.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from './type-urls.ts';

const NONE: StoreDelta = {
  mesh: { workloads: new Map(), services: new Map(), policies: new Map() },
  waypoints: new Map(),
};

/** Name → weight, 0: gone. */
type Weights = Readonly<Record<string, number>>;

function workloadsOf(weights: Weights): StoreDelta {
  const workloads = Object.entries(weights).map(([name, weight]): [string, ReturnType<typeof sampleWorkload> | null] => {
    const workload = sampleWorkload({ name, addresses: [parseIp('10.1.0.1')], capacity: weight });
    return [workload.uid, weight === 0 ? null : workload];
  });
  return { ...NONE, mesh: { ...NONE.mesh, workloads: new Map(workloads) } };
}

function policiesOf(count: number): StoreDelta {
  const policies = Array.from({ length: count }, (_, at) => samplePolicy({ name: `p${at}` }));
  const byKey = policies.map((policy): [`${string}/${string}`, typeof policy] => [`${policy.namespace}/${policy.name}`, policy]);
  return { ...NONE, mesh: { ...NONE.mesh, policies: new Map(byKey) as StoreDelta['mesh']['policies'] } };
}

/** What one stream carried. */
type Carried = { requestBytes: number; resources: number; removed: number; misread: boolean };

class Client {
  readonly session = new DeltaClientSession({ id: 'agent', metadata: {} }, [
    { typeUrl: AUTHORIZATION_TYPE, names: [] },
    { typeUrl: ADDRESS_TYPE, names: [] },
  ]);
  readonly weights = new Map<string, number>();

  /** A stream to the server of `store`, until both have nothing more to say. stock: one that knows nothing of digests. */
  stream(store: ResourceStore, { stock = false, meanwhile = () => {} } = {}): Carried {
    const server = new DeltaServerSession({ view: store, newNonce: () => `n${++nonces}` });
    const carried: Carried = { requestBytes: 0, resources: 0, removed: 0, misread: false };
    const tell = (request: DeltaDiscoveryRequest): void => {
      const bytes = toBinary(DeltaDiscoveryRequestSchema, request);
      carried.requestBytes += bytes.length;
      const read = fromBinary(DeltaDiscoveryRequestSchema, bytes);
      server.receive(
        stock ? { ...read, weftHeldDigests: new Uint8Array(), node: { ...read.node, metadata: {} } as never } : read,
      );
    };
    for (const request of this.session.open()) tell(request);
    meanwhile();
    for (let next = server.next(); next !== null; next = server.next()) {
      if (next !== 'later' && !this.#take(next, carried, tell)) return { ...carried, misread: true };
    }
    return carried;
  }

  #take(next: DeltaResponse, carried: Carried, tell: (request: DeltaDiscoveryRequest) => void): boolean {
    const response = fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(encodeResponse(next)));
    const update = this.session.receive(response);
    if (update.misread) return false;
    carried.resources += response.resources.length;
    carried.removed += response.removedResources.length;
    for (const [uid, workload] of deltaOf(update).mesh.workloads) {
      if (workload === null) this.weights.delete(uid);
      else this.weights.set(uid, workload.capacity);
    }
    tell(update.reply);
    return true;
  }
}

let nonces = 0;

function knownTo(weights: Weights): Map<string, number> {
  const there = [...workloadsOf(weights).mesh.workloads].flatMap(([uid, one]): [string, number][] =>
    one === null ? [] : [[uid, one.capacity]],
  );
  return new Map(there);
}

const anyWeights = fc.dictionary(
  fc.constantFrom(...Array.from({ length: 40 }, (_, at) => `w${at}`)),
  fc.integer({ min: 0, max: 2 }),
  {
    maxKeys: 40,
    noNullPrototype: true,
  },
);

test('C53: a client that comes back knows what the server knows, whatever changed before, between and during that', () => {
  const property = (before: Weights, between: Weights, during: Weights): void => {
    const store = new ResourceStore(0);
    store.apply(workloadsOf(before));
    const client = new Client();
    client.stream(store);
    store.apply(workloadsOf(between));
    client.stream(store, { meanwhile: () => void store.apply(workloadsOf(during)) });
    assert.deepEqual(client.weights, knownTo({ ...before, ...between, ...during }));
  };
  fc.assert(fc.property(anyWeights, anyWeights, anyWeights, property), { numRuns: 300 });
});

test('C53: of 20,000 resources of which one changed and one went, only these two are told, for 2 bytes of digests each', () => {
  const store = new ResourceStore(0);
  const all = Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`w${at}`, 1]));
  store.apply(workloadsOf(all));
  store.apply(policiesOf(500));
  const client = new Client();
  assert.deepEqual(client.stream(store).resources, 20_500);
  const idle = client.stream(store);
  assert.deepEqual({ ...idle, requestBytes: 0 }, { requestBytes: 0, resources: 0, removed: 0, misread: false });
  assert.ok(idle.requestBytes < 45_000, `${idle.requestBytes} bytes of requests`);
  store.apply(workloadsOf({ w7: 2, w8: 0 }));
  const { resources, removed, requestBytes } = client.stream(store);
  assert.deepEqual([resources, removed], [1, 1]);
  assert.ok(requestBytes < 50_000, `${requestBytes} bytes of requests`);
});

test('C53: a server that reads no digests is told versions as the protocol has it, and loses nobody', () => {
  const [ours, stock] = [new ResourceStore(0), new ResourceStore(0)];
  ours.apply(workloadsOf({ a: 1, b: 1, gone: 1 }));
  stock.apply(workloadsOf({ a: 1, b: 2 }));
  const client = new Client();
  client.stream(ours);
  assert.equal(client.stream(stock, { stock: true }).misread, true, 'the stream is given up');
  const { resources, removed } = client.stream(stock, { stock: true });
  assert.deepEqual([resources, removed], [1, 1]);
  assert.deepEqual(client.weights, knownTo({ a: 1, b: 2 }));
});

test('C53: what cannot be put in force is told again, and digests that are none are refused', () => {
  const store = new ResourceStore(0);
  store.apply(workloadsOf({ a: 1, b: 1 }));
  const client = new Client();
  client.stream(store);
  client.session.distrust();
  assert.equal(client.stream(store).resources, 2);
  const server = new DeltaServerSession({ view: store, newNonce: () => 'n' });
  for (const bytes of [7, 24, 8 * 16_384]) {
    const request = create(DeltaDiscoveryRequestSchema, { typeUrl: ADDRESS_TYPE, weftHeldDigests: new Uint8Array(bytes) });
    assert.throws(() => server.receive(request), RpcError);
  }
});
