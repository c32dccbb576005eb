import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { planMesh } from '#cli/up.ts';
import { scratch } from '#main/weft-process.testing.ts';
import { WeftError } from '#model/error.ts';
import { takeLock } from '#platform/files/lock.ts';
import { type Answer, serveLocalSocket } from '#platform/local-api/serve-socket.ts';
import { errorReply } from '#protocol/api/reply.ts';
import { findParts } from './up.ts';

/** The plan of a mesh in a directory of its own. */
function aPlan(t: TestContext) {
  const runDir = scratch(t);
  const mesh = {
    trustDomain: 'cluster.local',
    pathNormalization: 'BASE' as const,
    rateLimitService: null,
    accessLogFormat: null,
  };
  const usual = { ...mesh, pool4: '10.41.0.0/24', pool6: 'fd41:0:0:1::/64', node: 'node-1' };
  const rest = { listen: { host: '127.0.0.1', port: 15012 }, detach: false };
  const plan = planMesh({ ...usual, directory: '/mesh', runDir, stateDir: join(runDir, 'state'), ...rest }, 'laptop');
  mkdirSync(dirname(plan.agentSocket));
  return plan;
}

/** A process that was started with these words at the end of its command line; its id. */
async function sleeper(t: TestContext, words: readonly string[]): Promise<number> {
  const child = spawn('sh', ['-c', 'echo started; while :; do sleep 1000; done', 'weft', ...words], {
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  const { pid = 0 } = child;
  t.after(() => process.kill(-pid, 'SIGKILL'));
  await once(child.stdout, 'data');
  return pid;
}

const NOBODY = { controlPid: null, agentPid: null };
const well: Answer = async () => ({ status: 200, body: {} });

test('up: where nothing is, and where only the sockets of the dead are, it may start', async (t) => {
  const plan = aPlan(t);
  assert.deepEqual(await findParts(plan), NOBODY);
  writeFileSync(plan.controlSocket, '');
  writeFileSync(plan.agentSocket, '');
  assert.deepEqual(await findParts(plan), NOBODY);
});

for (const part of ['controlSocket', 'agentSocket'] as const) {
  test(`up: a mesh that answers at ${part} is not disturbed`, async (t) => {
    const plan = aPlan(t);
    t.after(await serveLocalSocket(plan[part], well));
    await assert.rejects(findParts(plan), (error: unknown) => {
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
  await assert.rejects(findParts(plan), { code: 'WEFT_INTERNAL', message: 'it has a fault' });
});

test('H3: a part with the arguments of this very mesh is gone on with, one with others is another mesh', async (t) => {
  const plan = aPlan(t);
  const [same, other] = await Promise.all(
    [plan.agentArgs, [...plan.agentArgs, '--stats', 'off']].map((args) => sleeper(t, args)),
  );
  let pid = same;
  t.after(await serveLocalSocket(plan.agentSocket, async () => ({ status: 200, body: { pid } })));
  assert.deepEqual(await findParts(plan), { controlPid: null, agentPid: same });
  pid = other;
  await assert.rejects(findParts(plan), { code: 'WEFT_ALREADY_RUNNING' });
});

test('H3: while another weft up keeps the mesh, its parts are not taken from it', async (t) => {
  const plan = aPlan(t);
  const lock = takeLock(plan.lockFile, '4711\n');
  await assert.rejects(findParts(plan), { code: 'WEFT_ALREADY_RUNNING', message: /weft up has pid 4711/ });
  lock?.release();
  assert.deepEqual(await findParts(plan), NOBODY);
});
