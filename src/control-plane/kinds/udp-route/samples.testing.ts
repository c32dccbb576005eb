import fc from 'fast-check';
import { anyNamespace, anyReference, documents } from '#control-plane/mesh/small-world.testing.ts';

/** Routes whose parents and backends exist, do not, or are of a namespace that has to allow it. */
export const samples: fc.Arbitrary<object> = documents(
  'gateway.networking.k8s.io/v1',
  'UDPRoute',
  fc.constant({}),
  fc
    .tuple(
      anyNamespace,
      anyReference,
      anyNamespace,
      anyReference,
      fc.constantFrom<object>({}, { port: 81 }, { sectionName: 'a' }),
    )
    .map(([parentNamespace, parent, namespace, backend, port]) => ({
      spec: {
        parentRefs: [{ group: '', kind: 'Service', name: parent, namespace: parentNamespace, ...port }],
        rules: [
          {
            backendRefs: [
              { name: backend, namespace, port: 80 },
              { name: 'a', port: 80, weight: 9 },
            ],
          },
        ],
      },
    })),
);
