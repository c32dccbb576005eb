import assert from 'node:assert/strict';
import test from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { Roster } from '#model/effects/roster.ts';
import { MeshState } from '#model/mesh/mesh-state.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { StringHeaders } from '#protocol/http/header-block.ts';
import type { ClientConnection, ClientStream, RequestHead, ServerStream, UpstreamProblem } from '#protocol/http/message.ts';
import { connectionFacts } from '#waypoint/connection/connection-facts.ts';
import { BodyKeeper, KeptBodies } from '#waypoint/exchange/body-keeper.ts';
import { Carrier } from '#waypoint/exchange/carrier.ts';
import { Exchange } from '#waypoint/exchange/exchange.ts';
import type { Flow } from '#waypoint/exchange/flow.ts';
import { Counters } from '#waypoint/self/counters.ts';
import { NO_CONFIGURATION } from '#waypoint/state/snapshot.ts';

const STALE: UpstreamProblem = { kind: 'closed', details: 'gone', staleConnection: true, unprocessed: false };
const HEAD: RequestHead = {
  version: 'http1',
  method: 'POST',
  target: '/',
  authority: 'cart',
  headers: new StringHeaders([]),
  hasBody: true,
  contentLength: null,
  upgrade: null,
};

/** A carrier whose halves write down what they are told; every failed try is followed by another. */
function rig(bytesMax: number) {
  const said: string[] = [];
  const stream = {
    startBody: () => said.push('start'),
    resumeBody: () => said.push('resume'),
    respond: ({ status }: { status: number }) => said.push(`respond ${status}`),
    inform: () => said.push('inform'),
    write: () => true,
    end: () => said.push('end'),
  } as unknown as ServerStream;
  const flow: Flow<Carrier> = {
    answered: () => false,
    tryAgain: () => true,
    requestEnded() {},
    response() {},
    end: () => said.push('over'),
    sent: () => said.push('sent'),
  };
  const stranger = {
    stream: null as never,
    peer: null,
    peerAddress: parseIp('10.0.0.7'),
    peerPort: 1,
    dialled: { address: '10.96.0.1', port: 80 },
  };
  const destination = {
    kind: 'service',
    key: 'shop/cart.mesh',
    port: 80,
    appProtocol: 'http11',
    address: parseIp('10.96.0.1'),
  } as const;
  const exchange = new Exchange(connectionFacts(stranger, destination, new MeshState()), HEAD, stream, NO_CONFIGURATION, 1);
  const counters = new Counters();
  const carrier = new Carrier(exchange, {
    clock: new SteppedClock(),
    counters,
    flow,
    live: new Roster(),
    relay: () => assert.fail('nothing is upgraded'),
    mishaps: SILENT_MISHAPS,
  });
  carrier.keepBody(new BodyKeeper(bytesMax, new KeptBodies(bytesMax)));
  return { said, carrier, exchange };
}

/** A connection that writes down what is sent over it. */
function connection() {
  const sent: string[] = [];
  const upstream: ClientStream = {
    write: (data) => sent.push(String(data)) > 0,
    end: () => void sent.push('end'),
    flush() {},
    resume() {},
    abort: () => void sent.push('abort'),
  };
  return { sent, send: () => upstream } as unknown as ClientConnection & { sent: string[] };
}

test('carrier: a client that was held back between two tries goes on with the second', () => {
  const { said, carrier } = rig(100);
  carrier.attach(connection());
  assert.equal(carrier.onBody(Buffer.from('one ')), true);
  carrier.fail(STALE);
  assert.equal(carrier.onBody(Buffer.from('two ')), false);
  assert.deepEqual(said, ['start']);
  const second = connection();
  carrier.attach(second);
  assert.deepEqual(said, ['start', 'start', 'resume']);
  carrier.onBody(Buffer.from('three'));
  carrier.onBodyEnd(null);
  assert.deepEqual(second.sent, ['one two ', 'three', 'end']);
});

test('carrier: too much between two tries is answered with what the first failed of', () => {
  const { said, carrier, exchange } = rig(6);
  exchange.attempt = { previous: { outcome: STALE } } as never;
  carrier.attach(connection());
  carrier.onBody(Buffer.from('one '));
  carrier.fail(STALE);
  assert.equal(carrier.onBody(Buffer.from('two ')), false);
  assert.deepEqual(said, ['start', 'over', 'respond 503', 'end', 'sent']);
  assert.match(exchange.details, /connection_termination\|gone/);
});

test('carrier: the body is unsent, then kept, then lost once a response has begun', () => {
  const { carrier } = rig(100);
  assert.deepEqual([carrier.body, carrier.responseBegun], ['unsent', false]);
  carrier.attach(connection());
  carrier.onBody(Buffer.from('one'));
  assert.deepEqual([carrier.body, carrier.responseBegun], ['kept', false]);
  carrier.onInform({ status: 103, headers: new StringHeaders([]), contentLength: null });
  assert.deepEqual([carrier.body, carrier.responseBegun], ['lost', true]);
});
