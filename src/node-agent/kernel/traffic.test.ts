import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { REASON } from '#model/kernel/abi.ts';
import type { Traffic, TrafficKey } from '#model/kernel/maps.ts';
import { aMesh, aService, aWorkload } from '#model/mesh/mesh-fixtures.testing.ts';
import { identityOf, type Workload } from '#model/mesh/workload.ts';
import { IdTable } from '#model/path/ids.ts';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import { Meters } from '#model/telemetry/meters.ts';
import { PeerSeries } from '#model/telemetry/peer-series.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { memoryKernel } from './memory-kernel.testing.ts';
import { KernelTraffic } from './traffic.ts';

const [cart, web] = [aWorkload('cart', ['10.0.0.1']), aWorkload('web', ['10.0.0.2'])];
const vip = (number: number) => parseIp(`240.240.${number >> 8}.${number & 255}`);
const SERVICES = Array.from({ length: 1_200 }, (_, at) => aService(`s${at}`, [vip(at)]));

/** The agent's side over maps in memory; `web` has number 1, `cart` number 2. */
function setUp(kernel = memoryKernel()) {
  const ids = new IdTable();
  const parties = new Map<number, Workload>([web, cart].map((one) => [ids.of('workload', one.uid), one]));
  const meters = new Meters('agent');
  const clock = new SteppedClock();
  const traffic = new KernelTraffic(
    kernel,
    {
      ...{ mesh: aMesh([cart, web], SERVICES), ids, closeCause: () => null },
      party: (id) => {
        const record = parties.get(id);
        return record === undefined ? null : { identity: identityOf(record), record };
      },
    },
    { clock, log: SILENT_LOG, meters, peers: new PeerSeries(meters) },
  );
  return { kernel, maps: kernel.maps, traffic, meters, parties, clock };
}

const key = (change: Partial<TrafficKey> = {}): TrafficKey => ({
  ...{ sourceId: 1, destinationId: 2, vip: null, reason: REASON.direct, inbound: 0 },
  ...change,
});
const sums = (count: number, change: Partial<Traffic> = {}): Traffic => {
  const number = BigInt(count);
  return { opened: number, closed: number, failed: 0n, fromClient: number * 10n, fromServer: number, retransmits: 0n, ...change };
};

/** Sums over the series of a metric, by one of its labels. */
function by(
  { meters, traffic }: Pick<ReturnType<typeof setUp>, 'meters' | 'traffic'>,
  metric: string,
  label: string,
): Map<string, number> {
  const found = new Map<string, number>();
  traffic.read();
  for (const { name, series } of meters.collect())
    for (const one of name === metric ? series : [])
      found.set(one.labels[label] ?? '', (found.get(one.labels[label] ?? '') ?? 0) + Number(one.value));
  return found;
}

test('what is read twice is counted once, and what comes after is added', () => {
  const { maps, traffic, meters } = setUp();
  maps.traffic.set(key(), sums(3));
  traffic.read();
  assert.deepEqual(Object.fromEntries(by({ meters, traffic }, 'istio_tcp_received_bytes_total', 'reporter')), {
    source: 30,
    destination: 30,
  });
  maps.traffic.set(key(), sums(5));
  assert.deepEqual(Object.fromEntries(by({ meters, traffic }, 'istio_tcp_received_bytes_total', 'reporter')), {
    source: 50,
    destination: 50,
  });
});

test('label sets are bounded with more than 1,000 services, and no connection is missing', () => {
  const { maps, traffic, meters } = setUp();
  for (const at of SERVICES.keys()) maps.traffic.set(key({ vip: vip(at), reason: REASON.waypoint }), sums(1));
  const closed = by({ meters, traffic }, 'istio_tcp_connections_closed_total', 'destination_service');
  assert.equal(
    [...closed.values()].reduce((a, b) => a + b),
    SERVICES.length,
  );
  assert.equal(closed.size, TELEMETRY.workloadValuesMax + 1);
  assert.ok((closed.get('overflow') ?? 0) >= SERVICES.length - TELEMETRY.workloadValuesMax);
});

test('what a former agent has counted is not counted again', () => {
  const former = setUp();
  former.maps.traffic.set(key(), sums(7));
  const next = setUp({ ...former.kernel, adopted: true });
  assert.equal(by(next, 'istio_tcp_connections_closed_total', 'reporter').get('source') ?? 0, 0);
  former.maps.traffic.set(key(), sums(9));
  assert.equal(by(next, 'istio_tcp_connections_closed_total', 'reporter').get('source'), 2);
});

test('who leaves is counted to his end, by his name, and leaves nothing in the kernel', () => {
  const { maps, traffic, meters, parties, clock } = setUp();
  maps.traffic.set(key(), sums(1));
  traffic.leave(1);
  parties.delete(1);
  maps.traffic.set(key(), sums(4)); // its connections are cut a moment later
  clock.advance(1_000);
  assert.deepEqual(Object.fromEntries(by({ meters, traffic }, 'istio_tcp_connections_closed_total', 'source_workload')), {
    web: 8,
  });
  assert.deepEqual(
    maps.traffic.entries().map(([{ sourceId }]) => sourceId),
    [0],
    'but for the place of what finds none',
  );
});

test('connections that were not accepted are failed ones, with their cause', () => {
  const { maps, traffic, meters } = setUp();
  maps.traffic.set(key({ reason: REASON.none, destinationId: 0 }), sums(0, { failed: 2n }));
  assert.equal(by({ meters, traffic }, 'istio_tcp_connections_failed_total', 'response_flags').get('CONNECT'), 2);
  assert.equal(by({ meters, traffic }, 'weft_refusals_total', 'cause').get('connect-failed'), 2);
});
