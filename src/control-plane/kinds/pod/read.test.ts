import assert from 'node:assert/strict';
import test from 'node:test';
import { formatFieldPath } from '#control-plane/resources/finding.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { podKind } from './kind.ts';
import type { PodResource } from './schema.ts';

const parser = createResourceParser([podKind], new Map());

type Parts = { metadata?: object; spec?: object; status?: object };

function readingOf({ metadata = {}, spec = {}, status = { podIP: '10.0.0.1' } }: Parts) {
  return parser.read({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'shop', ...metadata }, spec, status });
}

/** The pod as it is read. Errors: AssertionError when it is rejected. */
function read(parts: Parts): PodResource {
  const reading = readingOf(parts);
  assert.ok(reading.kind === 'resource', JSON.stringify(reading));
  return reading.resource as PodResource;
}

test('what is not written has its default', () => {
  assert.deepEqual(read({}), {
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'shop', labels: {}, annotations: {}, createdAtMs: null, deleting: false },
    serviceAccount: 'default',
    node: '',
    addresses: ['10.0.0.1'],
    hostNetwork: false,
    finished: false,
    ready: true,
    namedPorts: {},
    ownerName: 'p',
  });
});

const READY = [{ type: 'Ready', status: 'True' }];
const states: { name: string; status: object; metadata?: object; ready: boolean; finished: boolean }[] = [
  { name: 'written by hand, without phase or conditions', status: {}, ready: true, finished: false },
  { name: 'running, without conditions', status: { phase: 'Running' }, ready: true, finished: false },
  { name: 'pending', status: { phase: 'Pending' }, ready: false, finished: false },
  { name: 'of unknown phase', status: { phase: 'Unknown' }, ready: false, finished: false },
  { name: 'with the condition Ready', status: { phase: 'Running', conditions: READY }, ready: true, finished: false },
  {
    name: 'with Ready False',
    status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'False' }] },
    ready: false,
    finished: false,
  },
  {
    name: 'with other conditions only',
    status: { phase: 'Running', conditions: [{ type: 'Initialized', status: 'True' }] },
    ready: false,
    finished: false,
  },
  { name: 'with an empty list of conditions', status: { phase: 'Running', conditions: [] }, ready: false, finished: false },
  { name: 'that succeeded', status: { phase: 'Succeeded' }, ready: false, finished: true },
  { name: 'that failed', status: { phase: 'Failed', conditions: READY }, ready: true, finished: true },
  {
    name: 'that is being deleted, though still ready',
    status: { conditions: READY },
    metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' },
    ready: false,
    finished: false,
  },
];
for (const { name, status, metadata = {}, ready, finished } of states) {
  test(`a pod ${name}: ${ready ? 'ready' : 'not ready'}${finished ? ', finished' : ''}`, () => {
    const pod = read({ metadata, status: { podIP: '10.0.0.1', ...status } });
    assert.deepEqual([pod.ready, pod.finished], [ready, finished]);
  });
}

