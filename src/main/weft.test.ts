import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { BIN, type Outcome, run as runIn, weft } from './weft-process.testing.ts';

const root = mkdtempSync(join(tmpdir(), 'weft-bin-'));
after(() => rmSync(root, { recursive: true }));

function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return runIn(program, args, { cwd: root, env });
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
  const plain = await run(BIN, args, { WEFT_DEBUG: '' });
  assert.equal(plain.code, 1);
  assert.match(plain.err, /^weft: .*\((WEFT_NO_AGENT|WEFT_NOT_ROOT)\)\nremedy: .*\n$/);
  const debug = await run(BIN, args, { WEFT_DEBUG: '1' });
  assert.match(debug.err, /\n\s+at /);
});

test('a reader that ends early is no error', async () => {
  const { code, err } = await run('/bin/sh', ['-c', `"${BIN}" --help | head -n 1`]);
  assert.deepEqual([code, err], [0, '']);
});

test('H11: its versions are told to programs, too', async () => {
  const versions = JSON.parse((await weft('version', '-o', 'json')).out) as Record<string, string>;
  assert.deepEqual(Object.keys(versions), ['weft', 'node', 'system', 'kernel', 'architecture']);
  assert.equal(versions.node, process.version);
});

test('its version is that of package.json', async () => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as { version: string };
  assert.match((await weft('version')).out, new RegExp(`^weft ${version.replaceAll('.', '\\.')} `));
});

const wrong = [
  { name: 'an option that is none', args: ['status', '--jsn'], says: /unknown option '--jsn'\n\(Did you mean --json\?\)/ },
  { name: 'an argument that is missing', args: ['validate'], says: /missing required argument 'path'/ },
  { name: 'a value that is none', args: ['up', 'mesh', '--pool4', 'fd41::/64'], says: /Write an IPv4 range, such as 10\.41/ },
  {
    name: 'a part without what it needs',
    args: ['agent', '--node', 'a'],
    says: /not specified: --control, --control-root, --token-file/,
  },
];
for (const { name, args, says } of wrong) {
  test(`${name} exits with 2, with the help to ask for, and nothing on standard output`, async () => {
    const { code, out, err } = await weft(...args);
    assert.deepEqual([code, out], [2, '']);
    assert.match(err, says);
    assert.match(err, new RegExp(`\nremedy: see weft ${args[0]} --help\n$`));
  });
}

test('without a command the help is an error, and asked for it is a result', async () => {
  const [bare, asked] = await Promise.all([weft(), weft('--help')]);
  assert.deepEqual([bare.code, bare.out, asked.code, asked.err], [2, '', 0, '']);
  for (const command of ['up', 'run', 'status', 'validate', 'uninstall', 'control', 'agent', 'token', 'version'])
    assert.match(asked.out, new RegExp(`^  ${command} `, 'm'));
});

test('bin/weft runs the bundle, whose errors point at the sources; and the sources when one is newer', async () => {
  const home = join(root, 'installed');
  mkdirSync(home);
  const from = join(BIN, '../..');
  for (const folder of ['bin', 'src', 'testbed', 'bench', 'build'])
    cpSync(join(from, folder), join(home, folder), { recursive: true });
  for (const file of ['package.json', 'package-lock.json', 'config'])
    cpSync(join(from, file), join(home, file), { recursive: true });
  symlinkSync(join(from, 'node_modules'), join(home, 'node_modules'));
  const bundle = join(home, 'build/program/weft.js');
  const running = async (): Promise<string> =>
    (await run(join(home, 'bin/weft'), ['validate', '/nowhere'], { WEFT_DEBUG: '1' })).err;

  utimesSync(bundle, new Date(), new Date(Date.now() + 1000));
  const stack = await running();
  assert.match(stack, /at .*\/installed\/src\/[\w/-]+\.ts:\d+:\d+/);
  assert.doesNotMatch(stack, /build\/program/);

  writeFileSync(bundle, 'throw new Error("an old bundle")');
  utimesSync(bundle, new Date(0), new Date(0));
  assert.doesNotMatch(await running(), /an old bundle/);
  utimesSync(bundle, new Date(), new Date(Date.now() + 1000));
  assert.match(await running(), /an old bundle/);
});
