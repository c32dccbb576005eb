import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ProbedContainer, probedPorts } from './probed-ports.ts';

const cases: { name: string; containers: ProbedContainer[]; ports: number[] }[] = [
  { name: 'no probe', containers: [{ ports: [{ name: 'web', containerPort: 80 }] }], ports: [] },
  { name: 'HTTP by number', containers: [{ readinessProbe: { httpGet: { port: 8080 } } }], ports: [8080] },
  {
    name: 'TCP by name',
    containers: [{ ports: [{ name: 'web', containerPort: 80 }], livenessProbe: { tcpSocket: { port: 'web' } } }],
    ports: [80],
  },
  { name: 'gRPC', containers: [{ startupProbe: { grpc: { port: 9000 } } }], ports: [9000] },
  {
    name: 'hooks',
    containers: [{ lifecycle: { postStart: { httpGet: { port: 1 } }, preStop: { tcpSocket: { port: 2 } } } }],
    ports: [1, 2],
  },
  {
    name: 'each once, of all containers',
    containers: [
      { readinessProbe: { httpGet: { port: 90 } } },
      { livenessProbe: { httpGet: { port: 90 }, tcpSocket: { port: 80 } } },
    ],
    ports: [80, 90],
  },
  { name: 'another host', containers: [{ readinessProbe: { httpGet: { port: 8080, host: '192.0.2.1' } } }], ports: [] },
  {
    name: 'a name of another container',
    containers: [{ readinessProbe: { httpGet: { port: 'web' } } }, { ports: [{ name: 'web', containerPort: 80 }] }],
    ports: [],
  },
  { name: 'a number as a text', containers: [{ readinessProbe: { httpGet: { port: '8080' } } }], ports: [8080] },
  { name: 'no port', containers: [{ readinessProbe: { httpGet: { port: 0 } }, livenessProbe: { httpGet: {} } }], ports: [] },
];
for (const { name, containers, ports } of cases) {
  test(`probed ports: ${name}`, () => assert.deepEqual(probedPorts(containers), ports));
}
