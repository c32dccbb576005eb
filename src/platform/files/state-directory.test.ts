import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { MemoryStore } from '#model/effects/memory-store.testing.ts';
import type { StateStore } from '#model/effects/state-store.ts';
import { ownMark } from './marked-directory.ts';
import { holdStateDirectory, openStateDirectory } from './state-directory.ts';

async function directory(t: TestContext): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'weft-state-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  return root;
}

const stores: { name: string; open: (t: TestContext) => Promise<StateStore> }[] = [
  { name: 'memory', open: async () => new MemoryStore() },
  { name: 'a directory', open: async (t) => openStateDirectory(join(await directory(t), 'deep', 'state'), { kind: 'state' }) },
];
for (const { name, open } of stores) {
  test(`a store in ${name} gives back what was written last, null for the rest, names by prefix, and nothing that was removed`, async (t) => {
    const store = await open(t);
    assert.equal(await store.read('registry/a.json'), null);
    await store.write('registry/a.json', 'one', { secret: false });
    await store.write('registry/a.json', 'two', { secret: false });
    await store.write('key.pem', 'k', { secret: true });
    assert.equal(await store.read('registry/a.json'), 'two');
    assert.deepEqual(await store.list('registry/'), ['registry/a.json']);
    assert.deepEqual(await store.list('none/'), []);
    for (let round = 0; round < 2; round++) await store.remove('registry/a.json');
    assert.deepEqual([await store.read('registry/a.json'), await store.list('')], [null, ['key.pem']]);
  });
}

test('a secret is its owner’s alone, even where an unfinished file was left open to all', async (t) => {
  const root = await directory(t);
  const store = await openStateDirectory(root, { kind: 'state' });
  await writeFile(join(root, 'key.pem.unfinished'), 'leftover', { mode: 0o644 });
  await store.write('key.pem', 'k', { secret: true });
  assert.equal((await stat(join(root, 'key.pem'))).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(root), ['key.pem', 'weft.json']);
});

test('a place that is no directory is refused with the path', async (t) => {
  const root = await directory(t);
  await writeFile(join(root, 'file'), '');
  await assert.rejects(openStateDirectory(join(root, 'file', 'state'), { kind: 'state' }), {
    code: 'WEFT_STATE_DIR',
    message: /file\/state cannot be made/,
  });
});

const root = process.getuid?.() === 0;
test('a full disk is told as such, and the old text stays', {
  skip: root ? false : 'needs root, to mount a small file system',
}, async (t) => {
  const run = promisify(execFile);
  const place = join(await directory(t), 'small');
  await mkdir(place);
  await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'weft-test', place]);
  try {
    const store = await openStateDirectory(place, { kind: 'state' });
    await store.write('registry/a.json', 'old', { secret: false });
    await assert.rejects(store.write('registry/a.json', 'x'.repeat(200_000), { secret: false }), {
      code: 'WEFT_STATE_DIR',
      remedy: /free some disk space/,
    });
    assert.equal(await store.read('registry/a.json'), 'old');
    assert.deepEqual(await readdir(join(place, 'registry')), ['a.json']);
  } finally {
    await run('umount', [place]);
  }
});

test('H1: a directory that holds something else is refused, and nothing in it is touched', async (t) => {
  const root = await directory(t);
  for (const name of ['writable', 'thesis.tex']) await writeFile(join(root, name), 'mine');
  await assert.rejects(openStateDirectory(root, { kind: 'state' }), {
    code: 'WEFT_FOREIGN_DIRECTORY',
    message: /thesis\.tex and 1 more/,
  });
  assert.deepEqual((await readdir(root)).sort(), ['thesis.tex', 'writable']);
});

test('H1: the state of a version without marks is taken on, and that of a moved directory, too', async (t) => {
  const root = await directory(t);
  const [old, moved] = [join(root, 'old'), join(root, 'moved')];
  await mkdir(old);
  await writeFile(join(old, 'root-key.pem'), 'key');
  await writeFile(join(old, 'notes.txt'), 'mine');
  await openStateDirectory(old, { kind: 'state' });
  assert.equal(ownMark(old, 'state')?.path, old);
  await rename(old, moved);
  assert.equal(ownMark(moved, 'state'), null);
  await openStateDirectory(moved, { kind: 'state' });
  assert.equal(ownMark(moved, 'state')?.path, moved);
});

test('H2: a state directory has one control plane, whose process is named; the lock goes with its holder', async (t) => {
  const root = await directory(t);
  await openStateDirectory(root, { kind: 'state' });
  const hold = holdStateDirectory(root);
  assert.throws(() => holdStateDirectory(root), { code: 'WEFT_STATE_HELD', message: new RegExp(`pid ${process.pid}$`) });
  hold.release();
  holdStateDirectory(root).release();
});
