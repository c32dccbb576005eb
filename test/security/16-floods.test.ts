import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { AGENT } from '#model/settings/agents.ts';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import type { Probe } from '#testbed/apps/probe-client.ts';
import { asHost, inNetns } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { type Crowd, crowdBy, crowdIn, metricOf } from './crowd.testing.ts';
import { AttackedMesh, policyYaml, serviceYaml } from './mesh.testing.ts';

const [NEAR, FAR] = ['10.96.16.1', '10.96.16.2'];
const FLOOD_MS = 4_000;
/** What is urgent comes within this, while the machine is busy with the flood itself. */
const URGENT_MS = 3_000;
const SETTLE_MS = 6_000;
const GROWTH_BYTES_MAX = 100 * 1_024 * 1_024;

/** One workload, or somebody outside, is refused as often as it can dial. */
describe('floods of refused connections', () => {
  let mesh: AttackedMesh;
  let crowds: Crowd[];
  let bystander: Probe;
  before(async () => {
    mesh = await AttackedMesh.up({ 'near.yaml': serviceYaml('near', NEAR), 'far.yaml': serviceYaml('far', FAR) });
    [, bystander] = await Promise.all([
      mesh.probe('greedy', 'alpha'),
      mesh.probe('bystander', 'alpha'),
      mesh.echo('near', 'alpha'),
      mesh.echo('far', 'beta'),
    ]);
    crowds = [await crowdIn(mesh, 'greedy'), await crowdIn(mesh, 'greedy')];
  });
  after(() => mesh?.down());

  const memory = (): number => {
    const status = readFileSync(`/proc/${mesh.lab.agent('alpha').pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1_024;
  };
  const linesWith = async (...texts: string[]): Promise<string[]> =>
    (await mesh.log('alpha')).split('\n').filter((line) => texts.every((text) => line.includes(text)));
  const sum = (outcomes: Readonly<Record<string, number>>[]): number =>
    outcomes.reduce((all, { ECONNREFUSED = 0 }) => all + ECONNREFUSED, 0);

  /** A policy, a new tunnel and a name, each of which the agent's thread has to see to. */
  const urgentWork = async (policy: string): Promise<number[]> => {
    const times: number[] = [];
    const timed = async (work: () => Promise<void>): Promise<void> => {
      const startMs = performance.now();
      await work();
      times.push(performance.now() - startMs);
    };
    await timed(() => mesh.enforce('other.yaml', policyYaml(policy, 'near', 'DENY', ['somebody-else'])));
    await timed(async () => assert.equal((await bystander.connect({ host: FAR, port: 7 })).error, null));
    await timed(async () => assert.deepEqual((await bystander.resolve('far.attacks', 4)).addresses, [FAR]));
    return times;
  };

  test('S16: 10,000s of refused dials of one workload delay no policy, tunnel or name, and take no memory', async () => {
    const before = await metricOf(mesh, 'alpha', 'weft_refusals_total', 'cause="no-such-port"');
    const bytes = memory();
    const flood = Promise.all(crowds.map((crowd) => crowd.loop(FLOOD_MS, NEAR, 81)));
    const times = await urgentWork('first');
    const refused = sum(await flood);
    assert.ok(refused > 10 * AGENT.eventsPerSecond, `${refused} were refused: no flood`);
    assert.ok(Math.max(...times) < URGENT_MS, `policy, tunnel and name took ${times.map(Math.round).join(', ')} ms`);
    assert.ok(memory() - bytes < GROWTH_BYTES_MAX, `${memory() - bytes} bytes more`);
    const counted = async () => (await metricOf(mesh, 'alpha', 'weft_refusals_total', 'cause="no-such-port"')) - before;
    await waitUntil(`a count of ${refused}`, SETTLE_MS, async () => (await counted()) === refused);
  });

  test('S20: of its lines the log has some, and the number of the rest', async () => {
    const lines = await linesWith('connection refused by the kernel', 'src.workload=greedy', 'cause=no-such-port');
    assert.ok(lines.length > 0 && lines.length <= 2 * TELEMETRY.alikeLinesMax, `${lines.length} lines`);
    const more = await linesWith('more connections were refused', 'src.workload=greedy', 'left_out=');
    assert.ok(more.length > 0 && more.length < 20, `${more.length} lines that count`);
  });

  test('S16: a flood of SYNs from outside at a STRICT workload does not either, and is told on its account', async () => {
    const strict =
      '{ apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: { name: strict, namespace: attacks }, spec: { mtls: { mode: STRICT } } }';
    await mesh.enforce('strict.yaml', strict);
    const outside = await crowdBy(mesh, (command) => asHost(mesh.plan, inNetns(mesh.plan.outsideNetns, command)));
    const ip = mesh.app('near').address[4];
    await outside.loop(100, ip, 7000); // the agent sees the first, and the kernel refuses from then on
    const before = await metricOf(mesh, 'alpha', 'weft_refusals_total', 'reporter="destination"', 'cause="policy"');
    const letIn = async () => (await mesh.status('alpha')).kernel.counters.inbound_open;
    const inBefore = await letIn();
    const flood = outside.loop(FLOOD_MS, ip, 7000);
    const times = await urgentWork('second');
    const outcomes = await flood;
    // While a policy is being put in force the agent takes a few, judges them and resets them: the app hears of none.
    assert.ok((outcomes.open ?? 0) < sum([outcomes]) / 100, JSON.stringify(outcomes));
    assert.equal(await letIn(), inBefore, 'nothing is let in');
    assert.ok(Math.max(...times) < URGENT_MS, `policy, tunnel and name took ${times.map(Math.round).join(', ')} ms`);
    await waitUntil('all of them to be counted', SETTLE_MS, async () => {
      const after = await metricOf(mesh, 'alpha', 'weft_refusals_total', 'reporter="destination"', 'cause="policy"');
      return after - before >= sum([outcomes]);
    });
    const lines = await linesWith('dst.workload=near', 'cause=policy');
    assert.ok(lines.length > 0 && lines.length <= 4 * TELEMETRY.alikeLinesMax, `${lines.length} lines`);
    await mesh.enforce('strict.yaml', null);
  });
});
