import fc from 'fast-check';
import { anySelector, documents } from '#control-plane/mesh/small-world.testing.ts';

/** Rules whose hosts exist or do not, whose subsets have endpoints or none, and which meet one another. */
export const samples: fc.Arbitrary<object> = documents(
  'networking.istio.io/v1',
  'DestinationRule',
  fc.constant({}),
  fc
    .tuple(
      fc.constantFrom('a', 'b', 'wya', 'a.shop.svc.cluster.local', '*.svc.cluster.local', 'db.example.com', '*'),
      anySelector,
      anySelector,
      fc.constantFrom<object>(
        {},
        { trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 } } } },
        { trafficPolicy: { outlierDetection: {}, portLevelSettings: [{ port: { number: 80 } }] } },
        { exportTo: ['.'] },
        { exportTo: ['shop'] },
        { workloadSelector: { matchLabels: { a: 'b' } } },
      ),
    )
    .map(([host, one, two, more]) => ({
      spec: {
        host,
        ...more,
        subsets: [
          { name: 'v1', labels: one },
          { name: 'v2', labels: { ...two, app: 'y' } },
        ],
      },
    })),
);
