import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';

const BIN = join(import.meta.dirname, '../../bin/weft');
const root = mkdtempSync(join(tmpdir(), 'weft-bin-'));
after(() => rmSync(root, { recursive: true }));

type Outcome = { code: number; out: string; err: string };

function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(program, [...args], { env, cwd: root }, (_, out, err) =>
      resolve({ code: child.exitCode ?? -1, out, err }),
    );
  });
}

test('the program prints its version', async () => {
  const { code, out, err } = await run(BIN, ['version']);
  assert.deepEqual([code, err], [0, '']);
  assert.match(out, /^weft \d+\.\d+\.\d+ \(Node\.js v24\..*, Linux .*\)\n$/);
});

test('it runs through symbolic links, absolute and relative', async () => {
  mkdirSync(join(root, 'links'));
  symlinkSync(BIN, join(root, 'links/weft'));
  symlinkSync('links/weft', join(root, 'weft'));
  const { code, out } = await run(join(root, 'weft'), ['--version']);
  assert.equal(code, 0);
  assert.match(out, /^weft /);
});

test('where nothing is built it names the remedy', async () => {
  mkdirSync(join(root, 'clone/bin'), { recursive: true });
  cpSync(BIN, join(root, 'clone/bin/weft'));
  const { code, err } = await run(join(root, 'clone/bin/weft'), ['version']);
  assert.equal(code, 1);
  assert.match(err, /not built yet.*\nremedy: run make setup in .*clone\n$/);
});

test('a usage error exits with 2 and suggests the nearest command', async () => {
  const { code, out, err } = await run(BIN, ['statsu']);
  assert.deepEqual([code, out], [2, '']);
  assert.match(err, /unknown command 'statsu'\n\(Did you mean status\?\)\nremedy: see weft --help\n/);
});

test("a user's mistake exits with 1, without a stack unless WEFT_DEBUG is set", async () => {
  const args = ['run', '--name', 'a', '--service-account', 'b', '--run-dir', join(root, 'absent'), '--', 'true'];
  const plain = await run(BIN, args, { ...process.env, WEFT_DEBUG: '' });
  assert.equal(plain.code, 1);
  assert.match(plain.err, /^weft: .*\((WEFT_NO_AGENT|WEFT_NOT_ROOT)\)\nremedy: .*\n$/);
  const debug = await run(BIN, args, { ...process.env, WEFT_DEBUG: '1' });
  assert.match(debug.err, /\n\s+at /);
});

test('a reader that ends early is no error', async () => {
  const { code, err } = await run('/bin/sh', ['-c', `"${BIN}" --help | head -n 1`]);
  assert.deepEqual([code, err], [0, '']);
});
