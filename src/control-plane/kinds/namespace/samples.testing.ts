import fc from 'fast-check';
import { anyNamespace, anyWaypointLabels } from '#control-plane/mesh/small-world.testing.ts';

/** Namespaces with and without defaults for what they hold. */
export const samples: fc.Arbitrary<object> = fc
  .record({
    name: anyNamespace,
    labels: anyWaypointLabels,
    annotations: fc.constantFrom({}, { 'networking.istio.io/traffic-distribution': 'PreferClose' }),
  })
  .map((metadata) => ({ apiVersion: 'v1', kind: 'Namespace', metadata }));
