import assert from 'node:assert/strict';
import { link, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { setImmediate as tick } from 'node:timers/promises';
import type { Clock } from '#model/effects/clock.ts';
import { WeftError } from '#model/error.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { Scan } from './scan-directory.ts';
import { watchDirectory } from './watch-directory.ts';

/** A directory of its own with a watch on it; what the watch tells is kept. */
async function watched(t: TestContext, files: Record<string, string>, clock?: Clock, isUrgent?: (path: string) => boolean) {
  const directory = await mkdtemp(join(tmpdir(), 'weft-watch-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const write = (name: string, text: string) => writeFile(join(directory, name), text);
  for (const [name, text] of Object.entries(files)) await write(name, text);
  const told: string[] = [];
  const problems: WeftError[] = [];
  const unread: Scan['unread'][] = [];
  let wake = () => {};
  const texts = new Map<string, string | null>();
  const watch = await watchDirectory(directory, {
    onFiles(changed, troubles) {
      unread.push(troubles);
      for (const [path, text] of changed) text === null ? texts.delete(path) : texts.set(path, text);
      const parts = [...texts].map(([path, text]) => `${path.slice(directory.length + 1)}=${text}`);
      told.push(parts.sort().join(' '));
      wake();
    },
    onProblem: (problem) => void problems.push(problem),
    ...(clock === undefined ? {} : { clock }),
    ...(isUrgent === undefined ? {} : { isUrgent }),
  });
  t.after(() => watch.close());
  /** Resolves once the latest content is `want`; the test runner's own limit ends a wait in vain. */
  const until = async (want: string) => {
    // A watch does not keep the process alive, so the wait has to.
    const alive = setInterval(() => {}, 60_000);
    while (told.at(-1) !== want) await new Promise<void>((resolve) => (wake = resolve));
    clearInterval(alive);
  };
  return { directory, write, told, problems, unread, watch, until, path: (name: string) => join(directory, name) };
}

test('a directory that does not exist is an error with a remedy', async () => {
  const options = { onFiles: () => {}, onProblem: () => {} };
  await assert.rejects(watchDirectory('/does/not/exist', options), (error: unknown) => {
    assert.ok(error instanceof WeftError);
    assert.deepEqual([error.code, error.remedy !== undefined], ['WEFT_CONFIG_DIRECTORY', true]);
    return true;
  });
});

test('yaml and yml files at any depth are told, hidden and other files are not', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'weft-watch-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  await mkdir(join(directory, 'deep/er'), { recursive: true });
  await mkdir(join(directory, '.git'));
  for (const name of ['b.yaml', 'a.yml', 'deep/er/c.yaml', '.hidden.yaml', 'notes.txt', 'd.yaml~', '.git/e.yaml']) {
    await writeFile(join(directory, name), name);
  }
  const watch = await watchDirectory(directory, {
    onFiles: (files) => assert.deepEqual([...files.values()].sort(), ['a.yml', 'b.yaml', 'deep/er/c.yaml']),
    onProblem: (problem) => assert.fail(problem),
  });
  watch.close();
});

test('an empty directory is told as one without files', async (t) => {
  assert.deepEqual((await watched(t, {})).told, ['']);
});

test('changes are told as they happen: written, replaced, added in a new folder, deleted', async (t) => {
  const { write, path, until } = await watched(t, { 'a.yaml': '1' });
  await write('a.yaml', '2');
  await until('a.yaml=2');
  await write('a.yaml.tmp', '3');
  await rename(path('a.yaml.tmp'), path('a.yaml'));
  await until('a.yaml=3');
  await mkdir(path('new/deep'), { recursive: true });
  await write('new/deep/b.yaml', '4');
  await until('a.yaml=3 new/deep/b.yaml=4');
  await write('new/deep/b.yaml', '5');
  await until('a.yaml=3 new/deep/b.yaml=5');
  await rm(path('new'), { recursive: true });
  await until('a.yaml=3');
  await rm(path('a.yaml'));
  await until('');
});

test('a look without a change tells nothing', async (t) => {
  const { told, watch, write } = await watched(t, { 'a.yaml': '1' }, new SteppedClock());
  await watch.rescan();
  await write('a.yaml', '1');
  await watch.rescan();
  assert.deepEqual(told, ['a.yaml=1']);
});

test('a link to a file that is not there is a problem, and what the file said stays', async (t) => {
  const { told, unread, write, watch, path } = await watched(t, {}, new SteppedClock());
  await write('real.txt', '1');
  await symlink('real.txt', path('a.yaml'));
  await watch.rescan();
  await rm(path('real.txt'));
  await watch.rescan();
  assert.deepEqual([told.at(-1), [...(unread.at(-1)?.keys() ?? [])]], ['a.yaml=1', [path('a.yaml')]]);
});

test('below a folder that can no longer be read, everything stays', async (t) => {
  const { told, unread, watch, path } = await watched(t, {}, new SteppedClock());
  await mkdir(path('sub'));
  await writeFile(path('sub/a.yaml'), '1');
  await watch.rescan();
  await rm(path('sub'), { recursive: true });
  await symlink('sub', path('sub'));
  await watch.rescan();
  assert.deepEqual([told.at(-1), [...(unread.at(-1)?.keys() ?? [])]], ['sub/a.yaml=1', [path('sub')]]);
});

test('of a file that is too large the kinds and namespaces are told, wherever in it they stand', async (t) => {
  const { told, unread, path, watch } = await watched(t, {}, new SteppedClock());
  const padding = `# ${'x'.repeat(1 << 20)}\n`.repeat(33);
  const policy = (name: string) => `---\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: ${name} }\n`;
  await writeFile(path('a.yaml'), `${policy('first')}${padding}${policy('last')}`);
  await watch.rescan();
  const found = unread.at(-1)?.get(path('a.yaml'));
  assert.match(found?.why ?? '', /larger than/);
  assert.deepEqual(
    found?.outline.split('\n').filter((line) => line.startsWith('namespace')),
    ['namespace: first', 'namespace: last'],
  );
  await watch.rescan();
  assert.equal(told.length, 2, 'it is looked through once');
});

test('a file that vanishes and comes back at once was never gone', async (t) => {
  const clock = new SteppedClock();
  const { told, watch, write, path } = await watched(t, { 'a.yaml': '1', 'b.yaml': '1' }, clock);
  await rename(path('a.yaml'), path('a.yaml~'));
  await watch.rescan();
  await write('a.yaml', '2');
  clock.advance(20);
  await watch.rescan();
  assert.deepEqual(told, ['a.yaml=1 b.yaml=1', 'a.yaml=2 b.yaml=1']);
});

test('a file that is truncated before it is written was never empty', async (t) => {
  const clock = new SteppedClock();
  const { told, watch, write } = await watched(t, { 'a.yaml': '1' }, clock);
  await write('a.yaml', '');
  await watch.rescan();
  await write('a.yaml', '2');
  clock.advance(20);
  await watch.rescan();
  assert.deepEqual(told, ['a.yaml=1', 'a.yaml=2']);
});

test('a file that has only comments as yet, and grows from look to look, still is what it was', async (t) => {
  const { told, watch, write } = await watched(t, { 'a.yaml': 'a: 1' }, new SteppedClock());
  for (const text of ['# of whom', '# of whom\n---\n  # it is', '# of whom\n---\n  # it is\n# all']) {
    await write('a.yaml', text);
    await watch.rescan();
  }
  await write('a.yaml', '# of whom\n---\na: 2');
  await watch.rescan();
  assert.deepEqual(told, ['a.yaml=a: 1', 'a.yaml=# of whom\n---\na: 2']);
  await write('a.yaml', '# nothing');
  await watch.rescan();
  await watch.rescan();
  assert.equal(told.at(-1), 'a.yaml=# nothing');
});

test('while one file is in doubt, changes of others are told', async (t) => {
  const { told, watch, write, path } = await watched(t, { 'a.yaml': '1', 'b.yaml': '1' }, new SteppedClock());
  await rm(path('a.yaml'));
  await write('b.yaml', '2');
  await watch.rescan();
  assert.equal(told.at(-1), 'a.yaml=1 b.yaml=2');
});

test('a file that stays away, or empty, is told at the second look', async (t) => {
  const { told, watch, write, path } = await watched(t, { 'a.yaml': '1', 'b.yaml': '1' }, new SteppedClock());
  await rm(path('a.yaml'));
  await write('b.yaml', '');
  await watch.rescan();
  await watch.rescan();
  assert.deepEqual(told, ['a.yaml=1 b.yaml=1', 'b.yaml=']);
});

test('the second look comes by itself', async (t) => {
  const { path, until } = await watched(t, { 'a.yaml': '1', 'b.yaml': '1' });
  await rm(path('a.yaml'));
  await until('b.yaml=1');
});

test('a directory that vanishes is a problem, told once; what it held stays until it is back', async (t) => {
  const { directory, told, problems, watch, write } = await watched(t, { 'a.yaml': '1' }, new SteppedClock());
  await rename(directory, `${directory}-away`);
  await watch.rescan();
  await watch.rescan();
  assert.deepEqual(
    problems.map(({ code }) => code),
    ['WEFT_CONFIG_DIRECTORY'],
  );
  assert.deepEqual(told, ['a.yaml=1']);
  await rename(`${directory}-away`, directory);
  await write('a.yaml', '2');
  await watch.rescan();
  assert.equal(told.at(-1), 'a.yaml=2');
});

test('a file that cannot be read is a problem, told once; what it said stays', async (t) => {
  const { told, problems, unread, watch, path } = await watched(t, { 'a.yaml': '1' }, new SteppedClock());
  await rm(path('a.yaml'));
  await symlink('a.yaml', path('a.yaml'));
  await watch.rescan();
  await watch.rescan();
  await watch.rescan();
  assert.deepEqual(
    problems.map(({ code }) => code),
    ['WEFT_CONFIG_FILE'],
  );
  // Once for the content, and once because that can no longer be read.
  assert.deepEqual([told, unread.length], [['a.yaml=1', 'a.yaml=1'], 2]);
  assert.match(unread.at(-1)?.get(path('a.yaml'))?.why ?? '', /ELOOP/);
});

test('a mounted ConfigMap, whose files are links through a folder that is swapped, is followed', async (t) => {
  const { write, path, until, watch } = await watched(t, {});
  await mkdir(path('..1'));
  await write('..1/a.yaml', '1');
  await symlink('..1', path('..data'));
  await symlink('..data/a.yaml', path('a.yaml'));
  await until('a.yaml=1');
  await mkdir(path('..2'));
  await write('..2/a.yaml', '2');
  await symlink('..2', path('..data-new'));
  await rename(path('..data-new'), path('..data'));
  await until('a.yaml=2');
  watch.close();
});

test('S6: after an event the file that it names is looked at, and links, whose targets may be anywhere; nothing else', async (t) => {
  const files = { 'a.yaml': '1', 'b.yaml': '1' };
  const { path, write, until, watch } = await watched(t, files);
  const elsewhere = await mkdtemp(join(tmpdir(), 'weft-watch-'));
  t.after(() => rm(elsewhere, { recursive: true, force: true }));
  await writeFile(join(elsewhere, 'target'), '1');
  await symlink(join(elsewhere, 'target'), path('link.yaml'));
  await until('a.yaml=1 b.yaml=1 link.yaml=1');
  // Written under another of its names, which its folder does not tell.
  await link(path('b.yaml'), join(elsewhere, 'b'));
  await writeFile(join(elsewhere, 'b'), '2');
  await writeFile(join(elsewhere, 'target'), '2');
  await write('a.yaml', '2');
  await until('a.yaml=2 b.yaml=1 link.yaml=2');
  await watch.rescan();
  await until('a.yaml=2 b.yaml=2 link.yaml=2');
});

test('S6: of many files that changed an urgent one is told before the others, of which some are told at a time', async (t) => {
  const names = Array.from({ length: 3 * RESOURCE.lookedTogetherMax }, (_, at) => `a${at}.yaml`);
  const all = [...names, 'urgent.yaml'];
  const clock = new SteppedClock();
  const files = Object.fromEntries(all.map((name) => [name, '1']));
  const { told, write, until, watch, path } = await watched(t, files, clock, (one) => one === path('urgent.yaml'));
  // A folder that is new is looked at once more, all of it.
  clock.advance(RESOURCE.quietMsMax);
  await watch.rescan();
  for (const name of all) await write(name, '2');
  // The event of the last one has come, and with it those of the others.
  const quiet = () => clock.pendingMs().filter((ms) => ms <= RESOURCE.quietMsMax);
  while (quiet().length < 2) await tick();
  clock.advance(RESOURCE.quietMsMax);
  const want = all.map((name) => `${name}=2`);
  await until(want.sort().join(' '));
  const changed = told.map((one) => one.split('=2').length - 1);
  assert.deepEqual([changed[1], told[1]?.includes('urgent.yaml=2')], [RESOURCE.lookedTogetherMax, true]);
  for (const [at, count] of changed.entries())
    assert.ok(count - (changed[at - 1] ?? 0) <= RESOURCE.lookedTogetherMax, changed.join());
});

test('folders that link to one another are read once', async (t) => {
  const { path, until, write } = await watched(t, {});
  await mkdir(path('sub'));
  await symlink('..', path('sub/up'));
  await write('sub/a.yaml', '1');
  await until('sub/a.yaml=1');
});

test('a folder that another one takes the place of is watched anew', async (t) => {
  const { path, until, write } = await watched(t, {});
  await mkdir(path('sub'));
  await write('sub/a.yaml', '1');
  await until('sub/a.yaml=1');
  await mkdir(path('other'));
  await write('other/a.yaml', '2');
  await rename(path('sub'), path('.away'));
  await rename(path('other'), path('sub'));
  await until('sub/a.yaml=2');
  await write('sub/a.yaml', '3');
  await until('sub/a.yaml=3');
});

test('after close nothing is told', async (t) => {
  const { told, watch, write } = await watched(t, { 'a.yaml': '1' });
  watch.close();
  await write('a.yaml', '2');
  await watch.rescan();
  assert.deepEqual(told, ['a.yaml=1']);
});
