import fc from 'fast-check';
import { anyReference, documents } from '#control-plane/mesh/small-world.testing.ts';

/** Policies of services and of the waypoint, with one issuer or none. */
export const samples: fc.Arbitrary<object> = documents(
  'security.istio.io/v1',
  'RequestAuthentication',
  fc.constant({}),
  fc
    .tuple(
      fc.oneof(
        anyReference.map((name) => ({ group: '', kind: 'Service', name })),
        fc.constant({ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'way' }),
      ),
      fc.constantFrom<object>({}, { jwtRules: [{ issuer: 'a', jwks: '{ "keys": [] }' }] }),
    )
    .map(([target, rules]) => ({ spec: { targetRefs: [target], ...rules } })),
);
