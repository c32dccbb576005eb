import assert from 'node:assert/strict';
import test from 'node:test';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import { type ClusterFacts, type ClusterPod, clusterFindings } from './cluster.ts';

const LATE_MS = KUBERNETES.takenInMs + 1;
const POD: ClusterPod = {
  ...{ namespace: 'shop', name: 'web', labels: { app: 'web' }, node: 'node-a', agoMs: LATE_MS },
  ...{ ports: {}, isMarked: true, hostNetwork: false, hasSidecar: false },
};
const CLUSTER: ClusterFacts = {
  version: { major: 1, minor: 30 },
  hasGateways: true,
  security: 'privileged',
  otherAgents: [],
  control: { name: 'weft-control', wanted: 1, ready: 1 },
  agents: { name: 'weft-agent', wanted: 1, ready: 1 },
  leader: 'weft-control-1',
  nodes: ['node-a'],
  agentNodes: new Set(['node-a']),
  images: new Set(['weft:1']),
  namespaces: new Map([
    ['shop', { 'istio.io/dataplane-mode': 'ambient' }],
    ['bank', {}],
  ]),
  pods: [POD, { ...POD, namespace: 'bank', isMarked: false }],
  policies: [],
  apiCalls: { calls: [], services: [], peers: [] },
};
const POLICY = { namespace: 'shop', name: 'only-http', selects: { app: 'web' }, ports: [[{ from: 8080, to: 8080 }]] };
const part = { name: 'x', wanted: 2, ready: 1 };
const label = (mode: string) => ({ 'istio.io/dataplane-mode': mode });

test('K153: of a cluster in good order nothing is found', () => assert.deepEqual(clusterFindings(CLUSTER), []));

const broken: { name: string; facts: Partial<ClusterFacts>; finds: string[] }[] = [
  { name: 'an old API server', facts: { version: { major: 1, minor: 29 } }, finds: ['VERSION'] },
  { name: 'no definitions', facts: { hasGateways: false }, finds: ['DEFINITIONS'] },
  { name: 'pod security', facts: { security: 'restricted' }, finds: ['SECURITY'] },
  { name: 'agents of another mesh by the same label', facts: { otherAgents: ['istio-system/ztunnel'] }, finds: ['OTHER_MESH'] },
  {
    name: 'agents of another mesh that look at another label: nothing',
    facts: { otherAgents: ['istio-system/ztunnel'], namespaces: new Map([['shop', label('weft')]]) },
    finds: [],
  },
  { name: 'no control plane', facts: { control: null, leader: '' }, finds: ['ABSENT'] },
  {
    name: 'no agents, and marks that they have left',
    facts: { agents: null, agentNodes: new Set() },
    finds: ['ABSENT', 'MARK'],
  },
  { name: 'a control plane that is not ready', facts: { control: part }, finds: ['NOT_READY'] },
  { name: 'no leader', facts: { leader: '' }, finds: ['NO_LEADER'] },
  { name: 'a node without an agent', facts: { nodes: ['node-a', 'node-b'] }, finds: ['NODE'] },
  { name: 'two images', facts: { images: new Set(['weft:1', 'weft:2']) }, finds: ['IMAGES'] },
  {
    name: 'a label of a namespace that is misspelt',
    facts: { namespaces: new Map([['shop', label('ambiant')]]), pods: [] },
    finds: ['LABEL'],
  },
  { name: 'the same of a pod', facts: { pods: [{ ...POD, labels: label('yes'), isMarked: false }] }, finds: ['LABEL'] },
  { name: 'a pod that is not in the mesh', facts: { pods: [{ ...POD, isMarked: false }] }, finds: ['POD'] },
  { name: 'one that has just started: nothing', facts: { pods: [{ ...POD, isMarked: false, agoMs: 0 }] }, finds: [] },
  { name: 'one that has ended: nothing', facts: { pods: [{ ...POD, isMarked: false, agoMs: null }] }, finds: [] },
  {
    name: 'one that is not in the mesh where there are no agents: that alone',
    facts: { agents: null, agentNodes: new Set(), pods: [{ ...POD, isMarked: false }] },
    finds: ['ABSENT'],
  },
  { name: 'a mark of a pod that nobody means', facts: { pods: [{ ...POD, namespace: 'bank' }] }, finds: ['MARK'] },
  { name: 'a policy that lets no tunnels in', facts: { policies: [POLICY] }, finds: ['POLICY'] },
  { name: 'one that lets nobody in', facts: { policies: [{ ...POLICY, ports: [] }] }, finds: ['POLICY'] },
  { name: 'one of all ports: nothing', facts: { policies: [{ ...POLICY, ports: [null] }] }, finds: [] },
  {
    name: 'one beside another that lets tunnels in: nothing',
    facts: { policies: [POLICY, { ...POLICY, ports: [[{ from: 15_000, to: 16_000 }]] }] },
    finds: [],
  },
  { name: 'one of other pods: nothing', facts: { policies: [{ ...POLICY, selects: { app: 'db' } }] }, finds: [] },
  { name: 'one that selects by expressions is not judged', facts: { policies: [{ ...POLICY, selects: null }] }, finds: [] },
];
for (const { name, facts, finds } of broken)
  test(`K153: ${name}`, () =>
    assert.deepEqual(
      clusterFindings({ ...CLUSTER, ...facts }).map(({ code }) => code),
      finds.map((code) => `WEFT_CHECK_CLUSTER_${code}`),
    ));
