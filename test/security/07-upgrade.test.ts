import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SCHEMA } from '#model/kernel/abi.ts';
import type { App } from '#testbed/lab/app.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { attackProgram, type Dialler, diallerOf, inClear, restartAs, witnessed } from './dialling.testing.ts';
import { AttackedMesh, policyYaml, serviceYaml } from './mesh.testing.ts';

const CLOSED_MS = 5_000;

/** Agents are replaced by others whose maps have another layout, while workloads dial without a pause. */
describe('an upgrade that changes the maps', () => {
  let mesh: AttackedMesh;
  let near: App;
  let far: App;
  let denied: Dialler;
  let allowed: Dialler;

  before(async () => {
    mesh = await AttackedMesh.up({
      'services.yaml': [serviceYaml('near', '10.96.7.1'), serviceYaml('far', '10.96.7.2')].join('---\n'),
      'near.yaml': policyYaml('not-near', 'near', 'DENY', ['denied']),
      'far.yaml': policyYaml('not-far', 'far', 'DENY', ['denied']),
    });
    const command = attackProgram('witness');
    [near, far] = await Promise.all([
      mesh.start({ name: 'near', node: 'alpha', command }),
      mesh.start({ name: 'far', node: 'beta', command }),
    ]);
    const targets = [near, far].flatMap(({ address }) => [`${address[4]}/7000`, `${address[6]}/7000`]);
    const dialler = async (name: string, ...to: string[]): Promise<Dialler> =>
      diallerOf(await mesh.start({ name, node: 'alpha', command: attackProgram('dialler', ...to) }));
    [denied, allowed] = await Promise.all([
      dialler('denied', ...targets),
      dialler('allowed', '10.96.7.1/7', '10.96.7.2/7', ...targets),
    ]);
  });
  after(() => mesh?.down());

  test('S7: other map layouts at the source, at the destination: no plain text on the wire, nothing denied is answered', async () => {
    const { report } = await mesh.wire(async () => {
      for (const [node, schema] of [
        ['alpha', SCHEMA + 1],
        ['beta', SCHEMA + 2],
      ] as const) {
        await allowed.epoch();
        await restartAs(mesh, node, schema);
        const tallies = await denied.epoch();
        assert.deepEqual(
          tallies.map(({ answered }) => answered),
          [0, 0, 0, 0],
        );
        assert.ok(tallies.every(({ failed }) => failed > 0));
      }
    });
    assert.deepEqual(inClear(report), []);
    assert.ok(report.handshakes > 0);
    for (const witness of [near, far]) {
      const seen = await witnessed(witness);
      for (const ip of Object.values(denied.app.address)) assert.equal(seen[ip] ?? 0, 0);
    }
    await waitUntil('every path after the upgrades', CLOSED_MS, async () =>
      (await allowed.epoch()).every(({ answered }) => answered > 0),
    );
  });

  test('S7: a connection that lived through an upgrade is closed by a policy after it', async () => {
    allowed.hold(40);
    await waitUntil('connections to hold', CLOSED_MS, async () => (await allowed.held()) >= 20);
    await restartAs(mesh, 'alpha', SCHEMA + 3);
    assert.ok((await allowed.held()) > 0, 'direct connections live on without any agent');
    await mesh.enforce(
      'all.yaml',
      `${policyYaml('none-near', 'near', 'DENY', ['allowed'])}---\n${policyYaml('none-far', 'far', 'DENY', ['allowed'])}`,
    );
    await waitUntil('the end of what was held', CLOSED_MS, async () => (await allowed.held()) === 0);
    await allowed.epoch();
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.ok((await allowed.epoch()).every(({ answered }) => answered === 0));
  });
});
