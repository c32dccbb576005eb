import fc from 'fast-check';
import { anyReference, documents } from '#control-plane/mesh/small-world.testing.ts';

const rule = { name: 'all', limit: { requests: 10, window: '1s' } };
const HTTP_ROUTE = { group: 'gateway.networking.k8s.io', kind: 'HTTPRoute' };
const GRPC_ROUTE = { group: 'gateway.networking.k8s.io', kind: 'GRPCRoute' };
const GATEWAY = { group: 'gateway.networking.k8s.io', kind: 'Gateway' };
const SERVICE = { kind: 'Service' };
const ENTRY = { group: 'networking.istio.io', kind: 'ServiceEntry' };

const LIMIT = { rateLimit: { rules: [rule] } };
const anyLimit = fc.constantFrom<object>(LIMIT, {
  rateLimit: { rules: [rule, { ...rule, name: 'counted', scope: 'Global' }], service: { name: 'b', port: 80 } },
});
const anyRequests = fc.oneof(
  anyLimit,
  fc.constantFrom<object>(
    { faultInjection: { abort: { httpStatus: 503 } } },
    { ...LIMIT, faultInjection: { delay: { duration: '1s' } } },
  ),
);

/** What only services have. */
const anySettings = fc.constantFrom<object>(
  {},
  { circuitBreaker: { maxRequests: 1 } },
  { outlierDetection: {}, retryBudget: { percent: 10 } },
);
const anySection = fc.constantFrom<object>({}, { sectionName: 'http' });

/** A target, and blocks that mean something there. */
const anySpec = fc
  .oneof(
    fc.tuple(fc.constantFrom(SERVICE, ENTRY), anySection, anyRequests, anySettings),
    fc.tuple(fc.constantFrom(HTTP_ROUTE, GRPC_ROUTE), anySection, anyRequests, fc.constant({})),
    fc.tuple(fc.constant(GATEWAY), fc.constant({}), anyLimit, fc.constant({})),
  )
  .chain(([target, section, blocks, more]) =>
    anyReference.map((name) => ({ targetRefs: [{ ...target, name, ...section }], ...blocks, ...more })),
  );

/** Policies of services, routes and waypoints, which exist, do not, or say the same as others. */
export const samples: fc.Arbitrary<object> = documents(
  'weft.dev/v1alpha1',
  'TrafficPolicy',
  fc.constant({}),
  anySpec.map((spec) => ({ spec })),
);
