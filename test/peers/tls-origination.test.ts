import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { freePort } from '#main/weft-process.testing.ts';
import { ServerAuthority } from '#waypoint/tls-servers.testing.ts';
import { CART, configOf, startRig } from '#waypoint/waypoint-rig.testing.ts';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { program, SKIP } from './peers.testing.ts';

const NAME = 'grpc.example.com';
const CASES = ['empty_unary', 'large_unary', 'client_streaming', 'server_streaming', 'ping_pong', 'status_code_and_message'];

describe('gRPC for Go in TLS', { skip: SKIP }, () => {
  test('config-api 1.16: calls in clear to a waypoint go on in TLS to a server that Go made, and to no other', async (t) => {
    const authority = new ServerAuthority(t);
    const { certificateFile, keyFile } = authority.server([`DNS:${NAME}`]);
    const port = await freePort();
    const tls = ['-use_tls=true', `-tls_cert_file=${certificateFile}`, `-tls_key_file=${keyFile}`];
    const server = spawn(program('grpc-interop-server'), [`-port=${port}`, ...tls], { stdio: 'ignore' });
    t.after(() => server.kill('SIGKILL'));

    const destinationOf = (name: string) => ({
      ...{ service: CART, port: null, subset: null },
      tls: {
        kind: 'originate' as const,
        serverName: name,
        names: [{ kind: 'dns' as const, value: name }],
        roots: authority.root.pem,
      },
    });
    const configured = (name: string) =>
      configOf({}).services.map((service) => ({ ...service, destinations: [destinationOf(name)] }));
    const rig = await startRig({ appProtocol: 'grpc', config: { services: configured(NAME) } });
    t.after(() => rig.close());
    rig.endpoints([port], { tunnelProtocol: 'none' });
    const ask = async (testCase: string): Promise<string> => {
      const args = ['-server_host=127.0.0.1', `-server_port=${rig.port}`, `-test_case=${testCase}`];
      return promisify(execFile)(program('grpc-interop-client'), args, { timeout: 20_000 }).then(
        () => '',
        (error: unknown) => `${testCase}: ${String(error).slice(-300)}`,
      );
    };
    await waitUntil('a call', 20_000, async () => (await ask('empty_unary')) === '');
    const failed: string[] = [];
    for (const testCase of CASES) failed.push(await ask(testCase));
    assert.deepEqual(
      failed.filter((why) => why !== ''),
      [],
    );
    rig.waypoint.configure({ ...rig.config, services: configured('other.example.com') });
    assert.notEqual(await ask('empty_unary'), '');
  });
});
