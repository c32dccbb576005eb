import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { planMesh } from '#cli/up.ts';
import { scratch } from '#main/weft-process.testing.ts';
import { WeftError } from '#model/error.ts';
import { type Answer, serveLocalSocket } from '#platform/local-api/serve-socket.ts';
import { errorReply } from '#protocol/api/reply.ts';
import { refuseSecond } from './up.ts';

/** The plan of a mesh in a directory of its own. */
function aPlan(t: TestContext) {
  const runDir = scratch(t);
  const mesh = { trustDomain: 'cluster.local', pathNormalization: 'BASE' as const };
  const usual = { ...mesh, pool4: '10.41.0.0/24', pool6: 'fd41:0:0:1::/64', node: 'node-1' };
  const listen = { host: '127.0.0.1', port: 15012 };
  const plan = planMesh({ ...usual, directory: '/mesh', runDir, stateDir: join(runDir, 'state'), listen }, 'laptop');
  mkdirSync(dirname(plan.agentSocket));
  return plan;
}

const well: Answer = async () => ({ status: 200, body: {} });

test('up: where nothing is, and where only the sockets of the dead are, it may start', async (t) => {
  const plan = aPlan(t);
  await refuseSecond(plan);
  writeFileSync(plan.controlSocket, '');
  writeFileSync(plan.agentSocket, '');
  await refuseSecond(plan);
});

for (const part of ['controlSocket', 'agentSocket'] as const) {
  test(`up: a mesh that answers at ${part} is not disturbed`, async (t) => {
    const plan = aPlan(t);
    t.after(await serveLocalSocket(plan[part], well));
    await assert.rejects(refuseSecond(plan), (error: unknown) => {
      assert.ok(error instanceof WeftError);
      assert.deepEqual([error.code, error.message.includes(`${plan[part]} answers`)], ['WEFT_ALREADY_RUNNING', true]);
      assert.match(error.remedy ?? '', /weft uninstall.*--run-dir and --state-dir/);
      return true;
    });
  });
}

test('up: one that answers with an error is there too, and that error is told', async (t) => {
  const plan = aPlan(t);
  const broken = new WeftError('WEFT_INTERNAL', 'it has a fault');
  t.after(await serveLocalSocket(plan.controlSocket, async () => errorReply(broken)));
  await assert.rejects(refuseSecond(plan), { code: 'WEFT_INTERNAL', message: 'it has a fault' });
});
