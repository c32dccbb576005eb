import fc from 'fast-check';
import { anyNamespace, anyReference, documents } from '#control-plane/mesh/small-world.testing.ts';

/** Grants for routes of other namespaces, for all services or for one. */
export const samples: fc.Arbitrary<object> = documents(
  'gateway.networking.k8s.io/v1beta1',
  'ReferenceGrant',
  fc.constant({}),
  fc
    .tuple(
      anyNamespace,
      fc.constantFrom('TCPRoute', 'HTTPRoute'),
      fc.oneof(
        fc.constant({}),
        anyReference.map((name) => ({ name })),
      ),
    )
    .map(([namespace, kind, name]) => ({
      spec: { from: [{ group: 'gateway.networking.k8s.io', kind, namespace }], to: [{ group: '', kind: 'Service', ...name }] },
    })),
);
