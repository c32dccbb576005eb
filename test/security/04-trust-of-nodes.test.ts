import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import type { Registration } from '#model/mesh/registration.ts';
import { controlClient } from '#platform/local-api/clients.ts';
import type { Probe } from '#testbed/apps/probe-client.ts';
import { labPaths } from '#testbed/lab/parts.ts';
import { CONTROL_ADDRESS, type NodeName, nodeOf } from '#testbed/nodes/plan.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { AttackedMesh, serviceYaml } from './mesh.testing.ts';

const VIP = '10.96.4.1';
const SETTLE_MS = 5_000;
const THIEF = new URL('./apps/token-thief.ts', import.meta.url).pathname;

/** What the thief's program answers: as src/platform/grpc gives it, or the message of the refusal. */
type Loot = {
  refused: { uid: string; message: string }[];
  error: string | null;
  certificates: Record<string, string>;
  stream: string | null;
};

/** Nodes alpha and beta are real; gamma is a name for which the thief has a narrow token, and no agent runs. */
describe('a node with a token', () => {
  let mesh: AttackedMesh;
  let client: Probe;
  before(async () => {
    mesh = await AttackedMesh.up({ 'server.yaml': serviceYaml('server', VIP) });
    [client] = await Promise.all([mesh.probe('client', 'alpha'), mesh.echo('server', 'beta')]);
  });
  after(() => mesh?.down());

  const tokenFor = async (node: string, identities: string[], addresses: string[]): Promise<string> => {
    const { token } = await controlClient(labPaths(mesh.plan).controlSocket).token({
      node,
      identities,
      addresses,
      waypoints: false,
    });
    return token;
  };

  /** Uses a token from the host of node `at`: registers, asks for certificates, and follows discovery for a moment. */
  const steal = async (
    at: NodeName,
    node: string,
    token: string,
    workloads: Partial<Registration>[],
    identities: string[] = [],
  ) => {
    const { rootCertificate } = labPaths(mesh.plan);
    const plan = JSON.stringify({ control: CONTROL_ADDRESS, rootFile: rootCertificate, node, token, workloads, identities });
    const { code, stdout, stderr } = await mesh.onNode(at, [process.execPath, THIEF, plan]);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as Loot;
  };

  const shares = async (count: number): Promise<Set<string>> => {
    const answers = await Promise.all(Array.from({ length: count }, () => client.connect({ host: VIP, port: 7 })));
    return new Set(answers.map(({ error }) => error ?? 'answered'));
  };

  const wide: Partial<Registration>[] = [
    { name: 'invented', namespace: 'bank', serviceAccount: 'teller', addresses: ['10.89.3.9'] },
    { name: 'control', namespace: 'istio-system', serviceAccount: 'istiod', addresses: ['10.89.3.10'] },
    { name: 'agent', namespace: 'istio-system', serviceAccount: 'weft-agent', addresses: ['10.89.3.11'] },
    { name: 'endpoint', namespace: 'attacks', serviceAccount: 'server', labels: { app: 'server' }, addresses: ['10.89.3.12'] },
    { name: 'way', namespace: 'guests', serviceAccount: 'guest', addresses: ['10.89.3.13'], nativeTunnel: true },
  ];

  test('S4: invented workloads of other namespaces, istiod, agents, waypoints: refused one by one, and told why', async () => {
    const token = await tokenFor('gamma', ['guests/*'], ['10.89.3.0/24']);
    const own = { name: 'guest', namespace: 'guests', serviceAccount: 'guest', addresses: ['10.89.3.2'] };
    const { refused, error } = await steal('alpha', 'gamma', token, [own, ...wide]);
    assert.equal(error, null);
    assert.deepEqual(
      refused.map(({ uid }) => uid.split('/').slice(-2).join('/')),
      ['bank/invented', 'istio-system/control', 'istio-system/agent', 'attacks/endpoint', 'guests/way'],
    );
    assert.match(refused[0]?.message ?? '', /not for identity bank\/teller, only for guests\/\*/);
    const status = await mesh.controlStatus();
    assert.match(status.outOfDate.join('\n'), /node gamma was refused: .*bank\/teller/);
    assert.match(await mesh.log('control'), /workload=bank\/invented why=identity-not-granted/);
  });

  test('S4: certificates for istiod, the agents, and accounts of other nodes: refused; for its own workload: given', async () => {
    const token = await tokenFor('gamma', ['guests/*'], ['10.89.3.0/24']);
    const own = { name: 'guest', namespace: 'guests', serviceAccount: 'guest', addresses: ['10.89.3.2'] };
    const wanted = ['istio-system/istiod', 'istio-system/weft-agent', 'attacks/server', 'guests/other', 'guests/guest'];
    const { certificates } = await steal('alpha', 'gamma', token, [own, ...wide], wanted);
    assert.deepEqual(
      Object.entries(certificates).map(([account, outcome]) => [account, /UNAUTHENTICATED/.test(outcome) ? 'refused' : outcome]),
      [...wanted.slice(0, 4).map((account) => [account, 'refused']), ['guests/guest', 'issued']],
    );
  });

  test('S4: the address of a workload, of its service, a node, a gateway, loopback: refused, and its owner is reached on', async () => {
    const [server] = (await mesh.status('beta')).enrolled.filter(({ name }) => name === 'server');
    const address = server?.addresses[0] ?? '';
    const token = await tokenFor('gamma', ['*/*'], ['0.0.0.0/0', '::/0']);
    const gateway = nodeOf(mesh.plan, 'beta').pool4.replace(/0\/24$/, '1');
    const claims = [address, VIP, '240.240.1.1', gateway, '127.0.0.1', '::1', 'fe80::1', '224.0.0.1', '0.0.0.0'];
    const workloads = claims.map((ip, at) => ({
      name: `claim-${at}`,
      namespace: 'attacks',
      serviceAccount: 'thief',
      addresses: [ip],
    }));
    const twins = ['one', 'two'].map((name) => ({ name, namespace: 'guests', serviceAccount: name, addresses: ['10.89.3.7'] }));
    const { refused } = await steal('alpha', 'gamma', token, [...workloads, ...twins]);
    assert.deepEqual(
      refused.map(({ uid }) => uid.split('/').at(-1)),
      [...workloads.map(({ name }) => name), 'two'],
    );
    assert.deepEqual([...(await shares(20))], ['answered']);
  });

  test('S4: an endpoint invented in the name of a service draws no share of its connections', async () => {
    const token = await tokenFor('gamma', ['guests/*'], ['10.89.3.0/24']);
    await steal('alpha', 'gamma', token, wide);
    assert.deepEqual([...(await shares(40))], ['answered']);
  });

  test('S4: a copied token is refused from another machine while its node is there, loudly, and the node goes on', async () => {
    const beta = nodeOf(mesh.plan, 'beta').meshName;
    const { pool4 } = nodeOf(mesh.plan, 'beta');
    const token = await tokenFor(beta, ['*/*'], [pool4]);
    const loot = await steal('alpha', beta, token, [], ['attacks/server']);
    assert.match(loot.error ?? '', /PERMISSION_DENIED.*is spoken for from/);
    assert.match(loot.stream ?? '', /PERMISSION_DENIED/);
    assert.match(loot.certificates['attacks/server'] ?? '', /PERMISSION_DENIED/);
    assert.match(await mesh.log('control'), /ERROR control: .*its token was also used from/);
    assert.deepEqual([...(await shares(10))], ['answered']);
  });

  test('S4: weft run of what the token of the node does not name fails with the reason, and its neighbours run on', async () => {
    const beta = nodeOf(mesh.plan, 'beta');
    const token = await tokenFor(beta.meshName, ['attacks/server', 'attacks/other'], [beta.pool4, beta.pool6]);
    await writeFile(labPaths(mesh.plan).tokenFile('beta'), token); // read anew for each call
    await assert.rejects(mesh.echo('intruder', 'beta'));
    const started = mesh.lab.children().find(({ name }) => name === 'intruder');
    const said = await readFile(started?.logPath ?? '', 'utf8');
    assert.match(said, /not for identity attacks\/intruder.*WEFT_WORKLOAD_REFUSED/s);
    await waitUntil('the server is there', SETTLE_MS, async () => (await shares(5)).has('answered'));
    await mesh.echo('other', 'beta');
  });

  test('S4: a revoked token is refused, and the stream that it opened ends', async () => {
    const token = await tokenFor('gamma', ['guests/*'], ['10.89.3.0/24']);
    assert.equal((await steal('alpha', 'gamma', token, [])).error, null);
    await controlClient(labPaths(mesh.plan).controlSocket).revoke('gamma');
    assert.match((await steal('alpha', 'gamma', token, [])).error ?? '', /UNAUTHENTICATED/);
  });
});
