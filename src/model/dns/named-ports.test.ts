import assert from 'node:assert/strict';
import test from 'node:test';
import { aService } from '#model/mesh/mesh-fixtures.testing.ts';
import type { Service } from '#model/mesh/service.ts';
import { isByNameOnly, namedPorts } from './named-ports.ts';

const PASSING = { mode: 'passthrough', routingPreference: [], allowUnhealthy: true } as const;

/** A ServiceEntry with resolution NONE and no address. */
function host(hostname: string, ports: number[], more: Partial<Service> = {}): Service {
  const service = aService('entry', [], { hostname, loadBalancing: PASSING, ...more });
  return { ...service, ports: ports.map((port) => ({ servicePort: port, targetPort: port, appProtocol: 'tcp' })) };
}

const HOSTS: Service[] = [
  host('db.example.com', [5432]),
  host('*.example.com', [443, 80]),
  host('*.b.example.com', [8443]),
  host('own.example.org', [22], { namespaceOnly: true }),
  host('open.example.net', [1]),
  host('open.example.net', [2], { namespace: 'far' }),
  host('vip.example.net', [443], { addresses: aService('x', ['240.0.0.9']).addresses }),
  host('way.example.net', [443], { waypoint: { kind: 'hostname', namespace: 'shop', hostname: 'way', hbonePort: 15008 } }),
  host('headless.example.net', [443], { loadBalancing: null }),
];
const VIEW = {
  servicesByHostname: (hostname: string) => HOSTS.filter((one) => one.hostname === hostname),
  endpointAddresses: () => [],
  hasHostnameBelow: () => false,
};

const TABLE: [name: string, ports: number[], namespace?: string][] = [
  ['db.example.com', [5432]],
  ['DB.Example.com.', [5432]],
  ['x.example.com', [443, 80]],
  ['x.y.example.com', [443, 80]],
  ['x.b.example.com', [8443]],
  ['example.com', []],
  ['xexample.com', []],
  ['db.example.com.evil.org', []],
  ['own.example.org', [22]],
  ['own.example.org', [], 'far'],
  ['open.example.net', [1, 2]],
  ['vip.example.net', []],
  ['way.example.net', []],
  ['headless.example.net', []],
  ['', []],
];
for (const [name, ports, namespace = 'shop'] of TABLE)
  test(`B70: of namespace ${namespace} "${name}" may be reached by ports ${ports.join(', ') || 'none'}`, () =>
    assert.deepEqual([...namedPorts(name, { namespace }, VIEW)], ports));

test('B70: a host that has an address or a waypoint is told from others by more than its name', () =>
  assert.deepEqual(HOSTS.map(isByNameOnly), [true, true, true, true, true, true, false, false, false]));
