import assert from 'node:assert/strict';
import test from 'node:test';
import { CHECK } from '#model/settings/checks.ts';
import { type CheckFinding, foundAs, reportOf } from './finding.ts';
import { type MachineFacts, machineFindings } from './machine.ts';
import { type NetworkFacts, networkFindings, portFindings } from './network.ts';
import {
  type AgentView,
  agentFindings,
  agentsHere,
  type ControlView,
  controlFindings,
  resourceFindings,
  versionGap,
} from './parts.ts';
import { type PlaceFacts, placeFindings, socketPathFindings } from './places.ts';
import { type ControlAnswer, type JoinFacts, joinFindings, rootFindings } from './trust.ts';

const NOW_MS = Date.parse('2026-03-01T12:00:00Z');
const DAY_MS = 86_400_000;
const codes = (findings: readonly CheckFinding[]): string[] => findings.map(({ code }) => code);

const MACHINE: MachineFacts = {
  features: [],
  lacksCapabilities: [],
  lacksPrograms: [],
  bpffs: { path: '/sys/fs/bpf', state: 'mountable' },
  jit: '1',
  openFiles: [{ who: 'a process', max: CHECK.openFilesMin }],
  memoryBytes: CHECK.memoryMinBytes,
};
const LACK = { feature: 'rings', since: '5.8', loss: 'all', fatal: true };

test('H17: of a machine in good order nothing is found, also where little can be seen', () => {
  assert.deepEqual(machineFindings(MACHINE), []);
  assert.deepEqual(machineFindings({ ...MACHINE, features: null, jit: null, openFiles: [], memoryBytes: null }), []);
});

const machines: { name: string; facts: Partial<MachineFacts>; code: string }[] = [
  { name: 'a feature that it cannot do without', facts: { features: [LACK] }, code: 'WEFT_KERNEL' },
  { name: 'another feature', facts: { features: [{ ...LACK, fatal: false }] }, code: 'WEFT_CHECK_KERNEL_FEATURE' },
  { name: 'an interpreter', facts: { jit: '0' }, code: 'WEFT_CHECK_JIT' },
  { name: 'little memory', facts: { memoryBytes: CHECK.memoryMinBytes - 1 }, code: 'WEFT_CHECK_MEMORY' },
  { name: 'few files', facts: { openFiles: [{ who: 'it', max: CHECK.openFilesMin - 1 }] }, code: 'WEFT_CHECK_OPEN_FILES' },
  { name: 'a file for a file system', facts: { bpffs: { path: '/x', state: 'unmountable' } }, code: 'WEFT_CHECK_BPFFS' },
];
for (const { name, facts, code } of machines)
  test(`H17: ${name} is ${code}`, () => assert.deepEqual(codes(machineFindings({ ...MACHINE, ...facts })), [code]));

const LISTENERS = [
  { address: '127.0.0.1', other: '127.0.0.1', taken: true },
  { address: '0.0.0.0', other: '127.0.0.1', taken: true },
  { address: '::', other: '127.0.0.1', taken: true },
  { address: '10.0.0.2', other: '127.0.0.1', taken: false },
  { address: '127.0.0.1', other: 'localhost', taken: true },
];
for (const { address, other, taken } of LISTENERS)
  test(`H17: a listener on ${address} ${taken ? 'is' : 'is not'} in the way of one on ${other}`, () => {
    const wanted = [{ purpose: 'x', host: other, port: 9, isPage: false }];
    const listeners = [{ address, port: 9, pid: 1, holder: 'nc (pid 1)' }];
    assert.deepEqual(codes(portFindings(wanted, listeners, [100, 200])), taken ? ['WEFT_CHECK_PORT'] : []);
  });

const NETWORK: NetworkFacts = {
  loopbackUp: true,
  sysctlWritable: true,
  ipv6Disabled: false,
  outgoingPorts: null,
  ranges: [],
  uplinks: [{ device: 'eth0', rpFilter: 1 }],
  bridges: [{ node: 'one', bridge: 'weft-1', forwards: true }],
  droppingChains: [],
  nameservers: [
    { address: '10.0.0.1', answers: false },
    { address: '10.0.0.2', answers: true },
  ],
};

test('H17: one way to others may be strict, and one DNS server that replies is enough', () => {
  assert.deepEqual(networkFindings(NETWORK, []), []);
});

