import assert from 'node:assert/strict';
import test from 'node:test';
import type { WaypointState } from '#control-plane/waypoints/plan.ts';
import type { ConnectionStatus } from '#protocol/api/control.ts';
import { ADDRESS_TYPE } from '#protocol/xds/type-urls.ts';
import { controlStatus, type StatusParts } from './control-status.ts';

const FRAME = {
  pid: 7,
  version: '1.2.3',
  startedAt: '2026-01-01T00:00:00Z',
  address: '127.0.0.1:15012',
  trustDomain: 'cluster.local',
  rootNamespace: 'istio-system',
};
const QUIET: StatusParts = {
  frame: FRAME,
  replica: null,
  resources: { addresses: 0, policies: 0, waypoints: 0 },
  connections: [],
  registered: new Map(),
  waypoints: [],
  findings: [],
  conditions: [],
  rivals: [],
  problems: [],
};

type TypeStatus = ConnectionStatus['types'][number];

/** A client that has everything, with what differs from that. */
function connection(changes: Partial<ConnectionStatus> = {}, type: Partial<TypeStatus> = {}): ConnectionStatus {
  return {
    id: 'x',
    node: 'node-1',
    namespace: 'istio-system',
    serviceAccount: 'weft-agent',
    peer: '127.0.0.1:1',
    connectedAt: '',
    types: [{ typeUrl: ADDRESS_TYPE, pending: 0, acknowledged: true, problem: null, ...type } as TypeStatus],
    upToDate: true,
    ...changes,
  };
}

function waypoint(changes: Partial<WaypointState> = {}): WaypointState {
  const spec = { namespace: 'shop', name: 'waypoint', serviceAccount: 'waypoint', labels: {} };
  return { spec, state: 'running', restarts: 0, problem: null, ...changes };
}

const ofWaypoint = (changes: Partial<ConnectionStatus> = {}) =>
  connection({ node: '', namespace: 'shop', serviceAccount: 'waypoint', ...changes });

test('a control plane with nothing to do says so, and nothing is out of date', () => {
  assert.deepEqual(controlStatus(QUIET), {
    ...FRAME,
    replica: null,
    resources: QUIET.resources,
    nodes: [],
    connections: [],
    waypoints: [],
    findings: [],
    conditions: [],
    rivals: [],
    outOfDate: [],
  });
});

test('a node is listed when it registered workloads or is connected, in order of name; one that is away is told', () => {
  const { nodes, outOfDate } = controlStatus({
    ...QUIET,
    connections: [connection({ node: 'node-3' }), ofWaypoint()],
    registered: new Map([
      ['node-2', [1, 2]],
      ['node-1', []],
      ['node-3', [1]],
    ]),
  });
  assert.deepEqual(nodes, [
    { node: 'node-1', connected: false, registeredWorkloads: 0 },
    { node: 'node-2', connected: false, registeredWorkloads: 2 },
    { node: 'node-3', connected: true, registeredWorkloads: 1 },
  ]);
  assert.deepEqual(outOfDate, ['node node-1 is not connected', 'node node-2 is not connected']);
});

const lags: { name: string; client: ConnectionStatus; want: string[] }[] = [
  { name: 'that has everything is not told', client: connection(), want: [] },
  {
    name: 'that rejected something, with its reason',
    client: connection({}, { problem: 'shop/deny: no' }),
    want: ['node node-1 rejected istio.workload.Address: shop/deny: no'],
  },
  {
    name: 'with changes still to come, with their number',
    client: connection({}, { pending: 3, acknowledged: false }),
    want: ['node node-1 has 3 changes of istio.workload.Address still to come'],
  },
  {
    name: 'that has not answered yet',
    client: connection({}, { acknowledged: false }),
    want: ['node node-1 has not acknowledged the last istio.workload.Address'],
  },
  {
    name: 'that speaks for no node, by its identity',
    client: connection({ node: '', namespace: 'shop', serviceAccount: 'waypoint' }, { acknowledged: false }),
    want: ['shop/waypoint has not acknowledged the last istio.workload.Address'],
  },
];
for (const { name, client, want } of lags) {
  test(`out of date: a client ${name}`, () =>
    assert.deepEqual(controlStatus({ ...QUIET, connections: [client] }).outOfDate, want));
}

const waypoints: { name: string; state: WaypointState; client: ConnectionStatus[]; ready: boolean; want: string[] }[] = [
  { name: 'that runs and has everything is ready', state: waypoint(), client: [ofWaypoint()], ready: true, want: [] },
  {
    name: 'that runs and is not connected is not ready',
    state: waypoint(),
    client: [],
    ready: false,
    want: ['waypoint shop/waypoint is not up to date'],
  },
  {
    name: 'is not made ready by a client of another namespace, account or by an agent',
    state: waypoint(),
    client: [ofWaypoint({ namespace: 'x' }), ofWaypoint({ serviceAccount: 'x' }), ofWaypoint({ node: 'node-1' })],
    ready: false,
    want: ['waypoint shop/waypoint is not up to date'],
  },
  {
    name: 'that lags behind is not ready',
    state: waypoint(),
    client: [ofWaypoint({ upToDate: false })],
    ready: false,
    want: ['waypoint shop/waypoint is not up to date'],
  },
  {
    name: 'that starts is told as such',
    state: waypoint({ state: 'starting' }),
    client: [],
    ready: false,
    want: ['waypoint shop/waypoint is starting'],
  },
  {
    name: 'that does not run is told with the reason',
    state: waypoint({ state: 'stopped', problem: 'its process ended' }),
    client: [],
    ready: false,
    want: ['waypoint shop/waypoint does not run: its process ended'],
  },
];
for (const { name, state, client, ready, want } of waypoints) {
  test(`a waypoint ${name}`, () => {
    const status = controlStatus({ ...QUIET, waypoints: [state], connections: client });
    assert.deepEqual([status.waypoints[0]?.ready, status.outOfDate], [ready, want]);
  });
}

test('what could not be kept stands last among what is out of date', () => {
  const { outOfDate } = controlStatus({ ...QUIET, registered: new Map([['node-1', []]]), problems: ['no space left on device'] });
  assert.deepEqual(outOfDate, ['node node-1 is not connected', 'no space left on device']);
});
