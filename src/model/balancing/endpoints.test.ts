import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aMesh, aService, aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import type { LoadBalancing } from '#model/mesh/service.ts';
import { eligibleEndpoints, expandSlots, pickWeighted } from './endpoints.ts';

const cart = aService('cart', ['240.0.0.1']);
const HERE = { node: 'one', clusterId: 'Kubernetes', network: 'n1', locality: { region: 'r1', zone: 'z1', subzone: '' } };
const place = (name: string, ip: string, network: string, region: string, node = 'x') =>
  aWorkload(name, [ip], { network, node, locality: { region, zone: '', subzone: '' }, services: endpointOf(cart) });
const localFar = place('local-far', '10.0.0.1', 'n1', 'r2');
const localNear = place('local-near', '10.0.0.2', 'n1', 'r1');
const remoteNear = place('remote-near', '10.0.0.3', 'n2', 'r1');

function names(loadBalancing: LoadBalancing | null, workloads = [localFar, localNear, remoteNear]): string[] {
  const service = { ...cart, loadBalancing };
  return eligibleEndpoints(aMesh(workloads, [service]), service, 80, 4, HERE).map(({ workload }) => workload.name);
}
const balancing = (
  mode: LoadBalancing['mode'],
  ...routingPreference: LoadBalancing['routingPreference'][number][]
): LoadBalancing => ({ mode, routingPreference, allowUnhealthy: false });

test('without preferences every endpoint is eligible', () => assert.equal(names(null).length, 3));
test('B36: FAILOVER takes the best rank only', () =>
  assert.deepEqual(names(balancing('failover', 'region')), ['local-near', 'remote-near']));
test('B36: a local network outranks every remote one', () => {
  assert.deepEqual(names(balancing('failover', 'network', 'region')), ['local-near']);
  assert.deepEqual(names(balancing('failover', 'network', 'region'), [localFar, remoteNear]), ['local-far']);
  assert.deepEqual(names(balancing('failover', 'network', 'region'), [remoteNear]), ['remote-near']);
});
test('B36: STRICT with no match has no endpoint', () => {
  assert.deepEqual(names(balancing('strict', 'node')), []);
  assert.deepEqual(names(balancing('strict', 'network', 'region')), ['local-near']);
});
test('B38: unhealthy endpoints only with ALLOW_ALL', () => {
  const sick = { ...localFar, healthy: false };
  assert.deepEqual(names(null, [sick]), []);
  assert.deepEqual(names({ mode: 'unspecified', routingPreference: [], allowUnhealthy: true }, [sick]), ['local-far']);
});
test('a service port without a target has no endpoint', () => {
  const service = { ...cart, ports: [{ servicePort: 80, targetPort: 0, appProtocol: 'tcp' as const }] };
  const workload = aWorkload('w', ['10.0.0.1'], { services: new Map([['shop/cart.shop.svc.cluster.local', []]]) });
  assert.deepEqual(eligibleEndpoints(aMesh([workload], [service]), service, 80, 4, HERE), []);
});

const weighted = [3, 1].map((weight, at) => ({
  workload: localFar,
  ip: localFar.addresses[0] ?? assert.fail(),
  port: at,
  weight,
}));
test('B37: capacity 3:1 gives three slots to one', () =>
  assert.deepEqual(
    expandSlots(weighted)?.map(({ port }) => port),
    [0, 0, 0, 1],
  ));
test('weights are divided by their common divisor', () => {
  const big = weighted.map((one) => ({ ...one, weight: one.weight * 1_000_000 }));
  assert.equal(expandSlots(big)?.length, 4);
});
test('E31: weights that need too many slots are left to the agent, never cut', () => {
  assert.equal(expandSlots([{ ...(weighted[0] ?? assert.fail()), weight: 99_991 }, weighted[1] ?? assert.fail()]), null);
});
test('no endpoints, no slots, no pick', () => {
  assert.deepEqual(expandSlots([]), []);
  assert.equal(
    pickWeighted([], () => 0.5),
    null,
  );
});
test('B37: the draw follows the weights', () => {
  assert.equal(pickWeighted(weighted, () => 0.74)?.port, 0);
  assert.equal(pickWeighted(weighted, () => 0.76)?.port, 1);
});
