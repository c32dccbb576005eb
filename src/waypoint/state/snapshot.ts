import type { ServiceKey } from '#model/mesh/service.ts';
import { compileL7, type L7Policies } from '#model/policy/l7.ts';
import { compileRoutes, type RouteTable } from '#model/routing/route-table.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';

/** What applies to one service bound to this waypoint. */
export type BoundService = {
  readonly routes: RouteTable;
  /** Those of the Gateway and those of the service: one pool, nothing overrides (config-api 3.5). */
  readonly policies: L7Policies;
};

/** One configuration, compiled. Replaced as a whole; a request uses the one it started with. */
export type Snapshot = {
  readonly services: ReadonlyMap<ServiceKey, BoundService>;
  /** For connections that dialled a workload. */
  readonly workloadPolicies: L7Policies;
};

/** Compiles a configuration; what cannot be used is reported through `problem` and left out or made strict. */
export function compileSnapshot(config: WaypointConfig, problem: (why: string) => void): Snapshot {
  const services = new Map<ServiceKey, BoundService>();
  for (const service of config.services) {
    services.set(service.key, {
      routes: compileRoutes(service.routes, problem),
      policies: compileL7([...config.policies, ...service.policies], config.trustDomain, problem),
    });
  }
  return { services, workloadPolicies: compileL7(config.policies, config.trustDomain, () => {}) };
}

/** Serves nothing and allows nothing: in force before the first configuration, and after the last. */
export const NO_CONFIGURATION: Snapshot = {
  services: new Map(),
  workloadPolicies: compileL7(
    [{ namespace: '', name: 'no-configuration', action: 'allow', dryRun: false, rules: [] }],
    '',
    () => {},
  ),
};

/** A connection that outlives a single decision: asked again whenever the snapshot is replaced (DESIGN section 2). */
export type LiveConnection = { isAllowed(snapshot: Snapshot): boolean; cut(): void };
