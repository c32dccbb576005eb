import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { MAPS } from '#model/kernel/maps.ts';
import { shareLimits } from '#model/share/shares.ts';
import { openPinnedMap } from '#platform/bpf/map.ts';
import { mapsDirectory } from '#platform/bpf/pins.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { type Crowd, crowdIn, metricOf } from './crowd.testing.ts';
import { AttackedMesh, policyYaml, serviceYaml } from './mesh.testing.ts';

const [NEAR, FAR] = ['10.96.15.1', '10.96.15.2'];
const SETTLE_MS = 5_000;
/** As for a table of some 130 places; that of the real one is a unit test of the same arithmetic. */
const SMALL = { liveAssured: 8, liveOpen: 100, carriedAssured: 5, carriedOpen: 30, events: 200 };

/** Workloads that the agent of alpha shares among: the greedy and the modest one, and the server. */
const ON_ALPHA = 3;

/** One workload takes all that it can get of what its node shares out. */
describe('one workload fills what all share', () => {
  let mesh: AttackedMesh;
  let greedy: Crowd;
  let modest: Crowd;
  before(async () => {
    mesh = await AttackedMesh.up({ 'near.yaml': serviceYaml('near', NEAR), 'far.yaml': serviceYaml('far', FAR) });
    await Promise.all([
      mesh.probe('greedy', 'alpha'),
      mesh.probe('modest', 'alpha'),
      mesh.echo('near', 'alpha'),
      mesh.echo('far', 'beta'),
    ]);
    [greedy, modest] = [await crowdIn(mesh, 'greedy'), await crowdIn(mesh, 'modest')];
    for (const crowd of [greedy, modest])
      for (const vip of [NEAR, FAR]) assert.deepEqual(await crowd.hold(1, vip, 7), { open: 1 });
    await Promise.all([greedy.drop(), modest.drop()]);
    const { pinDir } = (await mesh.status('alpha')).kernel;
    const limits = openPinnedMap(join(mapsDirectory(pinDir), 'limits'), MAPS.limits);
    // It writes anew when it sees that workloads have become more: what is written here before that would be gone.
    const enrolled = shareLimits(MAPS.flows.entriesMax, ON_ALPHA);
    await waitUntil('the limits for all workloads', SETTLE_MS, async () => limits.get(0)?.liveAssured === enrolled.assured);
    assert.ok(enrolled.open > MAPS.flows.entriesMax / 2, 'the agent has written what holds for the real table');
    limits.set(0, SMALL);
    limits.close();
  });
  after(() => mesh?.down());

  const told = async (who: string): Promise<number> =>
    (await mesh.log('alpha')).split('\n').filter((line) => line.includes('cause=share') && line.includes(`src.workload=${who}`))
      .length;

  for (const [what, vip, open, assured] of [
    ['connections of its node', NEAR, SMALL.liveOpen, SMALL.liveAssured],
    ['connections to other nodes, which the agent carries', FAR, SMALL.carriedOpen, SMALL.carriedAssured],
  ] as const) {
    test(`S15: a workload with too many ${what} is refused by name, and every other has what is assured to it`, async () => {
      const before = await metricOf(mesh, 'alpha', 'weft_refusals_total', 'cause="share"');
      const outcome = await greedy.hold(open + 60, vip, 7);
      assert.deepEqual(outcome, { ECONNREFUSED: 60, open });
      assert.deepEqual(await modest.hold(assured, vip, 7), { open: assured });
      await waitUntil('a line that names it', SETTLE_MS, async () => (await told('greedy')) > 0);
      assert.equal(await told('modest'), 0);
      await waitUntil('an exact count', SETTLE_MS, async () => {
        return (await metricOf(mesh, 'alpha', 'weft_refusals_total', 'cause="share"')) - before === 60;
      });
      await Promise.all([greedy.drop(), modest.drop()]);
      await waitUntil('room again', SETTLE_MS, async () => {
        const again = await modest.hold(1, vip, 7);
        await modest.drop();
        return again.open === 1;
      });
    });
  }

  test('S15: with the table full, a policy closes every connection that it denies', async () => {
    const { open = 0 } = await greedy.hold(SMALL.liveOpen + 20, NEAR, 7);
    const { open: others = 0 } = await modest.hold(SMALL.liveAssured, NEAR, 7);
    assert.deepEqual([open, others], [SMALL.liveOpen, SMALL.liveAssured]);
    await mesh.enforce('deny.yaml', policyYaml('deny', 'near', 'DENY', ['greedy']));
    await waitUntil('the end of all of them', SETTLE_MS, async () => (await greedy.open()) === 0);
    assert.equal(await modest.open(), SMALL.liveAssured, 'and no other');
    await mesh.enforce('deny.yaml', null);
    await modest.drop();
  });
});
