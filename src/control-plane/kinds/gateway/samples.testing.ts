import fc from 'fast-check';
import { documents } from '#control-plane/mesh/small-world.testing.ts';

/** Waypoints and gateways of others, usable and not. */
export const samples: fc.Arbitrary<object> = documents(
  'gateway.networking.k8s.io/v1',
  'Gateway',
  fc.constantFrom<object>(
    {},
    { labels: { 'istio.io/waypoint-for': 'all' } },
    { labels: { 'istio.io/waypoint-for': 'workload' } },
    { annotations: { 'gateway.istio.io/service-account': 'keeper' } },
  ),
  fc
    .tuple(
      fc.constantFrom('weft-waypoint', 'istio-waypoint', 'other'),
      fc.constantFrom('Same', 'All'),
      fc.constantFrom('HBONE', 'HTTP'),
    )
    .map(([gatewayClassName, from, protocol]) => ({
      spec: { gatewayClassName, listeners: [{ name: 'm', port: 15008, protocol, allowedRoutes: { namespaces: { from } } }] },
    })),
);
