import fc from 'fast-check';
import { anyReference, documents } from '#control-plane/mesh/small-world.testing.ts';

/** Policies of backends, which exist, do not, or have others that say the same, and of authorities, which are known or not. */
export const samples: fc.Arbitrary<object> = documents(
  'gateway.networking.k8s.io/v1',
  'BackendTLSPolicy',
  fc.constant({}),
  fc
    .tuple(
      anyReference,
      fc.constantFrom(
        { group: '', kind: 'Service' },
        { group: '', kind: 'Service', sectionName: 'http' },
        { group: 'networking.istio.io', kind: 'ServiceEntry' },
        { group: 'example.com', kind: 'Backend' },
      ),
      fc.constantFrom<object>(
        { wellKnownCACertificates: 'System' },
        { caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'a' }] },
        { caCertificateRefs: [{ group: '', kind: 'Secret', name: 'a' }] },
      ),
    )
    .map(([name, target, validation]) => ({
      spec: { targetRefs: [{ ...target, name }], validation: { hostname: 'api.example.com', ...validation } },
    })),
);
