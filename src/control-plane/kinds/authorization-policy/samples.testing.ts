import fc from 'fast-check';
import { anyReference, anySelector, documents } from '#control-plane/mesh/small-world.testing.ts';

const scopes = fc.oneof(
  fc.constant({}),
  anySelector.map((matchLabels) => ({ selector: { matchLabels } })),
  anyReference.map((target) => ({ targetRefs: [{ group: '', kind: 'Service', name: target }] })),
  fc.constant({ targetRefs: [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'way' }] }),
  fc.constant({ targetRefs: [{ group: 'gateway.networking.k8s.io', kind: 'GatewayClass', name: 'weft-waypoint' }] }),
);
const actions = fc.constantFrom<object>(
  { rules: [{}] },
  { action: 'DENY', rules: [{ to: [{ operation: { methods: ['GET'] } }] }] },
  { action: 'AUDIT' },
);

/** Policies of every scope, some of which nodes or waypoints cannot enforce. */
export const samples: fc.Arbitrary<object> = documents(
  'security.istio.io/v1',
  'AuthorizationPolicy',
  fc.constant({}),
  fc.tuple(scopes, actions).map(([scope, action]) => ({ spec: { ...scope, ...action } })),
);
