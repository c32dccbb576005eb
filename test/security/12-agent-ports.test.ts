import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Probe } from '#testbed/apps/probe-client.ts';
import type { App } from '#testbed/lab/app.ts';
import { startChild } from '#testbed/processes/child.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { attackProgram, inClear, squatted } from './dialling.testing.ts';
import { AttackedMesh, serviceYaml } from './mesh.testing.ts';

const BACK_MS = 10_000;
const NAME = 'server.attacks.svc.cluster.local';
const VIP = '10.96.12.1';

/** A program of a workload, with every capability, that wants to be where the agent is; also while the agent is away. */
describe('the ports of the agent under a squatter', () => {
  let mesh: AttackedMesh;
  let victim: Probe;
  let squatter: Pick<App, 'child'>;

  before(async () => {
    mesh = await AttackedMesh.up({ 'server.yaml': serviceYaml('server', VIP) });
    [victim] = await Promise.all([mesh.probe('victim', 'alpha'), mesh.echo('server', 'beta')]);
    const command = mesh.insideLine('victim', attackProgram('squatter'));
    squatter = { child: startChild({ name: 'squatter', command, logPath: `${mesh.plan.logDir}/squatter.log` }, {}) };
  });
  after(async () => {
    await squatter?.child.stop();
    await mesh?.down();
  });

  test('S12: look-ups and connections are the agent’s, while it serves, is killed and comes back', async () => {
    const answers = new Set<string>();
    const ask = async (): Promise<void> => {
      for (const family of [4, 6] as const) for (const ip of (await victim.resolve(NAME, family)).addresses) answers.add(ip);
    };
    const { report } = await mesh.wire(async () => {
      await ask();
      for (let round = 0; round < 2; round++) {
        mesh.lab.agent('alpha').signal('SIGKILL');
        await mesh.lab.agent('alpha').ended;
        await sleep(300);
        await ask();
        assert.notEqual((await victim.connect({ host: VIP, port: 7 })).error, null, 'nobody takes it in the place of the agent');
        await mesh.lab.startAgent('alpha');
        await waitUntil(
          'an answer of the server',
          BACK_MS,
          async () => (await victim.connect({ host: VIP, port: 7 })).error === null,
        );
        await ask();
      }
    });
    assert.deepEqual([...answers], [VIP]);
    assert.deepEqual(inClear(report), []);
    const { tries, got } = await squatted(squatter);
    assert.deepEqual(got, []);
    assert.ok(tries > 100, `${tries} tries`);
  });
});
