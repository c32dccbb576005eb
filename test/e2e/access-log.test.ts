import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { HELLO_MESH } from './hello-waypoint.testing.ts';
import { Programs, WEFT } from './programs.testing.ts';

const SERVER =
  "require('node:http').createServer((_, answer) => answer.end('hello')).listen(8080, () => console.log('listening'))";
const CLIENT = "for i in $(seq 100); do curl -sSf -m 5 'http://hello/a?b' && exit 0; sleep 0.2; done; exit 1";

test('W70: the format that weft up is given is that of the lines in the log of its waypoints', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-access-log-'));
  const programs = new Programs();
  t.after(async () => {
    await programs.endAll('SIGINT');
    rmSync(dir, { recursive: true, force: true });
  });
  const [mesh, runDir, stateDir] = [join(dir, 'mesh'), join(dir, 'run'), join(dir, 'state')];
  const node = `text-${randomBytes(3).toString('hex')}`;
  mkdirSync(mesh);
  writeFileSync(join(mesh, 'mesh.yaml'), HELLO_MESH);
  const inOwnNetns = ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'];
  const places = ['--node', node, '--run-dir', runDir, '--state-dir', stateDir];
  const up = programs.start([...inOwnNetns, WEFT, 'up', mesh, ...places, '--access-log-format', 'istio']);
  await up.until(/The mesh is up/);
  const run = (name: string, ...command: string[]) => {
    const who = ['--name', name, '--service-account', name, '--label', `app=${name}`, '--user', 'root'];
    return programs.start([WEFT, 'run', ...who, '--agent-socket', join(runDir, node, 'agent.sock'), '--', ...command]);
  };
  await run('hello', process.execPath, '-e', SERVER).until(/listening/);
  const client = run('client', 'sh', '-c', CLIENT);
  assert.equal(await client.ended, 0, client.output());
  const log = programs.start(['tail', '-n', '+1', '-F', join(stateDir, 'logs', 'waypoint-default.waypoint.log')]);
  await log.until(
    /^\[20\d\d-\S+Z\] "GET \/a\?b HTTP\/1\.1" 200 - via_upstream - "-" 0 5 \d+ \d+ "-" "curl\/\S+" "[0-9a-f-]{36}" "hello" "\S+:8080" inbound-vip\|80\|http\|hello\S+ - \S+:80 \S+:\d+ - \S+$/m,
  );
});
