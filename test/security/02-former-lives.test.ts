import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Probe } from '#testbed/apps/probe-client.ts';
import { shopProgram } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { AttackedMesh, policyYaml, serviceYaml } from './mesh.testing.ts';

const [NEAR, FAR, BOOKS] = ['10.96.2.1', '10.96.2.2', '10.96.2.3'];
const SETTLE_MS = 10_000;
const ADMIN = { serviceAccount: 'admin' };
const GUEST = { serviceAccount: 'guest' };

/** `near` and `far` let in account admin only; so does the waypoint before `books`. */
const MESH = {
  'near.yaml': serviceYaml('near', NEAR),
  'far.yaml': serviceYaml('far', FAR),
  'near-policy.yaml': policyYaml('near-admin', 'near', 'ALLOW', ['admin']),
  'far-policy.yaml': policyYaml('far-admin', 'far', 'ALLOW', ['admin']),
  'waypoint.yaml': `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: waypoint, namespace: attacks, labels: { istio.io/waypoint-for: service } }
spec:
  gatewayClassName: weft-waypoint
  listeners: [{ name: mesh, port: 15008, protocol: HBONE }]
---
apiVersion: v1
kind: Service
metadata: { name: books, namespace: attacks, labels: { istio.io/use-waypoint: waypoint } }
spec:
  clusterIP: ${BOOKS}
  selector: { app: books }
  ports: [{ name: http, port: 80, targetPort: 9080 }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: books-admin, namespace: attacks }
spec:
  targetRefs: [{ group: "", kind: Service, name: books }]
  action: ALLOW
  rules: [{ from: [{ source: { principals: ["cluster.local/ns/attacks/sa/admin"] } }] }]
`,
};

/** One name, two lives: what the first was allowed is not the second's. */
describe('a workload that comes again under its old name', () => {
  let mesh: AttackedMesh;
  before(async () => {
    mesh = await AttackedMesh.up(MESH);
    const books = { command: shopProgram('details') };
    await Promise.all([
      mesh.echo('near', 'alpha'),
      mesh.echo('far', 'beta'),
      mesh.start({ ...books, name: 'books', node: 'alpha' }),
    ]);
    await mesh.lab.waypointsReady();
  });
  after(() => mesh?.down());

  const dials = async (probe: Probe, host: string, count = 4): Promise<(string | null)[]> => {
    const answers = await Promise.all(
      Array.from({ length: count }, () => probe.connect({ host, port: 7 }, { timeoutMs: 8_000 })),
    );
    return answers.map(({ error }) => error);
  };
  const reads = async (probe: Probe, count = 24): Promise<Record<string, number>> => {
    const { statuses, errors } = await probe.http({ host: BOOKS, port: 80, path: '/?book=1', count, concurrency: 4 });
    return { ...statuses, ...errors };
  };
  const kill = async (name: string): Promise<void> => {
    const { pid, child } = mesh.app(name);
    process.kill(pid, 'SIGKILL');
    await child.ended;
  };
  const nobodyOf = (answers: (string | null)[]): void => assert.equal(answers.includes(null), false, answers.join());

  test('S2: killed and started again within two seconds under another account: refused by node and waypoint, and shown so', async () => {
    const admin = await mesh.probe('job', 'alpha', ADMIN);
    await waitUntil('the waypoint lets admin in', SETTLE_MS, async () => (await reads(admin, 1))['200'] === 1);
    assert.deepEqual([await dials(admin, NEAR), await dials(admin, FAR)], [Array(4).fill(null), Array(4).fill(null)]);
    assert.deepEqual(await reads(admin), { 200: 24 });
    await kill('job');
    const guest = await mesh.probe('job', 'alpha', GUEST);
    assert.deepEqual(await reads(guest), { 403: 24 });
    nobodyOf(await dials(guest, NEAR));
    nobodyOf(await dials(guest, FAR));
    const { enrolled } = await mesh.status('alpha');
    const shown = enrolled.find(({ name }) => name === 'job');
    assert.deepEqual([shown?.serviceAccount, shown?.ready], ['guest', true]);
    await kill('job');
  });

  test('S2: while the control plane is away: refused on the node, to another node and at the waypoint, under an old name or address', async () => {
    const [admin, first] = await Promise.all([mesh.probe('job', 'alpha', ADMIN), mesh.probe('first', 'alpha', ADMIN)]);
    await waitUntil('admin is known', SETTLE_MS, async () => (await reads(admin, 1))['200'] === 1);
    assert.deepEqual([await dials(admin, NEAR, 1), await dials(first, NEAR, 1)], [[null], [null]]);
    const address = mesh.app('first').address[4];
    await mesh.lab.control.stop();
    await Promise.all([kill('job'), kill('first')]);
    const [guest, second] = await Promise.all([mesh.probe('job', 'alpha', GUEST), mesh.probe('second', 'alpha', GUEST)]);
    const asked = [dials(guest, NEAR), dials(guest, FAR), dials(second, NEAR), dials(second, FAR), dials(second, address, 1)];
    const [read, ...answers] = await Promise.all([reads(guest, 4), ...asked]);
    for (const answer of answers) nobodyOf(answer);
    assert.equal(read['200'], undefined);
    const shown = (await mesh.status('alpha')).enrolled.find(({ name }) => name === 'job');
    assert.match(String(shown?.problem), /former workload of this name/);
  });
});
