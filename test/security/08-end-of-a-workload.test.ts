import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isRunning, processesInNetns } from '#platform/linux/process/processes.ts';
import { agentClient } from '#platform/local-api/clients.ts';
import type { App } from '#testbed/lab/app.ts';
import { labPaths } from '#testbed/lab/parts.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { attackProgram, type Dialler, diallerOf, inClear, witnessed } from './dialling.testing.ts';
import { AttackedMesh, policyYaml } from './mesh.testing.ts';

const GONE_MS = 10_000;
/** What the children have before an end begins, and the orphans to be made. */
const RUN_MS = 400;

/** Every way a workload can end, while children of it go on dialling what policy denies them. */
describe('the end of a workload', () => {
  let mesh: AttackedMesh;
  let witnesses: App[];
  /** Addresses that doomed workloads have had. */
  const doomedAddresses = new Set<string>();

  const alpha = () => agentClient(labPaths(mesh.plan).agentSocket('alpha'));
  const startDoomed = async (name: string): Promise<Dialler> => {
    const targets = witnesses.flatMap(({ address }) => [`${address[4]}/7000`, `${address[6]}/7000`]);
    const command = attackProgram('dialler', ...targets);
    const app = await mesh.start({ name, node: 'alpha', serviceAccount: 'doomed', command });
    for (const ip of Object.values(app.address)) doomedAddresses.add(ip);
    return diallerOf(app);
  };
  const isEnrolled = async ({ app }: Dialler): Promise<boolean> =>
    (await mesh.status('alpha')).enrolled.some(({ name }) => name === app.name);
  /** Leaves copies behind that end by SIGKILL alone; everything that lives in its namespace then. */
  const orphaned = async (doomed: Dialler, ends = true): Promise<number[]> => {
    const inside = (): number[] => processesInNetns(`/proc/${doomed.app.pid}/ns/net`);
    const seen = new Set(inside());
    if (ends) doomed.leaveOrphans();
    else doomed.startCopies();
    await waitUntil('the parent and two children', GONE_MS, async () => {
      for (const pid of inside()) seen.add(pid);
      return seen.size >= 3;
    });
    await sleep(RUN_MS / 2);
    return [...seen];
  };
  /** `ends`: so does the command by itself, a moment later. */
  const end = async (doomed: Dialler, how: (doomed: Dialler, pids: readonly number[]) => unknown, ends = true): Promise<void> => {
    await sleep(RUN_MS);
    const pids = await orphaned(doomed, ends);
    await how(doomed, pids);
    await waitUntil(`end of ${doomed.app.name}`, GONE_MS, async () => !(await isEnrolled(doomed)));
    assert.deepEqual(pids.filter(isRunning), [], 'what is out of the mesh is dead');
    doomed.app.child.signal('SIGKILL');
  };
  const assertUnseen = async (by: readonly App[]): Promise<void> => {
    for (const witness of by) {
      const seen = await witnessed(witness);
      for (const ip of doomedAddresses) assert.equal(seen[ip] ?? 0, 0, `${witness.name} was reached from ${ip}`);
    }
  };

  before(async () => {
    mesh = await AttackedMesh.up({
      'near.yaml': policyYaml('not-near', 'near', 'DENY', ['doomed']),
      'far.yaml': policyYaml('not-far', 'far', 'DENY', ['doomed']),
    });
    const command = attackProgram('witness');
    witnesses = await Promise.all([
      mesh.start({ name: 'near', node: 'alpha', command }),
      mesh.start({ name: 'far', node: 'beta', command }),
    ]);
  });
  after(() => mesh?.down());

  test('S8: a command that ends, a stop, signals to weft run: no denied connection of a child is answered or leaves in clear', async () => {
    const { report } = await mesh.wire(async () => {
      const names = ['ends', 'stopped', 'terminated', 'killed'];
      const [ends, stopped, terminated, killed] = await Promise.all(names.map((name) => startDoomed(name)));
      assert.ok(ends && stopped && terminated && killed);
      await Promise.all([
        end(ends, () => {}),
        end(stopped, () => alpha().stop('attacks', 'stopped')),
        end(terminated, ({ app }) => app.child.signal('SIGTERM')),
        end(
          killed,
          async ({ app }, pids) => {
            app.child.signal('SIGKILL');
            await sleep(RUN_MS);
            const enrolled = await isEnrolled(killed);
            assert.ok(enrolled || !pids.some(isRunning), 'its children are as enrolled as it was');
            await alpha().stop('attacks', 'killed');
          },
          false,
        ),
      ]);
    });
    assert.deepEqual(inClear(report), []);
    await assertUnseen(witnesses);
  });

  test('S8: an agent that dies in the middle of an end, and its node that leaves: the same', async () => {
    const doomed = await startDoomed('middle');
    const { report } = await mesh.wire(async () => {
      await end(doomed, async () => {
        const stopping = alpha()
          .stop('attacks', 'middle')
          .catch(() => {});
        mesh.lab.agent('alpha').signal('SIGKILL');
        await stopping;
        await mesh.lab.restart('alpha', 'SIGKILL');
        await alpha().stop('attacks', 'middle');
      });
      await assertUnseen(witnesses);
      const last = await startDoomed('last');
      const pids = await orphaned(last);
      await alpha().cleanup();
      await mesh.lab.agent('alpha').ended;
      assert.deepEqual(pids.filter(isRunning), []);
    });
    assert.deepEqual(inClear(report), []);
    await assertUnseen(witnesses.filter(({ name }) => name === 'far'));
  });
});
