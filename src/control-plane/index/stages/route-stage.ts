import { deriveRoute } from '#control-plane/index/derive-route.ts';
import type { AttachedRoute } from '#control-plane/index/index-outputs.ts';
import type { IndexState } from '#control-plane/index/index-state.ts';
import type { Token } from '#control-plane/index/invalidation.ts';
import { namespaceOf } from '#control-plane/index/mesh-inputs.ts';
import type { RouteFacts } from '#control-plane/index/route-parents.ts';
import { nameOf, nameOfResource } from '#control-plane/resources/resource.ts';

/** Derives one HTTPRoute: which services it is attached to, and what its rules come to. */
export function deriveHttpRoute(key: string, state: IndexState): void {
  const { inputs, outputs, invalidation, options } = state;
  const route = inputs.routes.get(key);
  const reads: Token[] = [];
  if (route === null) {
    const namespace = namespaceOf(key);
    outputs.setStatus(nameOf({ kind: 'HTTPRoute', namespace, name: key.slice(namespace.length + 1) }), [], []);
    setAttached(key, null, state);
  } else {
    const { attached, conditions, problems } = deriveRoute(route, factsFor(reads, state), options);
    outputs.setStatus(nameOfResource(route), conditions, problems);
    const { createdAtMs } = route.metadata;
    setAttached(key, attached.size === 0 ? null : { createdAtMs, services: attached }, state);
  }
  invalidation.setReads('route', key, reads);
}

/** Look-ups that remember what was looked at. */
function factsFor(reads: Token[], { inputs, outputs }: IndexState): RouteFacts {
  return {
    lookup(key) {
      reads.push(`service ${key}`);
      return inputs.service(key);
    },
    namesIn(namespace) {
      reads.push(`service-names ${namespace}`);
      return inputs.serviceNamesIn(namespace);
    },
    hasWaypoint(key) {
      reads.push(`service-binding ${key}`);
      const [gateway] = outputs.bindings.targetsOf(key);
      if (gateway === undefined) return false;
      reads.push(`gateway ${gateway}`);
      return outputs.gateways.get(gateway)?.managed === true;
    },
    isWaypoint(key) {
      reads.push(`gateway ${key}`);
      return outputs.gateways.get(key)?.managed === true;
    },
  };
}

/** Tells the waypoints of the services that the route is, or was, attached to. */
function setAttached(key: string, attached: AttachedRoute | null, { outputs, invalidation }: IndexState): void {
  if (!outputs.routes.set(key, attached)) return;
  const before = outputs.routeServices.targetsOf(key);
  const after = [...(attached?.services.keys() ?? [])];
  outputs.routeServices.set(key, after);
  for (const service of new Set([...before, ...after])) {
    const { namespace, name } = outputs.services.get(service) ?? { namespace: '', name: '' };
    invalidation.markAll('waypoint', outputs.bindings.targetsOf(`${namespace}/${name}`));
  }
}
