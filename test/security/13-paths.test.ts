import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Probe } from '#testbed/apps/probe-client.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { AttackedMesh } from './mesh.testing.ts';
import { GATEWAY_YAML, policySpecYaml, WEB_PROGRAM, webServiceYaml } from './waypoint.testing.ts';

const SETTLE_MS = 10_000;
const VIP = '10.96.1.1';
const NO_ADMIN = policySpecYaml(
  'no-admin',
  'targetRefs: [{ group: "", kind: Service, name: web }], action: DENY, rules: [{ to: [{ operation: { paths: [/admin, /admin/*] } }] }]',
);

/** Spellings of /admin that some server walks to; what the server behind the waypoint may be asked for instead. */
const SPELLINGS: readonly (readonly [string, string])[] = [
  ['/admin', '403'],
  ['/..;/admin', '400'],
  ['/a/..;x=1/admin', '400'],
  ['/.;/admin', '400'],
  ['/a/%2e%2e;/admin', '400'],
  ['/a/..%3b/admin', '400'],
  ['/a/../admin', '403'],
  ['/a/%2e%2e/admin', '403'],
  ['/a\\..\\admin', '403'],
  ['/%61dmin/x', '403'],
  ['/a/..%2fadmin', '400'],
  ['/a/..%5cadmin', '400'],
  ['/admin%00', '400'],
  ['/a/%c0%ae%c0%ae/admin', '400'],
  ['/%2%65%2%65/admin', '400'],
  ['/open/../open', '200 /open'],
  ['//admin', '200 //admin'],
  ['/%2fadmin', '200 /%2fadmin'],
];

/** One form of a path for policy, routing and forwarding. */
describe('spellings of a path', () => {
  let mesh: AttackedMesh;
  const clients: Probe[] = [];
  before(async () => {
    mesh = await AttackedMesh.up({
      'waypoint.yaml': GATEWAY_YAML,
      'web.yaml': webServiceYaml({ name: 'web', vip: VIP, bound: true }),
      'policy.yaml': NO_ADMIN,
    });
    await mesh.start({ name: 'web', node: 'beta', command: WEB_PROGRAM });
    clients.push(...(await Promise.all([mesh.probe('far', 'alpha'), mesh.probe('near', 'beta')])));
    await mesh.lab.waypointsReady();
    for (const client of clients)
      await waitUntil('the waypoint', SETTLE_MS, async () => (await ask(client, '/open')) === '200 /open');
  });
  after(() => mesh?.down());

  const ask = async (client: Probe, path: string): Promise<string> => {
    const { statuses, errors, body } = await client.http({ host: VIP, port: 80, path });
    const [status = Object.keys(errors).join()] = Object.keys(statuses);
    return status === '200' ? `200 ${body}` : status;
  };

  for (const [path, want] of SPELLINGS)
    test(`S13: ${path}: what is authorised is what is forwarded`, async () => {
      for (const client of clients) assert.equal(await ask(client, path), want, client.name);
    });
});
