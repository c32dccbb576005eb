import fc from 'fast-check';
import { anyReference, documents } from '#control-plane/mesh/small-world.testing.ts';

const anyDestination = fc
  .tuple(
    fc.oneof(anyReference, fc.constantFrom('a.shop.svc.cluster.local', 'b.far.svc.cluster.local', 'db.example.com')),
    fc.constantFrom<object>({}, { subset: 'v1' }, { subset: 'v2' }),
    fc.constantFrom<object>({}, { port: { number: 80 } }, { port: { number: 81 } }),
  )
  .map(([host, subset, port]) => ({ host, ...subset, ...port }));

/** VirtualServices whose hosts, destinations and subsets exist, do not, or belong to others. */
export const samples: fc.Arbitrary<object> = documents(
  'networking.istio.io/v1',
  'VirtualService',
  fc.constant({}),
  fc
    .tuple(
      fc.uniqueArray(fc.constantFrom('a', 'b', 'a.shop.svc.cluster.local', 'db.example.com', '*.example.com'), {
        minLength: 1,
        maxLength: 3,
      }),
      anyDestination,
      anyDestination,
      fc.constantFrom<object>({}, { gateways: ['ingress'] }, { exportTo: ['.'] }, { exportTo: ['shop'] }),
      fc.constantFrom<object>({}, { match: [{ uri: { prefix: '/x' } }, { sourceLabels: { app: 'x' } }] }),
    )
    .map(([hosts, first, second, more, match]) => ({
      spec: {
        hosts,
        ...more,
        http: [
          {
            ...match,
            route: [
              { destination: first, weight: 9 },
              { destination: second, weight: 1 },
            ],
            mirror: second,
          },
          { redirect: { uri: '/' } },
        ],
        tcp: [{ route: [{ destination: second }] }],
      },
    })),
);
