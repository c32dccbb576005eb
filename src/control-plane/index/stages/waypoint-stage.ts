import { type GatewayInfo, isRun } from '#control-plane/index/gateway-info.ts';
import type { IndexState } from '#control-plane/index/index-state.ts';
import { byAge } from '#control-plane/resources/metadata.ts';
import { serviceKeyOf } from '#model/mesh/service.ts';
import type { HttpRoute, L7Policy, WaypointConfig, WaypointService } from '#model/waypoint/config.ts';

/** Derives what one waypoint enforces and routes. */
export function deriveWaypoint(key: string, state: IndexState): void {
  const info = state.outputs.gateways.get(key);
  state.outputs.waypoints.set(key, isRun(info) ? configOf(info, state) : null);
}

function configOf(info: GatewayInfo, state: IndexState): WaypointConfig {
  const { outputs, options } = state;
  const bound = outputs.bindings.ownersOf(info.key).sort();
  return {
    namespace: info.namespace,
    gateway: info.name,
    trustDomain: options.trustDomain,
    services: bound.flatMap((service) => serviceConfig(service, state) ?? []),
    policies: [
      ...policiesFor(`Gateway ${info.key}`, state),
      // A class reaches every namespace: only the root namespace may speak for it.
      ...policiesFor(`GatewayClass ${info.className}`, state).filter(({ namespace }) => namespace === options.rootNamespace),
    ],
  };
}

function serviceConfig(name: string, state: IndexState): WaypointService | null {
  const service = state.outputs.serviceByName.get(name);
  if (service === null) return null;
  const key = serviceKeyOf(service);
  return { key, routes: routesFor(key, state), policies: policiesFor(`Service ${name}`, state) };
}

function routesFor(service: string, { inputs, outputs }: IndexState): HttpRoute[] {
  const routes = outputs.routeServices.ownersOf(service).flatMap((key) => inputs.routes.get(key) ?? []);
  return routes
    .sort(byAge)
    .flatMap(({ metadata }) => outputs.routes.get(`${metadata.namespace}/${metadata.name}`)?.services.get(service) ?? []);
}

function policiesFor(target: string, { outputs }: IndexState): L7Policy[] {
  const keys = outputs.policyTargets.ownersOf(target).sort();
  return keys.flatMap((key) => outputs.attachedPolicies.get(key)?.policy ?? []);
}
