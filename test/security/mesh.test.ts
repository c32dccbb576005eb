import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { nodeOf } from '#testbed/nodes/plan.ts';
import { AttackedMesh, policyYaml, serviceYaml } from './mesh.testing.ts';

/** The mesh that is attacked, unattacked: what an attack is compared with, and a wire report that can fail. */
describe('the mesh under attack', () => {
  let mesh: AttackedMesh;
  before(async () => {
    mesh = await AttackedMesh.up({ 'server.yaml': serviceYaml('server', '10.96.1.1') });
  });
  after(() => mesh?.down());

  test('a workload reaches one on the other node, and the wire carries nothing but TLS', async () => {
    const [client] = await Promise.all([mesh.probe('client', 'alpha'), mesh.echo('server', 'beta')]);
    const { result, report } = await mesh.wire(() => client.connect({ host: '10.96.1.1', port: 7 }));
    assert.deepEqual([result.error, report.problems], [null, []]);
    assert.ok(report.handshakes >= 1);
  });

  test('a policy that is written is in force when enforce() returns, and one that is removed no longer', async () => {
    const client = await mesh.probe('stranger', 'beta');
    const dial = async (): Promise<string | null> => (await client.connect({ host: '10.96.1.1', port: 7 })).error;
    assert.equal(await dial(), null);
    await mesh.enforce('deny.yaml', policyYaml('no-strangers', 'server', 'DENY', ['stranger']));
    assert.equal(await dial(), 'ECONNREFUSED');
    await mesh.enforce('deny.yaml', null);
    assert.equal(await dial(), null);
  });

  test('a datagram from node to node, which is nobody’s workload, is what the wire report tells', async () => {
    const { link4 } = nodeOf(mesh.plan, 'beta');
    const send = `require('dgram').createSocket('udp4').send('x', 9, '${link4}', () => process.exit())`;
    const { report } = await mesh.wire(() => mesh.onNode('alpha', [process.execPath, '-e', send]));
    assert.match(report.problems.join('\n'), /IPv4 protocol 17 from 10\.88\.0\.1 to 10\.88\.0\.2/);
  });
});
