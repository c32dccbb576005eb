import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { WeftError } from '#model/error.ts';
import {
  cgroup2MountIn,
  createNodeCgroup,
  findCgroup2,
  isPopulated,
  killCgroup,
  killEach,
  processesIn,
  removeCgroup,
  removeEmptyCgroup,
} from './cgroup.ts';

const mounts = [
  { name: 'the unified hierarchy', text: '24 23 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw', want: '/sys/fs/cgroup' },
  {
    name: 'beside v1',
    text: '31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=x\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 none rw',
    want: '/sys/fs/cgroup/unified',
  },
  {
    name: 'optional fields',
    text: '24 23 0:22 / /sys/fs/cgroup rw shared:9 master:1 - cgroup2 cgroup2 rw',
    want: '/sys/fs/cgroup',
  },
  { name: 'spaces in the path', text: '24 23 0:22 / /mnt/a\\040b rw - cgroup2 cgroup2 rw', want: '/mnt/a b' },
  {
    name: 'a whole one before a part',
    text: '1 2 0:3 /x /part rw - cgroup2 c rw\n1 2 0:3 / /whole rw - cgroup2 c rw',
    want: '/whole',
  },
  { name: 'none', text: '24 23 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n', want: null },
];
for (const { name, text, want } of mounts) {
  test(`the cgroup v2 mount point: ${name}`, () => assert.equal(cgroup2MountIn(text), want));
}

const skip = process.getuid?.() === 0 ? false : 'root is needed to make cgroups';
const pathFor = async (name: string): Promise<string> => join(await findCgroup2(), `weft-test-cgroup-${process.pid}`, name);

/** A process in a cgroup, which ends only when it is killed. */
function startIn(path: string) {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  writeFileSync(join(path, 'cgroup.procs'), String(child.pid));
  return { pid: child.pid ?? 0, ended: new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal))) };
}

test('cgroups are made with their parents, and those that were made are told, once', { skip }, async (context) => {
  const path = await pathFor('a');
  context.after(() => removeCgroup(join(path, '..')));
  assert.deepEqual(await createNodeCgroup(path), [join(path, '..'), path]);
  assert.deepEqual(await createNodeCgroup(path), []);
  assert.equal(await isPopulated(path), false);
});

test('a folder of another file system is no place for a cgroup', { skip }, async () => {
  const refused = (error: unknown) => error instanceof WeftError && error.code === 'WEFT_SANDBOX_CGROUP';
  await assert.rejects(createNodeCgroup(join(tmpdir(), 'weft-no-cgroup')), refused);
  assert.equal(existsSync(join(tmpdir(), 'weft-no-cgroup')), false);
});

for (const [name, kill] of [
  ['at once', killCgroup],
  ['one by one, as before Linux 5.14', async (path: string) => void (await killEach(path))],
] as const) {
  test(`processes are killed with those below, ${name}; then the tree can be removed`, { skip }, async () => {
    const path = await pathFor(`kill-${kill.name}`);
    await createNodeCgroup(join(path, 'below'));
    const started = [startIn(path), startIn(join(path, 'below'))];
    assert.deepEqual(new Set(await processesIn(path)), new Set(started.map(({ pid }) => pid)));
    await assert.rejects(removeCgroup(path), (error) => error instanceof WeftError && error.code === 'WEFT_SANDBOX_BUSY');
    await kill(path);
    assert.deepEqual(await Promise.all(started.map(({ ended }) => ended)), ['SIGKILL', 'SIGKILL']);
    assert.equal(await isPopulated(path), false);
    await removeCgroup(path);
    await removeCgroup(path); // again: nothing to do
    assert.equal(existsSync(path), false);
    await removeEmptyCgroup(join(path, '..'));
  });
}

test('an emptiness check leaves a cgroup with others in it', { skip }, async (context) => {
  const path = await pathFor('parent');
  context.after(() => removeCgroup(join(path, '..')));
  await createNodeCgroup(path);
  await mkdir(join(path, 'child'));
  await removeEmptyCgroup(path);
  assert.ok(existsSync(join(path, 'child')));
});
