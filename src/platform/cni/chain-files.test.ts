import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { installProgram, placeDropIn, readConfs, rewriteConf, watchConfs } from './chain-files.ts';

const NAME = '10-n.conflist';
const BARE = '{"plugins":[1]}';

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'weft-chain-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  writeFileSync(join(dir, NAME), BARE);
  chmodSync(join(dir, NAME), 0o640);
  return dir;
}

test('K1: whoever reads a file while it is rewritten finds the one text or the other; its mode stays, and nothing else is left', async (t) => {
  const dir = folder(t);
  const seen = new Set<string>();
  const watcher = watch(dir, () => {
    for (const name of readdirSync(dir))
      if (/\.(conf|conflist|json)$/.test(name)) seen.add(`${name} ${readFileSync(join(dir, name), 'utf8')}`);
  });
  t.after(() => watcher.close());
  const after = JSON.stringify({ plugins: ['x'.repeat(100_000)] });
  assert.equal(await rewriteConf(dir, { name: NAME, text: BARE }, after), true);
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  for (const one of seen) assert.ok(one === `${NAME} ${BARE}` || one === `${NAME} ${after}`, one.slice(0, 100));
  assert.equal(readFileSync(join(dir, NAME), 'utf8'), after);
  assert.equal(statSync(join(dir, NAME)).mode & 0o777, 0o640);
  assert.deepEqual(readdirSync(dir), [NAME]);
});

test('a file that says something else by now stays', async (t) => {
  const dir = folder(t);
  assert.equal(await rewriteConf(dir, { name: NAME, text: 'of before' }, '{}'), false);
  assert.equal(readFileSync(join(dir, NAME), 'utf8'), BARE);
  assert.deepEqual(readdirSync(dir), [NAME]);
  await assert.rejects(rewriteConf(dir, { name: 'gone.conf', text: '' }, '{}'), /gone\.conf/);
});

test('K10: what is not finished, and folders, are no configurations; a folder that is not there has none', async (t) => {
  const dir = folder(t);
  writeFileSync(join(dir, `${NAME}.weft-new`), 'x');
  writeFileSync(join(dir, '.hidden.conf'), 'x');
  mkdirSync(join(dir, 'n.conf'));
  assert.deepEqual(await readConfs(dir), [{ name: NAME, text: BARE }]);
  assert.deepEqual(await readConfs(join(dir, 'nowhere')), []);
});

test('K14: a program is put in the place of one that runs by one step, and not again where it is the same', async (t) => {
  const dir = folder(t);
  const [from, path] = [join(dir, 'from'), join(dir, 'bin', 'program')];
  writeFileSync(from, 'one');
  await installProgram(from, path);
  const first = statSync(path);
  assert.equal(first.mode & 0o777, 0o755);
  await installProgram(from, path);
  assert.equal(statSync(path).ino, first.ino);
  writeFileSync(from, 'two');
  await installProgram(from, path);
  assert.notEqual(statSync(path).ino, first.ino);
  assert.deepEqual([readFileSync(path, 'utf8'), readdirSync(join(dir, 'bin'))], ['two', ['program']]);
});

test('whatever happens in the folder is told', async (t) => {
  const dir = folder(t);
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = watchConfs(dir, resolve);
  t.after(stop);
  writeFileSync(join(dir, 'new'), BARE);
  renameSync(join(dir, 'new'), join(dir, NAME));
  await promise;
  watchConfs(join(dir, 'nowhere'), () => {})();
});

test('K3, K5: a file of our own is in the folder of its network alone; what others have there stays, and the runtime hears of it once', async (t) => {
  const dir = folder(t);
  const own = (network: string): string[] => (existsSync(join(dir, network)) ? readdirSync(join(dir, network)) : ['gone']);
  let events = 0;
  const watcher = watch(dir, (_event, name) => void (name === '.weft' && events++));
  t.after(() => watcher.close());
  const told = async (): Promise<boolean> => {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    const count = events;
    events = 0;
    return count > 0;
  };
  await placeDropIn(dir, 'one', '{}');
  assert.deepEqual(
    [own('one'), await told(), readFileSync(join(dir, 'one/90-weft.conf'), 'utf8')],
    [['90-weft.conf'], true, '{}'],
  );
  await placeDropIn(dir, 'one', '{}');
  assert.equal(await told(), false);
  writeFileSync(join(dir, 'one/50-other.conf'), '');
  await placeDropIn(dir, 'two', '{}');
  assert.deepEqual([own('one'), own('two')], [['50-other.conf'], ['90-weft.conf']]);
  await placeDropIn(dir, null, '{}');
  assert.deepEqual([own('one'), own('two'), readdirSync(dir).sort()], [['50-other.conf'], ['gone'], [NAME, 'one']]);
});
