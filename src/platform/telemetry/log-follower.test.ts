import assert from 'node:assert/strict';
import { appendFileSync, closeSync, mkdtempSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openLogFile, roomMaker } from './log-file.ts';
import { LogFollower } from './log-follower.ts';

test('H15: a log is followed line by line, and over the loss of its older half without a line twice or missing', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-follow-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'a.log');
  const file = openLogFile(path);
  t.after(() => closeSync(file));
  const follower = new LogFollower(path);
  assert.deepEqual(follower.next().lines, []);
  appendFileSync(path, 'one\ntw');
  assert.deepEqual(follower.next().lines, ['one']);
  appendFileSync(path, 'o\n');
  assert.deepEqual(follower.next().lines, ['two']);
  const makeRoom = roomMaker(file, 4_096);
  const [written, seen]: [string[], string[]] = [[], []];
  for (let at = 0; at < 400; at++) {
    const line = `line ${at} ${'x'.repeat(at % 40)}`;
    written.push(line);
    makeRoom(line.length + 1);
    writeSync(file, `${line}\n`);
    if (at % 7 === 0) seen.push(...follower.next().lines);
  }
  seen.push(...follower.next().lines);
  assert.deepEqual(
    seen.filter((line) => !line.startsWith('older lines')),
    written,
  );
});