const PLACE: PlaceFacts = {
  purpose: 'state',
  path: '/s',
  open: [],
  writable: 'yes',
  freeBytes: CHECK.diskMinBytes,
  freeFiles: null,
  foreign: null,
};
const places: { name: string; facts: Partial<PlaceFacts>; found: string[] }[] = [
  { name: 'a good one', facts: {}, found: [] },
  { name: 'one without inodes', facts: { freeFiles: 3 }, found: ['WEFT_CHECK_DISK_FULL'] },
  { name: 'one of somebody', facts: { open: [{ path: '/s', mode: 0o700, owner: 7 }] }, found: ['WEFT_CHECK_PERMISSIONS'] },
  { name: 'logs without room', facts: { purpose: 'logs', freeBytes: 0 }, found: ['WEFT_CHECK_LOG_DISK'] },
  { name: 'one that root may not write', facts: { writable: 'refused' }, found: ['WEFT_CHECK_READ_ONLY'] },
];
for (const { name, facts, found } of places)
  test(`H17: of directories ${name}: ${found.join() || 'nothing'}`, () =>
    assert.deepEqual(codes(placeFindings({ ...PLACE, ...facts })), found));

test('H17: a socket has a path of 107 bytes at most', () => {
  assert.deepEqual(socketPathFindings(`/${'a'.repeat(106)}`), []);
  assert.deepEqual(codes(socketPathFindings(`/${'ä'.repeat(54)}`)), ['WEFT_SOCKET_PATH']);
});

const ROOT = { kind: 'read', path: '/root.pem', fromMs: NOW_MS - DAY_MS, untilMs: NOW_MS + 900 * DAY_MS, key: null } as const;
const ANSWER: ControlAnswer = { kind: 'answered', trust: 'trusted', reason: '', clockMs: NOW_MS, nowMs: NOW_MS };
const JOIN: JoinFacts = {
  node: 'one',
  address: 'control:15012',
  root: ROOT,
  token: { kind: 'read', path: '/token', node: 'one', issuedMs: NOW_MS - DAY_MS, untilMs: NOW_MS + 2 * DAY_MS },
  answer: ANSWER,
};
const tokenUntil = (untilMs: number): Partial<JoinFacts> => ({ token: { ...JOIN.token, untilMs } as JoinFacts['token'] });
const joins: { name: string; facts: Partial<JoinFacts>; found: string[] }[] = [
  { name: 'all is well', facts: {}, found: [] },
  { name: 'the token is in its last third', facts: tokenUntil(NOW_MS + DAY_MS / 4), found: ['WEFT_CHECK_TOKEN_SOON'] },
  { name: 'the token has ended', facts: tokenUntil(NOW_MS), found: ['WEFT_CHECK_TOKEN_EXPIRED'] },
  { name: 'the clocks differ by a minute', facts: { answer: { ...ANSWER, clockMs: NOW_MS - 60_000 } }, found: [] },
  { name: 'they differ by more', facts: { answer: { ...ANSWER, clockMs: NOW_MS - 61_000 } }, found: ['WEFT_CHECK_CLOCK_SKEW'] },
  {
    name: 'its certificate has another name',
    facts: { answer: { ...ANSWER, trust: 'wrong-name' } },
    found: ['WEFT_CHECK_SERVER_NAME'],
  },
  {
    name: 'its certificate is not valid yet',
    facts: { answer: { ...ANSWER, trust: 'expired' } },
    found: ['WEFT_CHECK_CLOCK_SKEW'],
  },
  {
    name: 'the root cannot be read, nothing is said of who it vouches for',
    facts: { root: { kind: 'unreadable', path: '/r', reason: 'x' }, answer: { ...ANSWER, trust: 'wrong-root' } },
    found: ['WEFT_CONTROL_FILE'],
  },
];
for (const { name, facts, found } of joins)
  test(`H17: of a node that joins: when ${name}`, () =>
    assert.deepEqual(codes(joinFindings({ ...JOIN, ...facts }, NOW_MS)), found));

test('H17: an authority without its key cannot sign, and its certificate is told a month ahead', () => {
  const root = { ...ROOT, key: 'missing', untilMs: NOW_MS + CHECK.rootWarnMs - 1 } as const;
  assert.deepEqual(codes(rootFindings(root, true, NOW_MS)), ['WEFT_CA_SIGNER', 'WEFT_CHECK_ROOT_SOON']);
});

