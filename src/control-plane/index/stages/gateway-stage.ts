import { falseCondition, trueCondition } from '#control-plane/index/condition.ts';
import { isGenerated, waypointLabels, waypointService } from '#control-plane/index/derive-service.ts';
import { type GatewayInfo, gatewayInfoOf, gatewayProblems, isRun } from '#control-plane/index/gateway-info.ts';
import type { Condition, ManagedGateway } from '#control-plane/index/index-delta.ts';
import type { IndexState } from '#control-plane/index/index-state.ts';
import { namespaceOf } from '#control-plane/index/mesh-inputs.ts';
import { serviceHostname } from '#control-plane/index/mesh-options.ts';
import { replaceService } from '#control-plane/index/take-input.ts';
import { ANNOTATION, LABEL } from '#control-plane/index/well-known.ts';
import type { ServiceResource } from '#control-plane/resources/kinds/service.ts';
import { nameOf, type ResourceName } from '#control-plane/resources/resource.ts';

/** Derives what binding needs to know of one Gateway, and the service by which a waypoint is reached. */
export function deriveGateway(key: string, state: IndexState): void {
  const { inputs, outputs, invalidation } = state;
  const info = currentInfo(key, state);
  const changed = outputs.gateways.set(key, info);
  const resource = inputs.gateways.get(key);
  const name = nameOf({ kind: 'Gateway', namespace: namespaceOf(key), name: key.slice(namespaceOf(key).length + 1) });
  if (info === null || resource === null) outputs.setStatus(name, [], []);
  else outputs.setStatus(name, conditionsOf(info, name), gatewayProblems(resource, info));
  if (!changed) return;
  const wanted = isRun(info) ? waypointService(info) : null;
  replaceService(key, () => inputs.waypointServices.set(key, wanted), state);
  invalidation.markAll('workload', instancesOf(key, state));
  invalidation.mark('waypoint', key);
  invalidation.mark('managed-gateway', key);
  invalidation.publish(`gateway ${key}`);
}

function currentInfo(key: string, state: IndexState): GatewayInfo | null {
  const { inputs, options } = state;
  const gateway = inputs.gateways.get(key);
  if (gateway === null) return null;
  const service = inputs.userServices.get(key);
  const hasInstance = instancesOf(key, state).some((uid) => inputs.endpoints.get(uid)?.healthy === true);
  return gatewayInfoOf(gateway, { hasInstance, foreignService: service !== null && !belongsToWaypoint(service) }, options);
}

/** Workloads that carry the Gateway's name. */
function instancesOf(key: string, { inputs }: IndexState): string[] {
  const namespace = namespaceOf(key);
  return inputs.endpointLabels.matching(namespace, { [LABEL.gatewayName]: key.slice(namespace.length + 1) });
}

function belongsToWaypoint(service: ServiceResource): boolean {
  return isGenerated(service) && service.selector?.[LABEL.gatewayName] === service.metadata.name;
}

function conditionsOf({ managed, state, className }: GatewayInfo, resource: ResourceName): Condition[] {
  if (!managed) return [];
  const accepted = trueCondition(resource, 'Accepted', 'Accepted', `class ${className}`);
  switch (state.kind) {
    case 'ready':
      return [accepted, trueCondition(resource, 'Programmed', 'Programmed', 'an instance is running')];
    case 'not-ready':
      return [accepted, falseCondition(resource, 'Programmed', 'AddressNotAssigned', state.why)];
    case 'unusable':
      return ['Accepted', 'Programmed'].map((type) => falseCondition(resource, type, 'Invalid', state.why));
  }
}

/** Derives the waypoint that is to run for a Gateway; runs last, because it names the service's addresses. */
export function deriveManagedGateway(key: string, { inputs, outputs, options }: IndexState): void {
  const info = outputs.gateways.get(key);
  const resource = inputs.gateways.get(key);
  if (resource === null || !isRun(info)) {
    outputs.managedGateways.set(key, null);
    return;
  }
  const { namespace, name, className } = info;
  const managed: ManagedGateway = {
    namespace,
    name,
    className,
    serviceAccount: resource.metadata.annotations[ANNOTATION.serviceAccount] ?? name,
    labels: waypointLabels(info),
    addresses: outputs.serviceByName.get(key)?.addresses ?? [],
    hostname: serviceHostname(namespace, name, options),
  };
  outputs.managedGateways.set(key, managed);
}
