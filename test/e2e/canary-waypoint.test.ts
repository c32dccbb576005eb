import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { waypointLogPath } from '#protocol/api/places.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { AttackedMesh } from '../security/mesh.testing.ts';
import { GATEWAY_YAML, policySpecYaml, WEB_PROGRAM } from '../security/waypoint.testing.ts';

// Real connections from the waypoints' own node, where the kernel draws, and from another one, where the agent does. The Gateway of
// the canary alone has a policy, by which an answer tells who gave it.

const VIP = '10.96.41.1';
const CONNECTIONS = 600;
const WEIGHT = 30;
/** Five standard deviations of a share that is drawn: less than one run in a million is outside. */
const TOLERANCE = 500 * Math.sqrt(((WEIGHT / 100) * (1 - WEIGHT / 100)) / CONNECTIONS);
const SETTLE_MS = 20_000;
const CLIENTS = ['near', 'far'] as const;

const CANARY_YAML = GATEWAY_YAML.replace('name: waypoint,', 'name: next,');
function serviceYaml(weight: string | null): string {
  const canary = weight === null ? '' : ', istio.io/use-waypoint-canary: next';
  const annotations = weight === null ? '' : `istio.io/use-waypoint-canary-weight: "${weight}"`;
  return `apiVersion: v1
kind: Service
metadata: { name: web, namespace: attacks, labels: { istio.io/use-waypoint: waypoint${canary} }, annotations: { ${annotations} } }
spec:
  clusterIP: ${VIP}
  selector: { app: web }
  ports: [{ name: http, port: 80, targetPort: 7000 }]
`;
}

const deniedBy = (gateway: string, path: string): string =>
  policySpecYaml(
    `at-${gateway}`,
    `action: DENY, targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: ${gateway} }], rules: [{ to: [{ operation: { paths: [${path}] } }] }]`,
  );

/** Opens connections and asks over each for these paths, one after the other; prints how often which statuses came. */
const ASKING = `
const http = require('node:http');
const [, host, count, ...paths] = process.argv;
async function one() {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const statuses = [];
  for (const path of paths) statuses.push(await new Promise((resolve) => {
    http.get({ host, path, agent }, (answer) => { answer.resume(); answer.on('end', () => resolve(answer.statusCode)); })
      .on('error', (error) => resolve(error.code));
  }));
  agent.destroy();
  return statuses.join();
}
(async () => {
  const seen = {};
  for (let left = Number(count); left > 0; left -= 20)
    for (const text of await Promise.all(Array.from({ length: Math.min(20, left) }, one))) seen[text] = (seen[text] ?? 0) + 1;
  console.log(JSON.stringify(seen));
})();
`;

describe('a canary of a waypoint', () => {
  let mesh: AttackedMesh;

  const ask = async (client: string, count: number, ...paths: string[]): Promise<Record<string, number>> => {
    const { stdout, stderr } = await mesh.inside(client, [process.execPath, '-e', ASKING, VIP, `${count}`, ...paths], 60_000);
    assert.notEqual(stdout, '', stderr);
    return JSON.parse(stdout) as Record<string, number>;
  };
  /** Of a hundred connections those that the canary got. */
  const shareOf = async (client: string, count: number): Promise<number> => {
    const seen = await ask(client, count, '/canary');
    assert.equal((seen[200] ?? 0) + (seen[403] ?? 0), count, JSON.stringify(seen));
    return (100 * (seen[403] ?? 0)) / count;
  };
  const settled = (what: string, isRight: (share: number) => boolean): Promise<unknown> =>
    waitUntil(what, SETTLE_MS, async () => {
      const all = await Promise.all(CLIENTS.map((client) => ask(client, 40, '/canary')));
      return all.every((seen) => (seen[200] ?? 0) + (seen[403] ?? 0) === 40 && isRight((seen[403] ?? 0) / 40));
    });

  before(async () => {
    mesh = await AttackedMesh.up({
      'stable.yaml': GATEWAY_YAML,
      'next.yaml': CANARY_YAML,
      'web.yaml': serviceYaml(`${WEIGHT}`),
      'at-next.yaml': deniedBy('next', '/canary'),
      'at-stable.yaml': deniedBy('waypoint', '/stable'),
    });
    await Promise.all([
      mesh.start({ name: 'web', node: 'beta', command: WEB_PROGRAM }),
      mesh.probe('near', 'alpha'),
      mesh.probe('far', 'beta'),
    ]);
    await mesh.lab.waypointsReady();
    await settled('both waypoints', (share) => share > 0 && share < 1);
  });
  after(() => mesh?.down());

  for (const client of CLIENTS) {
    test(`B28: ${client}: the canary gets ${WEIGHT} % of new connections, within statistics`, async (t) => {
      const share = await shareOf(client, CONNECTIONS);
      t.diagnostic(`${share.toFixed(1)} %`);
      assert.ok(Math.abs(share - WEIGHT) < TOLERANCE, `${share} %`);
    });

    test(`B28: ${client}: a connection stays with the waypoint that it was opened to`, async () => {
      const seen = await ask(client, 100, ...Array.from({ length: 5 }, () => '/canary'));
      assert.deepEqual(Object.keys(seen).toSorted(), ['200,200,200,200,200', '403,403,403,403,403']);
    });

    test(`C35: ${client}: what is written for the waypoint is enforced at its canary, too`, async () =>
      assert.deepEqual(await ask(client, 100, '/stable'), { 403: 100 }));
  }

  test('the kernel draws where both are, and each waypoint tells whom it served', async () => {
    const before = await mesh.status('alpha');
    await shareOf('near', 50);
    const { kernel } = await mesh.status('alpha');
    const drawn = (kernel.counters.waypoint ?? 0) - (before.kernel.counters.waypoint ?? 0);
    assert.ok(drawn >= 50, `${drawn} of 50 went straight to a waypoint`);
    for (const name of ['waypoint', 'next'])
      await waitUntil(`a line of ${name}`, SETTLE_MS, async () =>
        (await readFile(waypointLogPath(mesh.lab.paths.stateDir, { namespace: 'attacks', name }), 'utf8')).includes(
          'path=/canary ',
        ),
      );
  });

  test('B28: the weight may change; without a canary, or with one that cannot serve, all go to the waypoint, and none around it', async () => {
    mesh.write('web.yaml', serviceYaml('100'));
    await settled('all at the canary', (share) => share === 1);
    mesh.write('web.yaml', serviceYaml('101'));
    await settled('a weight that is none', (share) => share === 0);
    mesh.write('web.yaml', serviceYaml('100'));
    await settled('all at the canary again', (share) => share === 1);
    mesh.write('next.yaml', null);
    await settled('none at a Gateway that is gone', (share) => share === 0);
    for (const client of CLIENTS) assert.deepEqual(await ask(client, 100, '/stable'), { 403: 100 });
  });
});
