import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { WaypointSpec } from '#control-plane/waypoints/plan.ts';
import { endpointOf, eventually, place, started } from '#main/control/control-rig.testing.ts';
import { scratch, weft } from '#main/weft-process.testing.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import type { ControlEndpoint } from '#platform/grpc/control-channel.ts';
import { startWaypoint, type WaypointProcessOptions } from './waypoint-process.ts';

const GATEWAY = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: waypoint, namespace: shop }
spec:
  gatewayClassName: weft-waypoint
  listeners: [{ name: mesh, port: 15008, protocol: HBONE }]
`;

const NO_FLOWS = { find: () => null, close() {} };

function optionsOf(control: ControlEndpoint, gateway: string): WaypointProcessOptions {
  return {
    namespace: 'shop',
    gateway,
    serviceAccount: 'waypoint',
    node: 'node-1',
    control,
    pinDir: '/nowhere',
    drain: null,
    threads: 0,
    traces: null,
    accessLogFormat: null,
    version: '1',
    log: SILENT_LOG,
    mishaps: SILENT_MISHAPS,
  };
}

/** A control plane with a Gateway, and the token that it made for that Gateway's waypoint. */
async function aControlPlane(t: TestContext) {
  const where = await place(t);
  await writeFile(join(where.configDir, 'gateway.yaml'), GATEWAY);
  const tokens: string[] = [];
  const waypointRunner = {
    start: async (_: WaypointSpec, token: string) => void tokens.push(token),
    stop: async () => {},
    list: async () => [],
  };
  const control = await started(where, { waypointRunner });
  await eventually(() => tokens.length === 1);
  const [token = ''] = tokens;
  return { control, endpoint: { ...(await endpointOf(control, 'node-1')), token: async () => token } };
}

test('a waypoint tells the control plane whose it is, and leaves when it is stopped', async (t) => {
  const { control, endpoint } = await aControlPlane(t);
  const waypoint = await startWaypoint(optionsOf(endpoint, 'other'), NO_FLOWS);
  await eventually(() => control.status().connections.length === 1);
  await eventually(() => control.status().connections[0]?.id !== ''); // known with its first request
  const [{ id, namespace, serviceAccount } = assert.fail()] = control.status().connections;
  assert.deepEqual([id, namespace, serviceAccount], ['waypoint~1.1.1.1~other.shop~shop.svc.cluster.local', 'shop', 'waypoint']);
  await waypoint.stop();
  await eventually(() => control.status().connections.length === 0);
});

test('where no agent has pinned a data path, a waypoint is an error at its start', async (t) => {
  const { endpoint } = await aControlPlane(t);
  const pinDir = scratch(t);
  await assert.rejects(startWaypoint({ ...optionsOf(endpoint, 'waypoint'), pinDir }), { code: 'WEFT_BPF_PIN' });
});

test('weft waypoint: a token file that is absent is an error before anything is opened', async (t) => {
  const absent = join(scratch(t), 'absent');
  const who = ['--namespace', 'shop', '--gateway', 'waypoint', '--service-account', 'waypoint', '--node', 'node-1'];
  const control = ['--control', '127.0.0.1:1', '--control-root', absent, '--token-file', absent];
  const { code, out, err } = await weft('waypoint', ...who, '--pin-dir', absent, ...control);
  assert.deepEqual([code, out], [1, '']);
  assert.match(err, /\((WEFT_CONTROL_FILE|WEFT_NOT_ROOT)\)\n(cause: .*\n)?remedy: /);
});
