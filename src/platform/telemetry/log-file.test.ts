import assert from 'node:assert/strict';
import { appendFileSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { outletTo } from './line-buffer.ts';
import { openLogFile } from './log-file.ts';

function pathOf(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'weft-log-file-'));
  t.after(() => rmSync(dir, { recursive: true }));
  return join(dir, 'logs/waypoint.log');
}

const lineOf = (n: number): Buffer => Buffer.from(`line ${String(n).padStart(5, '0')} ${'x'.repeat(87)}\n`);

test('H4: a log file never grows beyond its bound, and keeps its newest lines whole', (t) => {
  const path = pathOf(t);
  const descriptor = openLogFile(path);
  t.after(() => closeSync(descriptor));
  const write = outletTo(descriptor, 10_000);
  for (let n = 0; n < 1_000; n++) {
    write(lineOf(n));
    assert.ok(statSync(path).size <= 10_000, `after line ${n}`);
  }
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  assert.match(lines[0] ?? '', /^older lines were cut off/);
  assert.ok(lines.slice(1).every((line) => line.length === lineOf(0).length - 1));
  assert.equal(lines.at(-1), lineOf(999).toString().trimEnd());
  assert.ok(lines.length > 22, `${lines.length} lines are left`);
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('H4: what another process appended counts, too', (t) => {
  const path = pathOf(t);
  const descriptor = openLogFile(path);
  t.after(() => closeSync(descriptor));
  const write = outletTo(descriptor, 10_000);
  write(lineOf(0));
  appendFileSync(path, Buffer.concat(Array.from({ length: 99 }, (_, n) => lineOf(n + 1))));
  for (let n = 0; n < 20; n++) write(lineOf(100 + n));
  assert.ok(statSync(path).size <= 10_000);
  assert.match(readFileSync(path, 'utf8'), /line 00119/);
});

test("H4: a file that a user's shell opened is left to the user", (t) => {
  const path = pathOf(t);
  closeSync(openLogFile(path));
  const descriptor = openSync(path, 'a');
  t.after(() => closeSync(descriptor));
  const write = outletTo(descriptor, 1_000);
  for (let n = 0; n < 100; n++) write(lineOf(n));
  assert.equal(statSync(path).size, 100 * lineOf(0).length);
});
