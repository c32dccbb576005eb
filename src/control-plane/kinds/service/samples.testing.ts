import fc from 'fast-check';
import { anySelector, anyWaypointLabels, documents } from '#control-plane/mesh/small-world.testing.ts';

const labelled = anyWaypointLabels.map((labels) => ({ labels }));

const ordinary = documents(
  'v1',
  'Service',
  labelled,
  fc.record({
    spec: fc.record(
      {
        selector: fc.oneof(anySelector, anySelector, fc.constant({ 'gateway.networking.k8s.io/gateway-name': 'way' })),
        ports: fc.constantFrom<object[]>(
          [{ port: 80 }],
          [{ port: 80, targetPort: 'http' }],
          [
            { name: 'a', port: 80 },
            { name: 'b', port: 81 },
          ],
        ),
        clusterIP: fc.constantFrom('', '', 'None', '10.96.0.1', '240.240.0.9'),
        publishNotReadyAddresses: fc.boolean(),
      },
      { noNullPrototype: true },
    ),
  }),
);

const aliases = documents(
  'v1',
  'Service',
  labelled,
  fc.constant({ spec: { type: 'ExternalName', externalName: 'example.com' } }),
);

/** Services with allocated, written and no addresses, and aliases of other names. */
export const samples: fc.Arbitrary<object> = fc.oneof(ordinary, ordinary, aliases);
