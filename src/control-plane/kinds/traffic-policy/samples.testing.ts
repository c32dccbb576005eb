import fc from 'fast-check';
import { anyReference, documents } from '#control-plane/mesh/small-world.testing.ts';

const rule = { name: 'all', limit: { requests: 10, window: '1s' } };

/** What only services have. */
const ofServices = fc.constantFrom<object>(
  {},
  { circuitBreaker: { maxRequests: 1 } },
  { outlierDetection: {}, retryBudget: { percent: 10 } },
);

/** Policies of services and of routes, which exist, do not, or say the same as others. */
export const samples: fc.Arbitrary<object> = documents(
  'weft.dev/v1alpha1',
  'TrafficPolicy',
  fc.constant({}),
  fc
    .tuple(
      anyReference,
      fc.constantFrom(
        { kind: 'Service' },
        { group: 'gateway.networking.k8s.io', kind: 'HTTPRoute' },
        { group: 'gateway.networking.k8s.io', kind: 'GRPCRoute' },
      ),
      fc.constantFrom<object>({}, { sectionName: 'http' }),
      fc.constantFrom<object>(
        { rateLimit: { rules: [rule] } },
        { faultInjection: { abort: { httpStatus: 503 } } },
        { rateLimit: { rules: [rule, { ...rule, name: 'counted', scope: 'Global' }], service: { name: 'b', port: 80 } } },
        { rateLimit: { rules: [rule] }, faultInjection: { delay: { duration: '1s' } } },
      ),
      ofServices,
    )
    .map(([name, target, section, blocks, more]) => ({
      spec: { targetRefs: [{ ...target, name, ...section }], ...blocks, ...(target.kind === 'Service' && more) },
    })),
);
