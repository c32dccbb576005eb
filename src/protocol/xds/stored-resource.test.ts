import assert from 'node:assert/strict';
import test from 'node:test';
import { tryParseIp } from '#model/address/ip.ts';
import {
  type EncodedResource,
  encodeAuthorization,
  encodeService,
  encodeWaypointConfig,
  encodeWorkload,
} from './encoded-resource.ts';
import { samplePolicy, sampleService, sampleWaypointConfig, sampleWorkload } from './sample-mesh.testing.ts';
import { StoredResource } from './stored-resource.ts';

const ADDRESSES = ['10.1.0.7', 'fd00::7'].flatMap((text) => tryParseIp(text) ?? []);

const resources: Readonly<Record<string, EncodedResource>> = {
  'a workload': encodeWorkload(sampleWorkload()),
  'a workload with two addresses of a network, no node and two services': encodeWorkload(
    sampleWorkload({
      addresses: ADDRESSES,
      network: 'far',
      node: '',
      services: new Map([
        ['shop/a', []],
        ['shop/b', []],
      ]),
    }),
  ),
  'a workload of the network of its host': encodeWorkload(sampleWorkload({ hostNetwork: true })),
  'a workload of nothing': encodeWorkload(sampleWorkload({ addresses: [], services: new Map() })),
  'a service': encodeService(sampleService({ addresses: ADDRESSES })),
  'a service without addresses': encodeService(sampleService({ addresses: [] })),
  'a policy': encodeAuthorization(samplePolicy()),
  'a waypoint': encodeWaypointConfig(sampleWaypointConfig()),
};

for (const [title, { name, version, wire, aliases, kind, node, services }] of Object.entries(resources)) {
  test(`${title} is known by its bytes alone`, () => {
    const stored = new StoredResource(wire);
    assert.deepEqual([stored.name, stored.version, stored.kind, stored.node], [name, version, kind, node]);
    assert.deepEqual([stored.aliases, [...stored.services].sort()], [aliases, [...services].sort()]);
  });
}
