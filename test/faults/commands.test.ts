import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { waitUntil } from '#testbed/processes/wait.ts';
import { type Program, Programs, ROOT, WEFT } from '../e2e/programs.testing.ts';

const QUICKSTART = join(ROOT, 'examples/quickstart');
const SETTLE_MS = 10_000;
/** On IPv4 alone, as F9 wants it. */
const SERVER = [
  process.execPath,
  '-e',
  `require('node:http').createServer((request, response) => {
    console.log(request.method, request.url);
    response.end('hello\\n');
  }).listen(8080, '0.0.0.0', () => console.log('listening'))`,
];
const ALIAS = `apiVersion: v1
kind: Service
metadata: { name: hi, namespace: default }
spec: { type: ExternalName, externalName: hello.default.svc.cluster.local }
`;

/** The command that docs/debugging.md gives for a fault. */
function commandOf(label: string): string {
  const page = readFileSync(join(ROOT, 'docs/debugging.md'), 'utf8');
  const row = page.split('\n').find((line) => line.startsWith(`| ${label} |`)) ?? '';
  const [, command] = /^\| F\d+ \| .*? \| `([^`]+)`/.exec(row.replaceAll('\\|', '|')) ?? [];
  assert.ok(command !== undefined, `docs/debugging.md has no command for ${label}`);
  return command;
}

/** What docs/debugging.md says to try, as it is written there. */
describe('faults, over again', () => {
  const name = `f${randomBytes(3).toString('hex')}`;
  const dir = mkdtempSync(join(tmpdir(), 'weft-faults-'));
  const programs = new Programs();
  const lab = (command: string, ...words: string[]): Program => programs.start([WEFT, 'lab', command, '--lab', name, ...words]);
  const probe = (label: string): Program => {
    const run = `${WEFT} lab run --lab ${name} --node alpha --name probe --service-account client -- ${commandOf(label)}`;
    return programs.start(['sh', '-c', `exec ${run}`]);
  };
  const answer = async (label: string): Promise<string> => {
    const program = probe(label);
    assert.equal(await program.ended, 0, program.output());
    return program.output();
  };
  let [up, server]: Program[] = [];

  before(async () => {
    cpSync(join(QUICKSTART, 'mesh'), join(dir, 'mesh'), { recursive: true });
    writeFileSync(join(dir, 'mesh/alias.yaml'), ALIAS);
    const profiled = commandOf('F18').replace('--cpu-prof ', `"--cpu-prof --cpu-prof-dir=${join(dir, 'profiles')}" `);
    const line = profiled.replace(
      'weft lab up examples/quickstart/mesh',
      `exec ${WEFT} lab up --lab ${name} ${join(dir, 'mesh')}`,
    );
    up = programs.start(['sh', '-c', line]);
    await up.until(/The lab is up/);
    const who = ['--node', 'beta', '--name', 'hello', '--service-account', 'server', '--label', 'app=hello'];
    server = lab('run', ...who, '--', ...SERVER);
    await server.until(/listening/);
  });
  after(async () => {
    await programs.endAll('SIGTERM');
    rmSync(dir, { recursive: true, force: true });
  });

  test('F6: a name over TCP', async () => assert.match(await answer('F6'), /status: NOERROR[\s\S]*ANSWER: [12],[\s\S]*\(TCP\)/));

  test('F15: a name below that of a service does not exist, at once', async () => {
    const said = await answer('F15');
    assert.match(said, /status: NXDOMAIN/);
    assert.match(said, /Query time: \d{1,3} msec/);
  });

  test('F16: an alias', async () =>
    assert.match(await answer('F16'), /\bCNAME\s+hello\.default\.svc\.cluster\.local\.[\s\S]*\bA\s+\d/));

  test('F9: the family that the app does not listen on', async () => assert.match(await answer('F9'), /^hello$/m));

  test('F7: the last words of a process', async () => {
    await answer('F7');
    await waitUntil('the line of its connection', SETTLE_MS, async () => {
      const logs = lab('logs', 'beta');
      await logs.ended;
      return /connection complete.*bytes_recv=18\b/.test(logs.output());
    });
  });

  test('F8: an agent is restarted under a client that calls without a pause', async () => {
    const client = probe('F8');
    const calls = (): number => server?.output().match(/^GET \/$/gm)?.length ?? 0;
    const called = (more: number): Promise<unknown> => {
      const until = calls() + more;
      return waitUntil('calls', SETTLE_MS, async () => calls() >= until);
    };
    await called(10);
    assert.equal(await lab('restart', 'alpha').ended, 0);
    await called(10);
    client.child.kill('SIGTERM');
    await client.ended;
    assert.doesNotMatch(client.output(), /^\d\d:\d\d:\d\d\./m);
  });

  test('F18: all of that ran under a profiler', async () => {
    assert.ok(up !== undefined);
    up.child.kill('SIGINT');
    assert.equal(await up.ended, 0, up.output());
    const profiles = readdirSync(join(dir, 'profiles')).filter((file) => file.endsWith('.cpuprofile'));
    assert.ok(profiles.length >= 3, `${profiles.length} profiles`);
  });
});
