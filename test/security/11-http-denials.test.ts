import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Probe } from '#testbed/apps/probe-client.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { AttackedMesh } from './mesh.testing.ts';
import { GATEWAY_YAML, policySpecYaml, WEB_PROGRAM, webServiceYaml } from './waypoint.testing.ts';

const SETTLE_MS = 10_000;
const VIP = '10.96.1.1';
const NO_DELETE = policySpecYaml(
  'no-delete',
  'selector: { matchLabels: { app: web } }, action: DENY, rules: [{ to: [{ operation: { methods: [DELETE] } }] }]',
);

/** DENY with what only a request shows, where nodes see connections. */
describe('HTTP denials on a selector', () => {
  let mesh: AttackedMesh;
  let client: Probe;
  before(async () => {
    mesh = await AttackedMesh.up({
      'waypoint.yaml': GATEWAY_YAML,
      'web.yaml': webServiceYaml({ name: 'web', vip: VIP, bound: false }),
      'policy.yaml': NO_DELETE,
    });
    await mesh.start({ name: 'web', node: 'beta', command: WEB_PROGRAM });
    client = await mesh.probe('client', 'alpha');
    await mesh.lab.waypointsReady();
  });
  after(() => mesh?.down());

  const ask = async (method: string, host = VIP, port = 80): Promise<string> => {
    const { statuses, errors } = await client.http({ host, port, path: '/', method });
    return [...Object.keys(statuses), ...Object.keys(errors)].join();
  };

  test('S11: without a waypoint that checks it the node denies everything it may match, and the finding says so', async () => {
    assert.match(await ask('GET'), /^E/);
    assert.match(await ask('DELETE'), /^E/);
    const { findings } = await mesh.controlStatus();
    assert.ok(
      findings.some(({ resource, message }) => resource.endsWith('attacks/no-delete') && /denies all traffic/.test(message)),
    );
  });

  test('S11: behind a waypoint it denies what was written, and the waypoint is not cut from its workload', async () => {
    mesh.write('web.yaml', webServiceYaml({ name: 'web', vip: VIP, bound: true }));
    await waitUntil('the binding', SETTLE_MS, async () => (await ask('GET')) === '200');
    assert.deepEqual([await ask('DELETE'), await ask('GET')], ['403', '200']);
    for (const method of ['GET', 'DELETE']) assert.match(await ask(method, mesh.app('web').address[4], 7000), /^E/);
  });
});
