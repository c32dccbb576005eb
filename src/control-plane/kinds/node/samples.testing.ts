import fc from 'fast-check';

/** Nodes in a zone, and nodes of which nothing is said: one of pods, one that registers workloads. */
export const samples: fc.Arbitrary<object> = fc
  .record({
    name: fc.constantFrom('n1', 'alpha'),
    labels: fc.constantFrom<Record<string, string>>(
      {},
      { 'topology.kubernetes.io/region': 'r', 'topology.kubernetes.io/zone': 'a' },
      { 'topology.kubernetes.io/region': 'r', 'topology.kubernetes.io/zone': 'b', 'topology.istio.io/subzone': 's' },
    ),
  })
  .map((metadata) => ({ apiVersion: 'v1', kind: 'Node', metadata }));
