import fc from 'fast-check';
import { anyNamespace, anyReference, documents } from '#control-plane/mesh/small-world.testing.ts';

/** Routes whose parents and backends exist, do not, or are misspelt. */
export const samples: fc.Arbitrary<object> = documents(
  'gateway.networking.k8s.io/v1',
  'GRPCRoute',
  fc.constant({}),
  fc
    .tuple(anyNamespace, anyReference, anyReference, fc.constantFrom<object>({}, { port: 81 }, { sectionName: 'a' }))
    .map(([parentNamespace, parent, backend, port]) => ({
      spec: {
        parentRefs: [{ group: '', kind: 'Service', name: parent, namespace: parentNamespace, ...port }],
        rules: [{ backendRefs: [{ name: backend, port: 80 }] }],
      },
    })),
);
