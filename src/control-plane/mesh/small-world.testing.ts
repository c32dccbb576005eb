import fc from 'fast-check';

// A small world, so that things meet: few names, few labels, few addresses.

/** Namespaces; the last one is the root namespace. */
export const anyNamespace = fc.constantFrom('shop', 'far', 'istio-system');

/** Names of what exists. */
export const anyName = fc.constantFrom('a', 'b', 'way');

/** What references name; one is near to a name that exists. */
export const anyReference = fc.constantFrom('a', 'b', 'way', 'wya');

/** Labels of workloads. */
export const anyLabels = fc.constantFrom<Record<string, string>>(
  {},
  { app: 'x' },
  { app: 'y' },
  { app: 'x', v: '1' },
  { 'gateway.networking.k8s.io/gateway-name': 'way' },
);

/** Selectors of workloads. */
export const anySelector = fc.constantFrom<Record<string, string>>({ app: 'x' }, { app: 'y' }, { app: 'x', v: '1' });

/** Labels that ask for a waypoint, or do not. */
export const anyWaypointLabels = fc.constantFrom<Record<string, string>>(
  {},
  {},
  { 'istio.io/use-waypoint': 'way' },
  { 'istio.io/use-waypoint': 'wya' },
  { 'istio.io/use-waypoint': 'none' },
  { 'istio.io/use-waypoint': 'way', 'istio.io/use-waypoint-namespace': 'shop' },
);

const anyAge = fc.constantFrom({}, { creationTimestamp: '2026-01-01T00:00:00Z' });

/** Documents of a kind, with any namespace, name and age; `metadata` and `body` give the rest. */
export function documents(
  apiVersion: string,
  kind: string,
  metadata: fc.Arbitrary<object>,
  body: fc.Arbitrary<object>,
): fc.Arbitrary<object> {
  const head = fc.record(
    { namespace: anyNamespace, name: anyName, created: anyAge, more: metadata, body },
    { noNullPrototype: true },
  );
  return head.map(({ created, more, body: rest, ...names }) => ({
    apiVersion,
    kind,
    metadata: { ...names, ...created, ...more },
    ...rest,
  }));
}
