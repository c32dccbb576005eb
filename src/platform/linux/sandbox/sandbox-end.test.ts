import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { isRunning, processesInNetns } from '#platform/linux/process/processes.ts';
import { launchIn } from './launch.ts';
import { inOwnNetns, runIn, testNode } from './own-netns.testing.ts';
import type { Sandbox } from './sandbox.ts';

const KEY = { namespace: 'shop', name: 'job' };

async function aSandbox() {
  const node = await testNode();
  await node.sandboxes.prepareNode();
  return { ...node, sandbox: await node.sandboxes.create(KEY) };
}

/** A process that never ends by itself; `outside`: in the sandbox's network namespace, but not in its cgroup. */
async function startSleeper({ netnsPath, ...sandbox }: Sandbox, outside: boolean): Promise<ChildProcess> {
  const command = ['sh', '-c', 'echo ready; exec sleep 1000'];
  const child = outside
    ? spawn('nsenter', [`--net=${netnsPath}`, '--', ...command], { stdio: ['ignore', 'pipe', 'inherit'] })
    : launchIn({ netnsPath, ...sandbox }, command, {
        env: process.env,
        cwd: '/',
        mountResolvConf: false,
        rights: null,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
  if (child.stdout !== null) await once(child.stdout, 'data');
  return child;
}

inOwnNetns(import.meta.url, () => {
  test('the end of a sandbox is that of every process in its cgroup or its network namespace, and of nobody else', async (context) => {
    const { sandbox, sandboxes, clean } = await aSandbox();
    context.after(clean);
    const other = await sandboxes.create({ ...KEY, name: 'other' });
    const [inside, beside, neighbour] = await Promise.all([
      startSleeper(sandbox, false),
      startSleeper(sandbox, true),
      startSleeper(other, false),
    ]);
    assert.deepEqual(new Set(processesInNetns(sandbox.netnsPath)), new Set([inside.pid, beside.pid]));
    await sandboxes.end(KEY);
    assert.deepEqual([isRunning(inside.pid ?? 0), isRunning(beside.pid ?? 0)], [false, false]);
    assert.equal(isRunning(neighbour.pid ?? 0), true);
    await sandboxes.remove(KEY, { killProcesses: true });
    await sandboxes.end(KEY); // again, when there is none
  });

  test('what is launched into a sandbox that has ended does not run a moment, and goes with it', async (context) => {
    const { sandbox, sandboxes, clean, options } = await aSandbox();
    context.after(clean);
    await sandboxes.end(KEY);
    const late = runIn(sandbox, ['sh', '-c', 'echo ran']);
    const populated = (): boolean => readFileSync(join(sandbox.cgroupPath, 'cgroup.procs'), 'utf8') !== '';
    while (!populated()) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.ok(sandbox.cgroupPath.startsWith(options.cgroupRoot));
    await sandboxes.remove(KEY, { killProcesses: true });
    const { stdout, signal } = await late;
    assert.deepEqual([stdout, signal], ['', 'SIGKILL']);
  });

  test('a held sandbox runs nothing until it is released', async (context) => {
    const { sandbox, sandboxes, clean } = await aSandbox();
    context.after(clean);
    await sandboxes.hold(KEY);
    let ended = false;
    const held = runIn(sandbox, ['sh', '-c', 'echo ran']).finally(() => {
      ended = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(ended, false);
    await sandboxes.release(KEY);
    assert.equal((await held).stdout, 'ran\n');
  });

  test('a node is removed with what sits in its network namespaces outside of any cgroup of it', async () => {
    const { sandbox, clean } = await aSandbox();
    const beside = await startSleeper(sandbox, true);
    await clean();
    assert.equal(isRunning(beside.pid ?? 0), false);
  });
});
