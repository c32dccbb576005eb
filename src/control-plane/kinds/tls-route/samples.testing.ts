import fc from 'fast-check';
import { anyNamespace, anyReference, documents } from '#control-plane/mesh/small-world.testing.ts';

/** Routes whose parents and backends exist, do not, or are of a namespace that has to allow it. */
export const samples: fc.Arbitrary<object> = documents(
  'gateway.networking.k8s.io/v1',
  'TLSRoute',
  fc.constant({}),
  fc
    .tuple(
      fc.uniqueArray(fc.constantFrom('a.example', 'b.example', '*.example'), { minLength: 1, maxLength: 2 }),
      anyNamespace,
      anyReference,
      anyNamespace,
      anyReference,
      fc.constantFrom<object>({}, { port: 81 }, { sectionName: 'a' }),
    )
    .map(([hostnames, parentNamespace, parent, namespace, backend, port]) => ({
      spec: {
        hostnames,
        parentRefs: [{ group: '', kind: 'Service', name: parent, namespace: parentNamespace, ...port }],
        rules: [{ backendRefs: [{ name: backend, namespace, port: 80 }] }],
      },
    })),
);
