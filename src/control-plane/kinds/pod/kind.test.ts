import assert from 'node:assert/strict';
import test from 'node:test';
import { findingsOf, type Mistake, readSpec, testMistakes } from '#control-plane/kinds/documents.testing.ts';
import type { PodResource } from './schema.ts';

const mistakes: Mistake[] = [
  {
    name: 'an unknown field of a kind that Weft reads in part',
    severity: 'warning',
    spec: '{ contaners: [] }\nstatus: { podIP: 10.0.0.1 }',
    at: 'spec.contaners',
    says: /did you mean "containers"/,
    remedy: /^write containers$/,
  },
  {
    name: 'a pod without address',
    severity: 'warning',
    spec: '{ containers: [] }',
    at: 'status',
    says: /no address/,
    remedy: /weft run/,
  },
  {
    name: 'an address that is none',
    spec: '{}\nstatus: { podIP: 10.0.0.300 }',
    at: 'status.podIP',
    says: /"10.0.0.300" is not an IP address/,
    remedy: /IPv4 or IPv6/,
  },
  {
    name: 'one address of several that is none',
    spec: '{}\nstatus: { podIPs: [{ ip: 10.0.0.1 }, { ip: x }] }',
    at: 'status.podIPs[1].ip',
    says: /"x" is not an IP address/,
    remedy: /IPv4 or IPv6/,
  },
  {
    name: 'a container port out of range',
    spec: '{ containers: [{ ports: [{ containerPort: 0 }] }] }\nstatus: { podIP: 10.0.0.1 }',
    at: 'spec.containers[0].ports[0].containerPort',
    says: /0 must be >= 1/,
    remedy: /limit of 1/,
  },
  {
    name: 'a protocol that is none',
    spec: '{ containers: [{ ports: [{ containerPort: 80, protocol: HTTP }] }] }\nstatus: { podIP: 10.0.0.1 }',
    at: 'spec.containers[0].ports[0].protocol',
    says: /"HTTP" is not one of TCP, UDP, SCTP/,
    remedy: /TCP/,
  },
  {
    name: 'a phase that is none',
    spec: '{}\nstatus: { phase: Sleeping, podIP: 10.0.0.1 }',
    at: 'status.phase',
    says: /"Sleeping" is not one of/,
    remedy: /Running/,
  },
];
testMistakes('Pod', mistakes);

const ADDRESS = 'status: { podIP: 10.0.0.1 }';

const readings: { name: string; spec: string; head?: string; want: Partial<PodResource> }[] = [
  {
    name: 'a bare pod',
    spec: `{}\n${ADDRESS}`,
    want: {
      serviceAccount: 'default',
      node: '',
      hostNetwork: false,
      finished: false,
      ready: true,
      namedPorts: {},
      ownerName: 'x',
    },
  },
  {
    name: 'where it runs and as whom',
    spec: `{ nodeName: n1, serviceAccountName: cart, hostNetwork: true }\n${ADDRESS}`,
    want: { node: 'n1', serviceAccount: 'cart', hostNetwork: true },
  },
  { name: 'an empty service account', spec: `{ serviceAccountName: "" }\n${ADDRESS}`, want: { serviceAccount: 'default' } },
  { name: 'running', spec: '{}\nstatus: { phase: Running, podIP: 10.0.0.1 }', want: { ready: true, finished: false } },
  { name: 'pending', spec: '{}\nstatus: { phase: Pending, podIP: 10.0.0.1 }', want: { ready: false, finished: false } },
  { name: 'succeeded', spec: '{}\nstatus: { phase: Succeeded, podIP: 10.0.0.1 }', want: { finished: true } },
  { name: 'failed', spec: '{}\nstatus: { phase: Failed, podIP: 10.0.0.1 }', want: { finished: true } },
  {
    name: 'a condition that says ready',
    spec: '{}\nstatus: { phase: Pending, podIP: 10.0.0.1, conditions: [{ type: Ready, status: "True" }] }',
    want: { ready: true },
  },
  {
    name: 'a condition that says not ready',
    spec: '{}\nstatus: { phase: Running, podIP: 10.0.0.1, conditions: [{ type: Ready, status: "False" }] }',
    want: { ready: false },
  },
  {
    name: 'conditions without that of being ready',
    spec: '{}\nstatus: { phase: Running, podIP: 10.0.0.1, conditions: [{ type: Initialized, status: "True" }] }',
    want: { ready: false },
  },
  {
    name: 'a pod that is being deleted',
    spec: `{}\n${ADDRESS}`,
    head: 'deletionTimestamp: 2026-01-01T00:00:00Z',
    want: { ready: false },
  },
  {
    name: 'ports by name: the first of a name, TCP only, sidecars too',
    spec: `{ containers: [{ ports: [{ name: http, containerPort: 80 }, { name: dns, containerPort: 53, protocol: UDP }] }, { ports: [{ name: http, containerPort: 81 }] }], initContainers: [{ restartPolicy: Always, ports: [{ name: side, containerPort: 90 }] }, { ports: [{ name: init, containerPort: 91 }] }] }\n${ADDRESS}`,
    want: { namedPorts: { http: 80, side: 90 } },
  },
  {
    name: 'what a ReplicaSet of a Deployment made',
    spec: `{}\n${ADDRESS}`,
    head: 'labels: { pod-template-hash: abc }, ownerReferences: [{ kind: ReplicaSet, name: cart-abc, controller: true }]',
    want: { ownerName: 'cart' },
  },
  {
    name: 'what a plain ReplicaSet made',
    spec: `{}\n${ADDRESS}`,
    head: 'ownerReferences: [{ kind: ReplicaSet, name: cart-abc, controller: true }]',
    want: { ownerName: 'cart-abc' },
  },
  {
    name: 'the controller among several owners',
    spec: `{}\n${ADDRESS}`,
    head: 'ownerReferences: [{ kind: Node, name: n1 }, { kind: DaemonSet, name: proxy, controller: true }]',
    want: { ownerName: 'proxy' },
  },
];
for (const { name, spec, head = '', want } of readings) {
  test(`reads ${name}`, () => {
    const pod = readSpec<PodResource>('Pod', spec, head);
    assert.deepEqual({ ...pod, ...want }, pod);
  });
}

test('podIPs beat podIP, and keep their order', () => {
  const pod = readSpec<PodResource>('Pod', '{}\nstatus: { podIP: 10.0.0.9, podIPs: [{ ip: "fd00::1" }, { ip: 10.0.0.1 }] }');
  assert.deepEqual(pod.addresses, ['fd00::1', '10.0.0.1']);
});

test('an empty list of podIPs leaves podIP', () => {
  assert.deepEqual(readSpec<PodResource>('Pod', '{}\nstatus: { podIP: 10.0.0.9, podIPs: [] }').addresses, ['10.0.0.9']);
});

test('fields that Weft has no use for are no mistake, those nobody knows are', () => {
  const known = '{ tolerations: [], volumes: [], containers: [{ image: a, env: [], livenessProbe: {} }] }';
  assert.deepEqual(findingsOf('Pod', `${known}\n${ADDRESS}`), []);
  assert.deepEqual(findingsOf('Pod', `{ containers: [{ imag: a }] }\n${ADDRESS}`), [
    'warning WEFT_FIELD_UNKNOWN spec.containers[0].imag',
  ]);
});
