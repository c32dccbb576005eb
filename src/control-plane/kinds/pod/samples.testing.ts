import fc from 'fast-check';
import { anyLabels, anyWaypointLabels, documents } from '#control-plane/mesh/small-world.testing.ts';

/** Pods in every state of life, some with an address that services are given too. */
export const samples: fc.Arbitrary<object> = documents(
  'v1',
  'Pod',
  fc.tuple(anyLabels, anyWaypointLabels).map(([own, bound]) => ({ labels: { ...own, ...bound } })),
  fc.constantFrom<object>(
    { spec: {}, status: { podIP: '10.0.0.1' } },
    { spec: { nodeName: 'n1' }, status: { podIP: '10.0.0.3' } },
    { spec: { containers: [{ ports: [{ name: 'http', containerPort: 8080 }] }] }, status: { podIP: '10.0.0.2' } },
    { spec: {}, status: { podIP: '240.240.0.9', phase: 'Pending' } },
    { spec: {}, status: { podIP: '10.0.0.1', phase: 'Failed' } },
  ),
);
