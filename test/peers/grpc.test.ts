import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { AttackedMesh } from '../security/mesh.testing.ts';
import { boundServiceYaml, GATEWAY_YAML, waypointLives } from '../security/waypoint.testing.ts';
import { program, SKIP } from './peers.testing.ts';

// gRPC's own client and server for Go, as workloads, through a waypoint: from its node through its entry there, and from another node
// through HBONE. `make soak` makes the long one long.

const SOAK_SECONDS = Number(process.env.WEFT_GRPC_SOAK_SECONDS ?? 10);
const VIP = '10.96.40.1';
const PORT = 80;
const SETTLE_MS = 20_000;
const CASE_MS = 30_000;

/** All that need neither TLS nor credentials; pick_first_unary asks for servers that name themselves, which this one does not. */
const INTEROP = [
  ...['empty_unary', 'large_unary', 'client_streaming', 'server_streaming', 'ping_pong', 'empty_stream'],
  ...['timeout_on_sleeping_server', 'cancel_after_begin', 'cancel_after_first_response', 'status_code_and_message'],
  ...['special_status_message', 'custom_metadata', 'unimplemented_method', 'unimplemented_service'],
  ...['orca_per_rpc', 'orca_oob'],
];

/** Load reports reach the cases that ask for them by a balancer of theirs alone. */
const BALANCER = '-service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}';

/** Calls one after the other, of several threads, each so often in so many seconds at least. */
const SOAK_THREADS = 4;
const SOAK_PAUSE_MS = 10;
const soakOf = (seconds: number): string[] => [
  '-test_case=rpc_soak',
  `-soak_iterations=${(SOAK_THREADS * seconds * 1_000) / SOAK_PAUSE_MS}`,
  `-soak_num_threads=${SOAK_THREADS}`,
  `-soak_min_time_ms_between_rpcs=${SOAK_PAUSE_MS}`,
  `-soak_overall_timeout_seconds=${4 * seconds + 30}`,
  // What is looked for is calls that fail, not calls that are slow.
  '-soak_per_iteration_max_acceptable_latency_ms=20000',
  '-soak_request_size=1000',
  '-soak_response_size=2000',
];
const CHANNELS = [
  ...['-test_case=channel_soak', '-soak_iterations=100', '-soak_num_threads=2', '-soak_overall_timeout_seconds=60'],
  '-soak_per_iteration_max_acceptable_latency_ms=20000',
];

const IDLE = ['sh', '-c', 'echo "{\\"event\\":\\"listening\\",\\"pid\\":$$}"; exec sleep 100000'];

describe('gRPC interop through a waypoint', { skip: SKIP }, () => {
  let mesh: AttackedMesh;
  const ask = async (client: string, args: readonly string[], limitMs = CASE_MS): Promise<string> => {
    const line = [program('grpc-interop-client'), `-server_host=${VIP}`, `-server_port=${PORT}`, ...args];
    const { code, stderr } = await mesh.inside(client, line, limitMs);
    return code === 0 ? '' : `${args[0]}: ${stderr.slice(-500)}`;
  };

  before(async () => {
    mesh = await AttackedMesh.up({
      'waypoint.yaml': GATEWAY_YAML,
      'interop.yaml': boundServiceYaml('interop', VIP, 'interop', 'grpc', 7000),
    });
    const server = [
      'sh',
      '-c',
      `echo "{\\"event\\":\\"listening\\",\\"pid\\":$$}"; exec ${program('grpc-interop-server')} -port 7000`,
    ];
    await Promise.all([
      mesh.start({ name: 'interop', node: 'beta', command: server }),
      mesh.start({ name: 'alpha-client', node: 'alpha', command: IDLE }),
      mesh.start({ name: 'beta-client', node: 'beta', command: IDLE }),
    ]);
    await mesh.lab.waypointsReady();
    for (const client of ['alpha-client', 'beta-client'])
      await waitUntil(`a call of ${client}`, SETTLE_MS, async () => (await ask(client, ['-test_case=empty_unary'])) === '');
  });
  after(() => mesh?.down());

  for (const client of ['alpha-client', 'beta-client']) {
    test(`gRPC interop: all ${INTEROP.length} cases of ${client}`, async () => {
      const failed: string[] = [];
      for (const name of INTEROP)
        failed.push(await ask(client, [`-test_case=${name}`, ...(name.startsWith('orca') ? [BALANCER] : [])]));
      assert.deepEqual(failed.filter(Boolean), []);
    });
  }

  test(`gRPC soak: ${SOAK_SECONDS} s of calls, and a hundred channels, from both nodes at once`, async () => {
    const limitMs = (5 * SOAK_SECONDS + 60) * 1_000;
    const failed = await Promise.all(
      ['alpha-client', 'beta-client'].flatMap((client) => [
        ask(client, soakOf(SOAK_SECONDS), limitMs),
        ask(client, CHANNELS, limitMs),
      ]),
    );
    assert.deepEqual(failed.filter(Boolean), []);
    await waypointLives(mesh);
  });
});
