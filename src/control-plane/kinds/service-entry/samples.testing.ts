import fc from 'fast-check';
import { anySelector, anyWaypointLabels, documents } from '#control-plane/mesh/small-world.testing.ts';

const PORTS = [{ name: 'http', number: 80, protocol: 'HTTP' }];

/** Entries that resolve in each way, whose hosts and addresses meet those of Services and of each other. */
export const samples: fc.Arbitrary<object> = documents(
  'networking.istio.io/v1',
  'ServiceEntry',
  anyWaypointLabels.map((labels) => ({ labels })),
  fc
    .tuple(
      fc.constantFrom(['db.example.com'], ['*.example.com'], ['db.example.com', 'a.shop.svc.cluster.local']),
      fc.oneof(
        fc.constantFrom<object>(
          { resolution: 'NONE', addresses: ['240.240.0.9'] },
          {
            resolution: 'STATIC',
            endpoints: [
              { address: '10.9.0.1', weight: 2 },
              { address: '10.9.0.2', ports: { http: 81 } },
            ],
          },
          { resolution: 'STATIC', addresses: ['10.96.0.1', '10.1.0.1'], endpoints: [{ address: '10.9.0.1' }] },
          { resolution: 'DNS', endpoints: [{ address: 'real.example.com' }] },
        ),
        anySelector.map((labels) => ({ resolution: 'STATIC', workloadSelector: { labels } })),
      ),
      fc.constantFrom<object>({}, { exportTo: ['.'] }),
    )
    .map(([hosts, source, more]) => ({ spec: { hosts, ports: PORTS, ...source, ...more } })),
);
