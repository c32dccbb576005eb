import fc from 'fast-check';
import { anyReference, documents } from '#control-plane/mesh/small-world.testing.ts';

/** Of all of a namespace, of services and of the waypoint, which exist, do not, or have an older one. */
export const samples: fc.Arbitrary<object> = documents(
  'telemetry.istio.io/v1',
  'Telemetry',
  fc.constant({}),
  fc
    .tuple(
      fc.oneof(
        fc.constant({}),
        fc.constant({ selector: { matchLabels: { app: 'a' } } }),
        anyReference.map((name) => ({ targetRefs: [{ group: '', kind: 'Service', name }] })),
        anyReference.map((name) => ({ targetRefs: [{ group: 'networking.istio.io', kind: 'ServiceEntry', name }] })),
        fc.constant({ targetRefs: [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'way' }] }),
        fc.constant({ targetRefs: [{ group: 'gateway.networking.k8s.io', kind: 'GatewayClass', name: 'weft-waypoint' }] }),
      ),
      fc.constantFrom<object>(
        {},
        { accessLogging: [{ disabled: true }] },
        { accessLogging: [{ disabled: false }], tracing: [{ randomSamplingPercentage: 50 }] },
      ),
    )
    .map(([scope, sections]) => ({ spec: { ...scope, ...sections } })),
);