const AGENT: AgentView = {
  node: 'one',
  version: '1.2.0',
  controlPlane: { address: 'c:1', connected: true, syncedAt: '', error: null },
  certificates: [{ identity: 'web', notAfter: '2026-03-02T00:00:00Z', error: null }],
  enrolled: [{ namespace: 'shop', name: 'web', problem: null }],
  degraded: [],
};
const agents: { name: string; view: Partial<AgentView>; found: string[] }[] = [
  { name: 'a good one', view: {}, found: [] },
  {
    name: 'one whose certificate has expired, and whose workload waits',
    view: {
      certificates: [{ identity: 'web', notAfter: '2026-03-01T00:00:00Z', error: 'refused' }],
      enrolled: [{ namespace: 'shop', name: 'web', problem: 'it waits' }],
    },
    found: ['WEFT_CHECK_CERTIFICATE_EXPIRED', 'WEFT_CHECK_WORKLOAD'],
  },
  {
    name: 'one that is cut off and does without something',
    view: {
      controlPlane: { ...AGENT.controlPlane, connected: false, error: 'refused' },
      certificates: [{ identity: 'web', notAfter: '2026-03-02T00:00:00Z', error: 'refused' }],
      degraded: ['no nft'],
    },
    found: ['WEFT_CHECK_NOT_CONNECTED', 'WEFT_CHECK_CERTIFICATE_RENEWAL', 'WEFT_CHECK_DEGRADED'],
  },
];
for (const { name, view, found } of agents)
  test(`H17: of agents ${name}`, () => {
    assert.deepEqual(codes(agentFindings({ kind: 'up', status: { ...AGENT, ...view } }, '1.2.0', NOW_MS)), found);
  });

test('H17: an agent is silent while its process holds the node, and gone after; nodes of others count when they are dead', () => {
  const holding = { pid: 1, bpffs: '/b', cgroup: '', bridge: '', pool4: '', pool6: '', netns: '', runDir: '/run/weft' };
  const known = [
    { ...holding, node: 'silent', state: 'alive' as const },
    { ...holding, node: 'dead', state: 'dead' as const },
    { ...holding, node: 'elsewhere', runDir: '/run/2', state: 'alive' as const },
    { ...holding, node: 'up', state: 'alive' as const },
  ];
  const answers = [
    { kind: 'up' as const, status: { ...AGENT, node: 'up' } },
    { kind: 'down' as const, node: 'silent', error: 'no answer' },
    { kind: 'down' as const, node: 'unknown', error: 'ECONNREFUSED' },
  ];
  const found = agentsHere(answers, known, '/run/weft').map((agent) => [
    agent.kind,
    agent.kind === 'up' ? agent.status.node : agent.node,
  ]);
  assert.deepEqual(found, [
    ['up', 'up'],
    ['gone', 'unknown'],
    ['silent', 'silent'],
    ['gone', 'dead'],
  ]);
});

const CONTROL: ControlView = { version: '1.2.0', rivals: [], waypoints: [], findings: [], outOfDate: [] };

test('H17: of a control plane: a node that is there twice, a waypoint that does not run, what lags behind', () => {
  const status = {
    ...CONTROL,
    rivals: [{ node: 'one', from: '10.0.0.1', also: '10.0.0.2' }],
    waypoints: [{ namespace: 'shop', gateway: 'w', state: 'stopped', problem: 'it ended' }],
    outOfDate: ['agent one lags behind'],
  };
  const found = controlFindings({ kind: 'up', status }, '1.2.0');
  assert.deepEqual(codes(found), ['WEFT_CHECK_NODE_TWICE', 'WEFT_CHECK_WAYPOINT', 'WEFT_CHECK_BEHIND']);
  assert.match(found[0]?.message ?? '', /node one is at 10\.0\.0\.1, and 10\.0\.0\.2 came with its token/);
  assert.deepEqual(controlFindings({ kind: 'absent' }, '1.2.0'), []);
});

const versions = [
  { a: '1.2.0', b: '1.2.0', gap: 'none' },
  { a: '1.2.0', b: '1.2.9', gap: 'small' },
  { a: '1.2.0', b: '1.3.0', gap: 'small' },
  { a: '1.4.0', b: '1.2.0', gap: 'large' },
  { a: '2.2.0', b: '1.2.0', gap: 'large' },
  { a: 'unknown', b: '1.2.0', gap: 'small' },
];
for (const { a, b, gap } of versions) test(`H17: ${a} and ${b}: ${gap}`, () => assert.equal(versionGap(a, b), gap));

test('H17: findings of resources keep their code, and the worst of all decides', () => {
  const resource = {
    code: 'WEFT_FIELD_UNKNOWN',
    severity: 'error',
    resource: 'Service a/b',
    fieldPath: 'spec.x',
    message: 'no',
    remedy: 'y',
  } as const;
  const [finding] = resourceFindings([{ ...resource, origin: { kind: 'file', file: 'a.yaml', line: 3 } }]);
  assert.equal(finding?.message, 'a.yaml:3: Service a/b spec.x: no');
  const warning = foundAs('WEFT_CHECK_JIT', 'machine', 'x', 'y');
  assert.equal(reportOf([warning]).level, 'warning');
  const { level, areas } = reportOf(finding === undefined ? [] : [warning, finding]);
  assert.equal(level, 'error');
  assert.deepEqual(
    areas.filter((area) => area.level !== 'ok').map(({ area }) => area),
    ['machine', 'configuration'],
  );
});
