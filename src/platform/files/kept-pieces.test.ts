import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { readList, readPiece, writeList, writePiece } from './kept-pieces.ts';

function place(t: TestContext): string {
  const root = mkdtempSync(join(tmpdir(), 'weft-kept-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  return join(root, 'kept');
}

test('pieces and their list are found again, for their owner alone; what the list does not name is gone', async (t) => {
  const directory = place(t);
  assert.equal(await readList(directory), null);
  const [old, one] = ['old', 'one'].map((text) => writePiece(directory, Buffer.from(text)));
  writeFileSync(join(directory, 'x.piece.unfinished'), 'what a process that was killed left');
  writeList(directory, 'the list\n', [one ?? '']);
  assert.deepEqual([await readList(directory), `${await readPiece(directory, one ?? '')}`], ['the list\n', 'one']);
  await assert.rejects(readPiece(directory, old ?? ''), /ENOENT/);
  assert.deepEqual(readdirSync(directory).sort(), ['list', `${one}.piece`].sort());
  for (const name of readdirSync(directory)) assert.equal(statSync(join(directory, name)).mode & 0o777, 0o600);
  assert.equal(writePiece(directory, Buffer.from('one')), one, 'the same again has the same name');
});

test('a byte that is another one is noticed, wherever it is, and so is an end that is missing', async (t) => {
  const directory = place(t);
  const id = writePiece(directory, Buffer.from('some bytes'));
  writeList(directory, 'a list', [id]);
  for (const [path, read] of [
    [join(directory, `${id}.piece`), () => readPiece(directory, id)],
    [join(directory, 'list'), () => readList(directory)],
  ] as const) {
    const whole = readFileSync(path);
    for (let at = 0; at < whole.length; at++) {
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      writeFileSync(path, damaged);
      await assert.rejects(async () => read(), /is not as it was written/);
      writeFileSync(path, whole.subarray(0, at));
      await assert.rejects(async () => read(), /is not as it was written/);
    }
    writeFileSync(path, whole);
    await read();
  }
});
