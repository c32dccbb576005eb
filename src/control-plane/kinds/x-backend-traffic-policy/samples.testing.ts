import fc from 'fast-check';
import { anyReference, documents } from '#control-plane/mesh/small-world.testing.ts';

/** Policies of backends, which exist, do not, or have others that say the same. */
export const samples: fc.Arbitrary<object> = documents(
  'gateway.networking.x-k8s.io/v1alpha1',
  'XBackendTrafficPolicy',
  fc.constant({}),
  fc
    .tuple(
      anyReference,
      fc.constantFrom(
        { group: '', kind: 'Service' },
        { group: 'networking.istio.io', kind: 'ServiceEntry' },
        { group: 'example.com', kind: 'Backend' },
      ),
      fc.constantFrom<object>(
        { retryConstraint: {} },
        { sessionPersistence: {} },
        { retryConstraint: { budget: { percent: 5 } }, sessionPersistence: { type: 'Header', sessionName: 'x-sid' } },
      ),
    )
    .map(([name, target, blocks]) => ({ spec: { targetRefs: [{ ...target, name }], ...blocks } })),
);
