import fc from 'fast-check';
import { anyLabels, anyWaypointLabels, documents } from '#control-plane/mesh/small-world.testing.ts';

/** Entries by address and by name, with ports of their own and without. */
export const samples: fc.Arbitrary<object> = documents(
  'networking.istio.io/v1',
  'WorkloadEntry',
  anyWaypointLabels.map((labels) => ({ labels })),
  fc
    .tuple(
      fc.constantFrom({ address: '10.0.1.1' }, { address: 'db.example.com' }, { address: '240.240.0.9' }),
      anyLabels,
      fc.constantFrom({}, { ports: { http: 9090 } }, { weight: 3, locality: 'r/z/s' }),
    )
    .map(([address, labels, more]) => ({ spec: { ...address, labels, ...more } })),
);
