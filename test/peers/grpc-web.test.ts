import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { AttackedMesh } from '../security/mesh.testing.ts';
import { boundServiceYaml, GATEWAY_YAML, policySpecYaml } from '../security/waypoint.testing.ts';
import { program, SKIP } from './peers.testing.ts';

// Connect's client of gRPC-Web before gRPC's own server for Go, which knows none: the waypoint stands between, on the client's node
// and on another one.

const [WEB, PLAIN] = ['10.96.42.1', '10.96.42.2'];
const SETTLE_MS = 20_000;
const CLIENTS = ['near', 'far'] as const;
const CLIENT = join(import.meta.dirname, 'apps/grpc-web-client.ts');

describe('gRPC-Web through a waypoint', { skip: SKIP }, () => {
  let mesh: AttackedMesh;
  const failedOf = async (client: string, vip: string): Promise<string[]> => {
    const { stdout, stderr } = await mesh.inside(client, [process.execPath, CLIENT, vip], 60_000);
    assert.notEqual(stdout, '', stderr);
    return JSON.parse(stdout) as string[];
  };

  before(async () => {
    mesh = await AttackedMesh.up({
      'waypoint.yaml': GATEWAY_YAML,
      'web.yaml': boundServiceYaml('web', WEB, 'interop', 'grpc-web', 7000),
      'plain.yaml': boundServiceYaml('plain', PLAIN, 'interop', 'grpc', 7000),
    });
    const server = program('grpc-interop-server');
    await Promise.all([
      mesh.start({
        ...{ name: 'interop', node: 'beta' },
        command: ['sh', '-c', `echo "{\\"event\\":\\"listening\\",\\"pid\\":$$}"; exec ${server} -port 7000`],
      }),
      mesh.probe('near', 'alpha'),
      mesh.probe('far', 'beta'),
    ]);
    await mesh.lab.waypointsReady();
    await waitUntil('an answer', SETTLE_MS, async () => (await failedOf('near', WEB)).length === 0);
  });
  after(() => mesh?.down());

  for (const client of CLIENTS)
    test(`W81 ${client}: a browser's calls reach a server of gRPC, and its status and trailers come back`, async () =>
      assert.deepEqual(await failedOf(client, WEB), []));

  test('W81 a port that does not ask for it passes them as they are, and a server of gRPC refuses them', async () => {
    const failed = await failedOf('near', PLAIN);
    assert.ok(failed.some((one) => one.startsWith('empty_unary')));
  });

  test('W81 who is denied is told so in the words of gRPC-Web', async () => {
    await mesh.enforce(
      'deny.yaml',
      policySpecYaml(
        'deny',
        'action: DENY, targetRefs: [{ group: "", kind: Service, name: web }], rules: [{ to: [{ operation: { paths: ["/grpc.testing.TestService/EmptyCall"] } }] }]',
      ),
    );
    await waitUntil('the denial', SETTLE_MS, async () => (await failedOf('near', WEB)).length > 0);
    const failed = await failedOf('near', WEB);
    assert.match(failed.join('\n'), /empty_unary over HTTP\/1.1: .*permission_denied/);
    await mesh.enforce('deny.yaml', null);
  });
});
