import assert from 'node:assert/strict';
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { exchangeText, readIfThere } from './edit-files.ts';

function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'weft-edit-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test('a file that is not there is made, changed and removed, and nothing else is left', async (t) => {
  const directory = scratch(t);
  const path = join(directory, 'a.yaml');
  assert.equal(await readIfThere(path), null);
  await exchangeText(path, null, 'one\n');
  assert.equal(await readIfThere(path), 'one\n');
  await exchangeText(path, 'one\n', 'two\n');
  assert.deepEqual([readFileSync(path, 'utf8'), readdirSync(directory)], ['two\n', ['a.yaml']]);
  await exchangeText(path, 'two\n', null);
  assert.deepEqual(readdirSync(directory), []);
});

test('a file keeps its mode, and a link stays one', async (t) => {
  const directory = scratch(t);
  const [path, link] = [join(directory, 'a.yaml'), join(directory, 'link.yaml')];
  writeFileSync(path, 'one');
  chmodSync(path, 0o640);
  symlinkSync('a.yaml', link);
  await exchangeText(link, 'one', 'two');
  assert.deepEqual(
    [readFileSync(path, 'utf8'), statSync(path).mode & 0o777, lstatSync(link).isSymbolicLink()],
    ['two', 0o640, true],
  );
});

test('what somebody else has changed meanwhile is not written over', async (t) => {
  const path = join(scratch(t), 'a.yaml');
  writeFileSync(path, 'theirs');
  await assert.rejects(exchangeText(path, 'one', 'two'), { code: 'WEFT_RESOURCE_WRITE' });
  await assert.rejects(exchangeText(path, null, 'two'), { code: 'WEFT_RESOURCE_WRITE' });
  assert.equal(readFileSync(path, 'utf8'), 'theirs');
});

test('a place that cannot be written is told with what to do, and nothing is left', async (t) => {
  const directory = scratch(t);
  await assert.rejects(exchangeText(join(directory, 'none', 'a.yaml'), null, 'two'), { code: 'WEFT_RESOURCE_WRITE' });
  assert.deepEqual(readdirSync(directory), []);
});
