import type { IndexState } from '#control-plane/index/index-state.ts';
import type { Token } from '#control-plane/index/invalidation.ts';
import { type Binding, bindWaypoint, UNBOUND, waypointRequestOf } from '#control-plane/index/waypoint-binding.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';

/** The binding of one service or workload; remembers which Gateway it depends on. */
export function bindingFor(
  kind: 'service' | 'workload',
  key: string,
  namespace: string,
  labels: Labels,
  state: IndexState,
): Binding {
  const { inputs, outputs, invalidation, options } = state;
  const namespaceLabels = inputs.namespaceLabels(namespace);
  const request = waypointRequestOf(labels, namespace, namespaceLabels);
  if (request === null) {
    invalidation.setReads(kind, key, []);
    return UNBOUND;
  }
  const gateway = outputs.gateways.get(`${request.namespace}/${request.name}`);
  const reads: Token[] = [`gateway ${request.namespace}/${request.name}`];
  if (gateway === null) reads.push(`gateway-names ${request.namespace}`);
  invalidation.setReads(kind, key, reads);
  const gatewayNames = gateway === null ? inputs.gateways.namesIn(request.namespace) : [];
  return bindWaypoint({ request, kind, namespace, namespaceLabels, gateway, gatewayNames }, options);
}
