import fc from 'fast-check';
import { documents } from '#control-plane/mesh/small-world.testing.ts';

/** Classes of ours and of others, by which waypoints take other traffic or not. */
export const samples: fc.Arbitrary<object> = fc
  .tuple(
    documents(
      'gateway.networking.k8s.io/v1',
      'GatewayClass',
      fc.constantFrom<object>({}, { labels: { 'istio.io/waypoint-for': 'all' } }),
      fc
        .constantFrom<object>(
          { controllerName: 'weft.dev/mesh-controller' },
          { controllerName: 'weft.dev/mesh-controller', parametersRef: { group: '', kind: 'ConfigMap', name: 'a' } },
          { controllerName: 'example.com/other' },
        )
        .map((spec) => ({ spec })),
    ),
    fc.constantFrom('weft-waypoint', 'istio-waypoint', 'other'),
  )
  .map(([document, name]) => {
    const { namespace: _, ...metadata } = (document as { metadata: { namespace: string } }).metadata;
    return { ...document, metadata: { ...metadata, name } };
  });
