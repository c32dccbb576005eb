import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { decodeJwt } from 'jose';
import type { StatusReport } from '#cli/status.ts';
import { endpointOf, follower, type Place, place, started } from '#main/control/control-rig.testing.ts';
import { scratch, weft } from '#main/weft-process.testing.ts';
import { WeftError } from '#model/error.ts';
import { RegistryClient } from '#platform/grpc/control-clients.ts';
import { type Answer, serveLocalSocket } from '#platform/local-api/serve-socket.ts';
import type { AgentStatus } from '#protocol/api/agent.ts';
import { errorReply } from '#protocol/api/reply.ts';

const AGENT: AgentStatus = {
  node: 'node-1',
  version: '0.0.1',
  pid: 1,
  certificates: [{ identity: 'spiffe://cluster.local/ns/shop/sa/web', notAfter: '', renewing: false, error: null }],
  controlPlane: { address: '127.0.0.1:15012', connected: false, syncedAt: null, error: 'refused' },
  enrolled: [],
  workloads: [],
  services: 0,
  policies: 0,
  kernel: { pinDir: '/sys/fs/bpf/weft/node-1', generation: 1, liveDirectFlows: 0, verdicts: 0, counters: {} },
  metrics: null,
  degraded: [],
};

/** A socket at `path` that answers until the test ends. */
async function serve(t: TestContext, path: string, answer: Answer): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  t.after(await serveLocalSocket(path, answer));
}

const runDirOf = (where: Place): string => dirname(where.socketPath);

test('status: where nothing runs that is an error with a remedy, and nothing on standard output', async (t) => {
  const { code, out, err } = await weft('status', '--run-dir', scratch(t));
  assert.deepEqual([code, out], [1, '']);
  assert.match(err, /^weft: nothing of the mesh runs on this machine.*\(WEFT_NOT_RUNNING\)\nremedy: start it with weft up DIR/);
});

test('status: a running control plane and an agent are told, with what is wrong', async (t) => {
  const where = await place(t);
  await started(where);
  await serve(t, join(runDirOf(where), 'node-1', 'agent.sock'), async (method, path) => {
    assert.deepEqual([method, path], ['GET', '/v1/status']);
    return { status: 200, body: AGENT };
  });
  const { code, out, err } = await weft('status', '--run-dir', runDirOf(where));
  assert.deepEqual([code, err], [0, '']);
  assert.match(out, /node-1/);
  assert.match(out, /not connected to the control plane at 127\.0\.0\.1:15012 \(refused\)/);
  assert.match(out, /runs version 0\.0\.1, this is \d/);
});

test('status --json: the control plane that answers, and an agent that is gone, as one document', async (t) => {
  const where = await place(t);
  const control = await started(where);
  mkdirSync(join(runDirOf(where), 'dead'));
  writeFileSync(join(runDirOf(where), 'dead', 'agent.sock'), ''); // what a killed agent leaves: nobody behind it
  const { code, out } = await weft('status', '--json', '--run-dir', runDirOf(where));
  assert.equal(code, 0);
  const report = JSON.parse(out) as StatusReport;
  assert.ok(report.control.kind === 'up');
  assert.deepEqual([report.control.status.pid, report.control.status.address], [process.pid, control.address]);
  assert.deepEqual(
    report.nodes.map((node) => [node.kind, node.kind === 'down' && node.node]),
    [['down', 'dead']],
  );
  assert.match(JSON.stringify(report.nodes), /ECONNREFUSED/);
});

