import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Probe } from '#testbed/apps/probe-client.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { AttackedMesh } from './mesh.testing.ts';
import { GATEWAY_YAML, policySpecYaml, WEB_PROGRAM, webServiceYaml } from './waypoint.testing.ts';

const SETTLE_MS = 10_000;
const VIP = '10.96.1.1';
const UNBOUND = '10.96.1.2';
const TARGETS = 'targetRefs: [{ group: "", kind: Service, name: web }, { group: "", kind: Service, name: web-headless }]';
const NO_ADMIN = policySpecYaml('no-admin', `${TARGETS}, action: DENY, rules: [{ to: [{ operation: { paths: [/admin] } }] }]`);

/** A policy at a waypoint, and every way to the workload behind it. */
describe('ways to a workload', () => {
  let mesh: AttackedMesh;
  const clients: Probe[] = [];
  before(async () => {
    mesh = await AttackedMesh.up({
      'waypoint.yaml': GATEWAY_YAML,
      'web.yaml': webServiceYaml({ name: 'web', vip: VIP, bound: true }),
      'headless.yaml': webServiceYaml({ name: 'web-headless', vip: null, bound: true }),
      'unbound.yaml': webServiceYaml({ name: 'web-unbound', vip: UNBOUND, bound: false }),
    });
    await mesh.start({ name: 'web', node: 'beta', command: WEB_PROGRAM });
    clients.push(...(await Promise.all([mesh.probe('far', 'alpha'), mesh.probe('near', 'beta')])));
    await mesh.lab.waypointsReady();
  });
  after(() => mesh?.down());

  /** `200 /path`, another status, or the error. */
  const ask = async (client: Probe, host: string, path: string, port = 80): Promise<string> => {
    const { statuses, errors, body } = await client.http({ host, port, path });
    const [status = Object.keys(errors)[0] ?? 'nothing'] = Object.keys(statuses);
    return status === '200' ? `200 ${body}` : status;
  };
  const resolve = async (client: Probe, family: 4 | 6) => (await client.resolve('web-headless.attacks', family)).addresses;

  test('S9: without a policy at the waypoint every address is reachable', async () => {
    const { address } = mesh.app('web');
    for (const client of clients)
      for (const [host, port] of [
        [VIP, 80],
        [UNBOUND, 80],
        [address[4], 7000],
        [address[6], 7000],
      ] as const)
        assert.equal(await ask(client, host, '/admin', port), '200 /admin', `${client.name} to ${host}`);
  });

  test('S9: with one, each way meets it or is refused', async () => {
    await mesh.enforce('policy.yaml', NO_ADMIN);
    const { address } = mesh.app('web');
    for (const client of clients) {
      await waitUntil('the policy', SETTLE_MS, async () => (await ask(client, VIP, '/admin')) === '403');
      assert.equal(await ask(client, VIP, '/open'), '200 /open');
      for (const [host, port] of [
        [UNBOUND, 80],
        [address[4], 7000],
        [address[6], 7000],
      ] as const)
        for (const path of ['/admin', '/open'])
          assert.match(await ask(client, host, path, port), /^E/, `${client.name} to ${host}${path}`);
    }
  });

  test('S9: the name of a headless service leads to the waypoint', async () => {
    const { address } = mesh.app('web');
    for (const client of clients)
      for (const family of [4, 6] as const) {
        await waitUntil('its address', SETTLE_MS, async () => !(await resolve(client, family)).includes(address[family]));
        const [host] = await resolve(client, family);
        assert.ok(host !== undefined);
        await waitUntil('the way', SETTLE_MS, async () => (await ask(client, host, '/open')) === '200 /open');
        assert.equal(await ask(client, host, '/admin'), '403', `${client.name} to ${host}`);
      }
  });

  test('S9: outside of the mesh nobody gets past it either', async () => {
    const { bystander } = await mesh.outsiders();
    const { address } = mesh.app('web');
    for (const path of ['/admin', '/open']) assert.match(await ask(bystander, address[4], path, 7000), /^(?:E|nothing)/);
  });
});
