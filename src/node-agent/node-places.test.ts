import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cleanNode, type NodePlace, type NodeRemoval, nodePaths } from './node-places.ts';

const PLACE: NodePlace = { node: 'alpha', runDir: '/run/weft', bpffs: '/sys/fs/bpf', cgroup: null, pool4: '10.41.0.0/24' };
const MOUNT = async (): Promise<string> => '/sys/fs/cgroup';

test('nodes of one machine share no path but the mark of the mount', async () => {
  const alpha = Object.values(await nodePaths(PLACE, MOUNT));
  const beta = Object.values(await nodePaths({ ...PLACE, node: 'beta' }, MOUNT));
  assert.deepEqual(
    alpha.filter((path) => beta.includes(path)),
    ['/run/weft/bpffs-mounted'],
  );
});

test('a directory that is written with a slash at its end is the same directory', async () => {
  assert.deepEqual(await nodePaths({ ...PLACE, runDir: '/run/weft/' }, MOUNT), await nodePaths(PLACE, MOUNT));
});

test('programs for pods are attached to the whole hierarchy: a pod may be anywhere below it', async () => {
  assert.equal((await nodePaths({ ...PLACE, pool4: '' }, MOUNT)).cgroup, '/sys/fs/cgroup');
});

test('a cgroup that is named is taken, and the mount is not even looked for', async () => {
  const { cgroup } = await nodePaths({ ...PLACE, cgroup: '/mine' }, () => Promise.reject(new Error('no cgroup2')));
  assert.equal(cgroup, '/mine');
  await assert.rejects(
    nodePaths(PLACE, () => Promise.reject(new Error('no cgroup2'))),
    /no cgroup2/,
  );
});

/** Removes a node on a machine with or without the mark; `pinned`: somebody else still has something in the mount. */
async function clean({ marked = true, markText = PLACE.bpffs, pinned = false, fails = '' } = {}): Promise<string[]> {
  const done: string[] = [];
  const note = (what: string) => (path: string) => {
    if (what === fails) throw new Error(`${what} failed`);
    done.push(`${what} ${path}`);
  };
  const removal: NodeRemoval = {
    removeSandboxes: async () => note('sandboxes')(''),
    removePins: note('pins'),
    removeNodeDir: note('tree'),
    removeIfEmpty: note('if empty'),
    textOf: () => (marked ? markText : null),
    removeFile: note('file'),
    releaseBpffs: note('unmount'),
    isBpffs: () => pinned,
  };
  await cleanNode(PLACE, await nodePaths(PLACE, MOUNT), removal);
  return done;
}

test('sandboxes go while their programs still guard them, files last', async () => {
  assert.deepEqual(await clean(), [
    'sandboxes ',
    'pins /sys/fs/bpf/weft/alpha',
    'if empty /sys/fs/bpf/weft',
    'tree /run/weft/alpha',
    'unmount /sys/fs/bpf',
    'file /run/weft/bpffs-mounted',
  ]);
});

test('a file system that somebody else mounted stays', async () => {
  assert.equal((await clean({ marked: false })).at(-1), 'tree /run/weft/alpha');
});

test('H1: a file that is called like the mark of the mount, and says something else, is none', async () => {
  assert.equal((await clean({ markText: 'a shopping list' })).at(-1), 'tree /run/weft/alpha');
});

test('the mark stays while another node still has pins in the mount', async () => {
  assert.equal((await clean({ pinned: true })).at(-1), 'unmount /sys/fs/bpf');
});

test('sandboxes that cannot be removed keep their programs and files, so that it can be tried again', async () => {
  await assert.rejects(clean({ fails: 'sandboxes' }), /sandboxes failed/);
});
