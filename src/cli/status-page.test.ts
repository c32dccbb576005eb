import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import type { AgentStatus } from '#protocol/api/agent.ts';
import type { ControlStatus } from '#protocol/api/control.ts';
import { matchesGolden } from '../../test/structure/golden.ts';
import { complaintsOf, type StatusReport, workloadsOf } from './status.ts';
import { formatStatus } from './status-page.ts';

const NOW_MS = Date.parse('2026-03-01T12:00:00Z');
const identityOf = (account: string) => `spiffe://cluster.local/ns/shop/sa/${account}`;
const uidOf = (name: string) => `Kubernetes/weft.dev/Workload/shop/${name}`;

function agent(node: string, paths: { web: string; db: string }, changes: Partial<AgentStatus> = {}): AgentStatus {
  const workload = (name: string, on: string, path: string) => ({
    uid: uidOf(name),
    identity: identityOf(name),
    node: on,
    addresses: [`10.41.0.${name.length}`],
    path,
  });
  return {
    node,
    version: '0.1.0',
    pid: 4321,
    certificates: [{ identity: identityOf('web'), notAfter: '2026-03-02T11:00:00Z', renewing: false, error: null }],
    controlPlane: { address: '127.0.0.1:15012', connected: true, syncedAt: '2026-03-01T11:59:55Z', error: null },
    enrolled: [
      {
        uid: uidOf('web'),
        name: 'web',
        namespace: 'shop',
        serviceAccount: 'web',
        addresses: ['10.41.0.3'],
        published: [],
        ready: true,
        problem: null,
      },
    ],
    workloads: [workload('web', 'node-1', paths.web), workload('db', 'node-2', paths.db)],
    services: 2,
    policies: 1,
    kernel: { pinDir: '/sys/fs/bpf/weft/node-1', generation: 7, liveDirectFlows: 3, verdicts: 12, counters: {} },
    metrics: '127.0.0.1:15020',
    degraded: [],
    ...changes,
  };
}

const CONTROL: ControlStatus = {
  pid: 4320,
  version: '1.2.3',
  startedAt: '2026-03-01T09:00:00Z',
  address: '127.0.0.1:15012',
  trustDomain: 'cluster.local',
  rootNamespace: 'istio-system',
  replica: null,
  resources: { addresses: 4, policies: 1, waypoints: 1 },
  nodes: [{ node: 'node-1', connected: true, registeredWorkloads: 1 }],
  connections: [],
  waypoints: [{ namespace: 'shop', gateway: 'waypoint', state: 'running', ready: true, restarts: 0, problem: null }],
  findings: [],
  rivals: [],
  conditions: [],
  outOfDate: [],
};

const WELL: StatusReport = {
  version: '0.1.0',
  nowMs: NOW_MS,
  nodes: [
    { kind: 'up', status: agent('node-1', { web: 'direct', db: 'hbone' }) },
    { kind: 'up', status: agent('node-2', { web: 'hbone', db: 'direct' }, { lookups: { known: 12, unknown: 3, open: 1 } }) },
  ],
  control: { kind: 'up', status: CONTROL },
};

const BADLY: StatusReport = {
  version: '0.1.0',
  nowMs: NOW_MS,
  nodes: [
    {
      kind: 'up',
      status: agent(
        'node-1',
        { web: 'direct', db: 'unknown' },
        {
          version: '0.0.9',
          controlPlane: { address: '127.0.0.1:15012', connected: false, syncedAt: null, error: 'connect ECONNREFUSED' },
          certificates: [
            { identity: identityOf('web'), notAfter: '2026-03-01T11:00:00Z', renewing: true, error: 'the control plane is away' },
            { identity: identityOf('db'), notAfter: '', renewing: true, error: 'the control plane is away' },
          ],
          degraded: ['bpf_set_retval is missing: a refused connect() fails with EPERM'],
        },
      ),
    },
    { kind: 'down', node: 'node-2', error: 'connect ECONNREFUSED /run/weft/node-2/agent.sock' },
  ],
  control: {
    kind: 'up',
    status: {
      ...CONTROL,
      waypoints: [{ namespace: 'shop', gateway: 'waypoint', state: 'starting', ready: false, restarts: 3, problem: 'no agent' }],
      findings: [
        {
          code: 'WEFT_FIELD_INVALID',
          severity: 'error',
          origin: { kind: 'file', file: 'mesh/deny.yaml', line: 7, column: 5 },
          resource: 'AuthorizationPolicy shop/deny',
          fieldPath: 'spec.action',
          message: '"DENNY" is not an action',
          remedy: 'write DENY',
        },
        {
          code: 'WEFT_WORKLOAD_DUPLICATE',
          severity: 'warning',
          origin: { kind: 'object', object: { kind: 'Workload', namespace: 'shop', name: 'db' }, fieldPath: '' },
          resource: 'Workload shop/db',
          fieldPath: '',
          message: 'nodes node-1 and node-2 both run it',
          remedy: 'stop one of them',
        },
      ],
      outOfDate: ['waypoint shop/waypoint does not run: no agent'],
    },
  },
};

const pages: { name: string; report: StatusReport }[] = [
  { name: 'well', report: WELL },
  { name: 'badly', report: BADLY },
  { name: 'control-down', report: { ...WELL, control: { kind: 'down', error: 'connect ECONNREFUSED /run/weft/control.sock' } } },
  { name: 'agent-only', report: { ...WELL, nodes: WELL.nodes.slice(0, 1), control: { kind: 'absent' } } },
];
for (const { name, report } of pages) {
  test(`the status page of a mesh: ${name}`, async () =>
    matchesGolden(join(import.meta.dirname, `golden/status-${name}.txt`), await formatStatus(report)));
}

test('a mesh that is well has no complaints', () => assert.deepEqual(complaintsOf(WELL), []));

test('a path is told once where all nodes agree, and per node where they do not', () => {
  const paths = workloadsOf(WELL).map(({ uid, path }) => [uid, path]);
  assert.deepEqual(paths, [
    [uidOf('web'), 'direct from node-1; hbone from node-2'],
    [uidOf('db'), 'hbone from node-1; direct from node-2'],
  ]);
  const alone = workloadsOf({ ...WELL, nodes: WELL.nodes.slice(0, 1) }).map(({ path }) => path);
  assert.deepEqual(alone, ['direct', 'hbone']);
});

test('B72: the wide page says of each node whether it asks on demand, and what it was answered', async () => {
  const page = await formatStatus(WELL, 'wide');
  const ends = page.split('\n').filter((line) => /^ {2}node-\d /.test(line));
  assert.match(ends[0] ?? '', /unknown +no$/);
  assert.match(ends[1] ?? '', /12 known, 3 of nobody, 1 open$/);
});