test('status: a control plane that hung up is told as down, not as an error of the command', async (t) => {
  const runDir = scratch(t);
  writeFileSync(join(runDir, 'control.sock'), '');
  const { code, out } = await weft('status', '--run-dir', runDir);
  assert.equal(code, 0);
  assert.match(out, /the control plane does not answer \(.*ECONNREFUSED/);
});

const GRANT = ['--identity', 'shop/*', '--addresses', '10.41.2.0/24'];

test('token: what is printed names the node, and the control plane takes it', async (t) => {
  const where = await place(t);
  const control = await started(where);
  const { code, out, err } = await weft('token', 'node-2', ...GRANT, '--socket', where.socketPath);
  assert.deepEqual([code, out.endsWith('\n')], [0, true]);
  assert.match(
    err,
    /^weft: node-2 has the addresses 10\.41\.2\.0\/24; route them to it\. The token is good until \d{4}-\d\d-\d\d\n$/,
  );
  const { sub = '', grant } = decodeJwt(out.trim());
  assert.match(sub, /^system:serviceaccount:/);
  assert.deepEqual(grant, { identities: ['shop/*'], addresses: ['10.41.2.0/24'], waypoints: false });
  const endpoint = {
    address: control.address,
    rootsPem: async () => control.rootsPem,
    token: async () => out,
    serverName: null,
    clusterId: 'Kubernetes',
  };
  const agent = follower(t, endpoint, { node: 'node-2' });
  await agent.client.synced;
  assert.equal(agent.client.status().error, null);
});

test('H6: token: without ranges the control plane gives each node its own, and refuses those of another', async (t) => {
  const where = await place(t);
  await started(where);
  const token = (...words: string[]) => weft('token', ...words, '--identity', 'shop/*', '--socket', where.socketPath);
  const [first, second] = [await token('node-2'), await token('node-3')];
  assert.deepEqual(decodeJwt<{ grant: object }>(first.out.trim()).grant, {
    identities: ['shop/*'],
    addresses: ['10.41.1.0/24', 'fd41:0:0:2::/64'],
    waypoints: false,
  });
  assert.match(second.err, /node-3 has the addresses 10\.41\.2\.0\/24 and fd41:0:0:3::\/64/);
  const taken = await token('node-4', '--addresses', '10.41.1.128/25');
  assert.equal(taken.code, 1);
  assert.match(taken.err, /10\.41\.1\.128\/25 overlaps with 10\.41\.1\.0\/24 of node node-2 \(WEFT_POOL_TAKEN\)/);
  await weft('token', 'node-2', '--revoke', '--free-addresses', '--socket', where.socketPath);
  assert.equal((await token('node-4', '--addresses', '10.41.1.128/25')).code, 0);
});

test('token: what was printed is worth nothing after --revoke', async (t) => {
  const where = await place(t);
  const control = await started(where);
  const { out } = await weft('token', 'node-2', ...GRANT, '--socket', where.socketPath);
  const endpoint = { ...(await endpointOf(control, 'node-2')), token: async () => out };
  const registry = new RegistryClient(endpoint, 'node-2');
  t.after(() => registry.close());
  await registry.sync([], []);
  const { code, err } = await weft('token', 'node-2', '--revoke', '--socket', where.socketPath);
  assert.equal(code, 0);
  assert.match(err, /every token of node-2/);
  await assert.rejects(registry.sync([], []), { code: 'WEFT_CONTROL_PLANE', message: /UNAUTHENTICATED/ });
});

test('token: without a control plane the error says how to start one', async (t) => {
  const { code, out, err } = await weft('token', 'node-2', ...GRANT, '--socket', join(scratch(t), 'control.sock'));
  assert.deepEqual([code, out], [1, '']);
  assert.match(err, /\(WEFT_NO_CONTROL\)\n(cause: .*\n)?remedy: start it with weft up or weft control/);
});

test('token: a refusal of the control plane keeps its code and its remedy', async (t) => {
  const socket = join(scratch(t), 'control.sock');
  const refusal = new WeftError('WEFT_TOKEN_KEY', 'the key is damaged', { remedy: 'replace it' });
  await serve(t, socket, async () => errorReply(refusal));
  const { code, err } = await weft('token', 'node-2', ...GRANT, '--socket', socket);
  assert.deepEqual([code, err], [1, 'weft: the key is damaged (WEFT_TOKEN_KEY)\nremedy: replace it\n']);
});

test('H11: describe: a service is told with its workloads, and what is not there is an error on its own', async (t) => {
  const where = await place(t);
  await started(where);
  const describe = (...words: string[]) => weft('describe', ...words, '--run-dir', runDirOf(where));
  const { code, out } = await describe('service/ratings', '--namespace', 'shop');
  assert.equal(code, 0);
  assert.match(out, /^service shop\/ratings\n {2}hostname: +ratings\.shop\.svc\.cluster\.local/);
  const none = await describe('workload/moon');
  assert.deepEqual([none.code, none.out], [1, '']);
  assert.match(none.err, /there is no workload default\/moon in the mesh \(WEFT_NOTHING_SO_NAMED\)\nremedy: /);
  assert.equal((await describe('moon/web')).code, 2);
});
