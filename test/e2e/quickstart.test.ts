import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Program, Programs, ROOT, WEFT } from './programs.testing.ts';

const QUICKSTART = join(ROOT, 'examples/quickstart');

/** What a new user does: `weft up` and two `weft run`, with their own scripts, in a network namespace of the test's own. */
describe('weft up and two weft run calls', () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-up-'));
  const mesh = join(dir, 'mesh');
  const runDir = join(dir, 'run');
  const node = `up-${randomBytes(3).toString('hex')}`;
  const programs = new Programs();

  const start = (command: string[]): Program => programs.start(command);
  const run = (name: string, account: string, command: string[], ...labels: string[]): Program =>
    start([
      WEFT,
      'run',
      ...['--user', 'root'], // the tree may lie where nobody else may look
      '--name',
      name,
      '--service-account',
      account,
      '--agent-socket',
      join(runDir, node, 'agent.sock'),
      ...labels,
      '--',
      ...command,
    ]);
  let up: Program;

  before(async () => {
    cpSync(join(QUICKSTART, 'mesh'), mesh, { recursive: true });
    const options = ['--node', node, '--run-dir', runDir, '--state-dir', join(dir, 'state')];
    up = start(['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', WEFT, 'up', mesh, ...options]);
    await up.until(/The mesh is up/);
  });
  after(async () => {
    await programs.endAll('SIGINT');
    rmSync(dir, { recursive: true, force: true });
  });

  test('the client reaches the server by name and the server sees its address', async () => {
    const server = run('hello', 'server', [process.execPath, join(QUICKSTART, 'server.js')], '--label', 'app=hello');
    await server.until(/listening/);
    const client = run('client', 'client', [process.execPath, join(QUICKSTART, 'client.js')]);
    await client.until(/200 hello, 10\.41\.0\.\d+/);
    client.child.kill('SIGTERM');
    await client.ended;
  });

  test('another service account is refused at connect()', async () => {
    const other = run('other', 'other', ['curl', '-sS', '-m', '5', 'http://hello/']);
    assert.equal(await other.ended, 7, other.output());
  });

  test('an edited policy is in force at once', async () => {
    const file = join(mesh, 'access.yaml');
    writeFileSync(file, readFileSync(file, 'utf8').replace('serviceAccounts: [client]', 'serviceAccounts: [other]'));
    const other = run('second', 'other', [
      'sh',
      '-c',
      'for i in 1 2 3 4 5 6 7 8 9 10; do curl -sS -m 5 http://hello/ && exit 0; sleep 0.2; done; exit 1',
    ]);
    assert.equal(await other.ended, 0, other.output());
  });

  test('the exit code of the command is that of weft run', async () =>
    assert.equal(await run('seven', 'x', ['sh', '-c', 'exit 7']).ended, 7));

  test('weft status shows workloads, their path and certificates', async () => {
    const status = start([WEFT, 'status', '--run-dir', runDir]);
    assert.equal(await status.ended, 0, status.output());
    assert.match(status.output(), /default\/hello +\S+ +direct +spiffe:\/\/cluster\.local\/ns\/default\/sa\/server/);
  });

  test('Ctrl-C removes everything', async () => {
    up.child.kill('SIGINT');
    assert.equal(await up.ended, 0, up.output());
    assert.deepEqual(
      readdirSync('/run/netns').filter((name) => name.includes(node)),
      [],
    );
    assert.throws(() => readdirSync(runDir));
  });
});
