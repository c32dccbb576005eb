import { familiesToAllocate, isGenerated, serviceOf } from '#control-plane/index/derive-service.ts';
import type { IndexState } from '#control-plane/index/index-state.ts';
import { namespaceOf } from '#control-plane/index/mesh-inputs.ts';
import { bindingFor } from '#control-plane/index/stages/bind.ts';
import { UNBOUND, waypointCondition } from '#control-plane/index/waypoint-binding.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import type { ServiceResource } from '#control-plane/resources/kinds/service.ts';
import { byAge } from '#control-plane/resources/metadata.ts';
import { nameOf } from '#control-plane/resources/resource.ts';
import { familyOf, type IpAddress } from '#model/address/ip.ts';

/** Derives one service: its addresses, its waypoint and what is to be said about both. */
export function deriveService(key: string, state: IndexState): void {
  const { inputs, outputs, invalidation, allocator, options } = state;
  const resource = inputs.service(key);
  const namespace = namespaceOf(key);
  const name = nameOf({ kind: 'Service', namespace, name: key.slice(namespace.length + 1) });
  if (resource === null || resource.externalName) {
    allocator.release(key);
    invalidation.setReads('service', key, []);
    outputs.setStatus(name, [], []);
    publishBinding(key, null, state);
    if (outputs.setService(key, null)) invalidation.mark('managed-gateway', key);
    return;
  }
  const binding = isGenerated(resource)
    ? unread(key, state)
    : bindingFor('service', key, namespace, resource.metadata.labels, state);
  const { addresses, problems } = addressesOf(key, resource, state);
  if (binding.problem !== null) problems.push(binding.problem);
  outputs.setStatus(name, waypointCondition(name, binding), problems);
  const namespaceAnnotations = inputs.namespaces.get(namespace)?.metadata.annotations ?? {};
  const service = serviceOf(resource, { addresses, namespaceAnnotations, waypoint: binding.address }, options);
  if (outputs.setService(key, service)) invalidation.mark('managed-gateway', key);
  publishBinding(key, binding.gateway, state);
}

/** Tells the waypoints that served the service, and those that serve it now. */
function publishBinding(key: string, gateway: string | null, { outputs, invalidation }: IndexState): void {
  const before = outputs.bindings.targetsOf(key);
  const after = gateway === null ? [] : [gateway];
  if (before[0] === after[0]) return;
  outputs.bindings.set(key, after);
  invalidation.markAll('waypoint', [...before, ...after]);
  invalidation.publish(`service-binding ${key}`);
}

function unread(key: string, { invalidation }: IndexState): typeof UNBOUND {
  invalidation.setReads('service', key, []);
  return UNBOUND;
}

/** The user's addresses, as far as no older service has them; else allocated ones. */
function addressesOf(
  key: string,
  resource: ServiceResource,
  { inputs, allocator }: IndexState,
): { addresses: IpAddress[]; problems: Problem[] } {
  const problems: Problem[] = [];
  const own: IpAddress[] = [];
  const lost: IpAddress[] = [];
  for (const address of resource.addresses) {
    const [first] = inputs.claimantsOf(address).sort(byAge);
    if (first === undefined || first === resource) {
      own.push(address);
      continue;
    }
    lost.push(address);
    const owner = `Service ${first.metadata.namespace}/${first.metadata.name}`;
    const message = `address ${address} is that of ${owner}; another one is used here`;
    problems.push(warningAt('WEFT_ADDRESS_CONFLICT', ['spec'], message, 'give each service its own address, or leave it out'));
  }
  const families = lost.length > 0 ? [...new Set(lost.map(familyOf))] : familiesToAllocate(resource);
  const allocated = families.length > 0 ? allocator.allocate(key, families) : [];
  if (families.length === 0) allocator.release(key);
  if (allocated.length < families.length) {
    const message = 'no free address is left in the range for services';
    problems.push(warningAt('WEFT_ADDRESS_CONFLICT', ['spec'], message, 'write spec.clusterIP yourself'));
  }
  return { addresses: [...own, ...allocated], problems };
}