const addresses: { name: string; status: object; want: string[] }[] = [
  { name: 'the one it has', status: { podIP: '10.0.0.1' }, want: ['10.0.0.1'] },
  {
    name: 'all of both families, in order, in one spelling',
    status: { podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.1' }, { ip: 'FD00:0::1' }] },
    want: ['10.0.0.1', 'fd00::1'],
  },
  { name: 'none of an empty list, so the single one', status: { podIP: '10.0.0.1', podIPs: [] }, want: ['10.0.0.1'] },
  { name: 'without the empty entries of a list', status: { podIPs: [{}, { ip: '10.0.0.1' }] }, want: ['10.0.0.1'] },
];
for (const { name, status, want } of addresses) {
  test(`addresses of a pod: ${name}`, () => assert.deepEqual(read({ status }).addresses, want));
}

const ports: { name: string; spec: object; want: Record<string, number> }[] = [
  { name: 'named TCP ports', spec: { containers: [{ ports: [{ name: 'http', containerPort: 80 }] }] }, want: { http: 80 } },
  { name: 'not those without a name', spec: { containers: [{ ports: [{ containerPort: 80 }] }] }, want: {} },
  {
    name: 'not those of UDP',
    spec: { containers: [{ ports: [{ name: 'dns', containerPort: 53, protocol: 'UDP' }] }] },
    want: {},
  },
  {
    name: 'of two containers the first with the name',
    spec: { containers: [{ ports: [{ name: 'http', containerPort: 80 }] }, { ports: [{ name: 'http', containerPort: 81 }] }] },
    want: { http: 80 },
  },
  {
    name: 'of sidecars, which are init containers that stay',
    spec: {
      initContainers: [
        { restartPolicy: 'Always', ports: [{ name: 'side', containerPort: 82 }] },
        { ports: [{ name: 'init', containerPort: 83 }] },
      ],
    },
    want: { side: 82 },
  },
];
for (const { name, spec, want } of ports) {
  test(`ports by name: ${name}`, () => assert.deepEqual(read({ spec }).namedPorts, want));
}

const owner = (kind: string, name: string, controller = true) => ({ kind, name, controller });
const owners: { name: string; metadata: object; want: string }[] = [
  { name: 'its own without an owner', metadata: {}, want: 'p' },
  {
    name: "its Deployment's, cut from its ReplicaSet's by the hash",
    metadata: { labels: { 'pod-template-hash': 'abc' }, ownerReferences: [owner('ReplicaSet', 'web-abc')] },
    want: 'web',
  },
  {
    name: "a ReplicaSet's that stands alone",
    metadata: { ownerReferences: [owner('ReplicaSet', 'web-abc')] },
    want: 'web-abc',
  },
  {
    name: "a ReplicaSet's whose name ends otherwise",
    metadata: { labels: { 'pod-template-hash': 'abc' }, ownerReferences: [owner('ReplicaSet', 'web-xyz')] },
    want: 'web-xyz',
  },
  { name: "a StatefulSet's", metadata: { ownerReferences: [owner('StatefulSet', 'db')] }, want: 'db' },
  {
    name: "its controller's, not the first owner's",
    metadata: { ownerReferences: [owner('Thing', 'a', false), owner('Job', 'b')] },
    want: 'b',
  },
  { name: "the first owner's without a controller", metadata: { ownerReferences: [owner('Thing', 'a', false)] }, want: 'a' },
];
for (const { name, metadata, want } of owners) {
  test(`the name of its workload: ${name}`, () => assert.equal(read({ metadata }).ownerName, want));
}

const mistakes: { name: string; parts: Parts; severity: string; at: string; says: RegExp }[] = [
  {
    name: 'an address that is none',
    parts: { status: { podIP: '10.0.0.300' } },
    severity: 'error',
    at: 'status.podIP',
    says: /"10.0.0.300" is not an IP address/,
  },
  {
    name: 'one of several',
    parts: { status: { podIPs: [{ ip: '10.0.0.1' }, { ip: 'x' }] } },
    severity: 'error',
    at: 'status.podIPs[1].ip',
    says: /"x" is not an IP address/,
  },
  { name: 'no address at all', parts: { status: {} }, severity: 'warning', at: 'status', says: /no endpoint of the mesh/ },
  {
    name: 'a port that is none',
    parts: { spec: { containers: [{ ports: [{ containerPort: 0 }] }] } },
    severity: 'error',
    at: 'spec.containers[0].ports[0].containerPort',
    says: /must be >= 1/,
  },
  {
    name: 'a phase that there is not',
    parts: { status: { podIP: '10.0.0.1', phase: 'Runing' } },
    severity: 'error',
    at: 'status.phase',
    says: /"Runing" is not one of/,
  },
  {
    name: 'a field that Kubernetes does not have',
    parts: { spec: { nodename: 'a' } },
    severity: 'warning',
    at: 'spec.nodename',
    says: /did you mean "nodeName"/,
  },
];
for (const { name, parts, severity, at, says } of mistakes) {
  test(`a pod with a mistake: ${name}`, () => {
    const reading = readingOf(parts);
    const [problem, ...others] = reading.problems;
    assert.deepEqual([problem?.severity, formatFieldPath(problem?.path ?? []), others], [severity, at, []]);
    assert.match(problem?.message ?? '', says);
    assert.equal(reading.kind, severity === 'error' ? 'rejected' : 'resource');
  });
}
