import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { type Log, SILENT_LOG } from '#model/effects/log.ts';
import { HOOK, REASON } from '#model/kernel/abi.ts';
import { MAPS } from '#model/kernel/maps.ts';
import { aMesh, aWorkload } from '#model/mesh/mesh-fixtures.testing.ts';
import { IdTable } from '#model/path/ids.ts';
import { AGENT } from '#model/settings/agents.ts';
import { Meters } from '#model/telemetry/meters.ts';
import { PeerSeries } from '#model/telemetry/peer-series.ts';
import { netnsOf, startAgentRig } from '#node-agent/agent-rig.testing.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { memoryKernel } from './memory-kernel.testing.ts';
import { carriedCapacity, KernelShares, kernelLimits } from './shares.ts';

const client = aWorkload('client', ['10.0.0.1']);
const REFUSED = { reason: REASON.noSuchPort, hook: HOOK.connect };

/** The agent's side over maps in memory; `client` has number `id`. */
function setUp(kernel = memoryKernel()) {
  const lines: Record<string, unknown>[] = [];
  const log: Log = { ...SILENT_LOG, warn: (fields) => void lines.push({ ...fields }) };
  const ids = new IdTable();
  const meters = new Meters('agent');
  const { maps } = kernel;
  const id = ids.of('workload', client.uid);
  const shares = new KernelShares(
    kernel,
    { mesh: aMesh([client], []), ids, log, meters, peers: new PeerSeries(meters), clock: new SteppedClock() },
    { capacity: 1_000, holders: 0 },
  );
  return { maps, shares, lines, meters, id, kernel };
}

test('S16: what the kernel counted without a report is one line, and exact in the metrics', () => {
  const { maps, shares, lines, meters, id } = setUp();
  maps.untold.set({ workloadId: id, ...REFUSED }, 24_813n);
  shares.tellUntold();
  shares.tellUntold();
  const [{ cause, left_out, 'src.workload': workload } = {}] = lines;
  assert.deepEqual([lines.length, cause, left_out, workload], [1, 'no-such-port', 24_813, 'client']);
  assert.equal(meters.total('weft_refusals_total'), 24_813);
  maps.untold.set({ workloadId: id, ...REFUSED }, 24_815n);
  shares.tellUntold();
  assert.deepEqual([lines[1]?.left_out, meters.total('weft_refusals_total')], [2, 24_815]);
});

test('what a former agent has told is not told again', () => {
  const first = setUp();
  first.maps.untold.set({ workloadId: first.id, ...REFUSED }, 7n);
  const next = setUp(first.kernel);
  next.shares.tellUntold();
  assert.deepEqual(next.lines, []);
});

test('a workload that left takes its share and its counts along, after they were told', () => {
  const { maps, shares, lines, id } = setUp();
  maps.shares.set(id, { live: 3, carried: 0, events: 0, ends: 0, windowNs: 0n });
  maps.untold.set({ workloadId: id, ...REFUSED }, 5n);
  maps.untold.set({ workloadId: id + 1, ...REFUSED }, 6n);
  shares.forget(id);
  assert.deepEqual(
    lines.map(({ left_out }) => left_out),
    [5, 6],
  );
  assert.deepEqual([maps.shares.entries(), maps.untold.entries().length], [[], 1]);
});

test('S15: limits follow the number of workloads; all that is assured fits beside what is open', () => {
  for (const workloads of [1, 7, MAPS.workloads.entriesMax]) {
    const limits = kernelLimits(workloads, 9_500);
    assert.ok(limits.liveOpen + workloads * limits.liveAssured < MAPS.flows.entriesMax);
    assert.ok(limits.liveOpen > MAPS.flows.entriesMax / 2);
  }
  assert.ok(MAPS.captured.entriesMax > AGENT.carriedMax, 'what is carried fits into the table of what was captured');
  assert.ok(MAPS.peers.entriesMax > AGENT.carriedMax, 'and into that of presented clients');
});

for (const [descriptors, carried] of [
  [20_000, 9_500],
  [1_024, 12],
  [100, 1],
  [Number.MAX_SAFE_INTEGER, AGENT.carriedMax],
] as const) {
  test(`an agent that may open ${descriptors} descriptors carries ${carried} connections`, () =>
    assert.equal(carriedCapacity(descriptors), carried));
}

test('S15: an agent cuts what was let in without a record', async () => {
  const rig = startAgentRig();
  const { id } = await rig.enroll(client);
  const flow = { source: parseIp('10.9.9.9'), destination: parseIp('10.0.0.1'), sourcePort: 5_000, destinationPort: 80 };
  const event = { ...flow, timeNs: 0n, sourceId: 0, destinationId: id, reason: REASON.noMemory, hook: HOOK.flow };
  rig.agent.kernelEvent(event);
  const { netnsCookie } = rig.net.at(netnsOf(client));
  assert.deepEqual(rig.net.destroyed, [{ flow: { ...flow, netnsCookie }, inbound: true }]);
  rig.agent.kernelEvent({ ...event, destinationId: id + 1 });
  assert.equal(rig.net.destroyed.length, 1, 'nobody of this node');
});
