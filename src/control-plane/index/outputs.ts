import type { AutoGateway, Condition, ManagedGateway } from '#control-plane/index/index-delta.ts';
import { type Entry, entry, tableOf } from '#control-plane/index/table.ts';
import type { Problem } from '#control-plane/resources/finding.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import type { Authorization } from '#model/mesh/authorization.ts';
import type { Service } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';

/** The tables that leave the index, by the keys of its deltas. Derivations may read them too, like any other. */
export const OUTPUT = {
  /** By uid. */
  workloads: tableOf<Workload>()('workloads'),
  /** By service key: `<namespace>/<hostname>`. */
  services: tableOf<Service>()('services-served'),
  policies: tableOf<Authorization>()('policies'),
  /** What each waypoint enforces and routes, by `<namespace>/<name>` of its Gateway. */
  waypoints: tableOf<WaypointConfig>()('waypoint-configs'),
  /** Waypoints that are to run, by the same keys. */
  gateways: tableOf<ManagedGateway>()('managed-gateways'),
  /** Waypoints that are to be there without anybody asking for them by name, by namespace. */
  autoGateways: tableOf<AutoGateway>()('auto-gateways'),
  conditions: tableOf<readonly Condition[]>()('conditions'),
  problems: tableOf<readonly Problem[]>()('problems'),
} as const;

/** The two tables that hold what is to be said about a resource. */
export const STATUS = [OUTPUT.conditions, OUTPUT.problems] as const;

/** What is to be said about one resource. */
export function statusOf(
  resource: ResourceName,
  conditions: readonly Condition[],
  problems: readonly Problem[],
): Entry<(typeof STATUS)[number]>[] {
  return [
    ...(conditions.length === 0 ? [] : [entry(OUTPUT.conditions, resource, conditions)]),
    ...(problems.length === 0 ? [] : [entry(OUTPUT.problems, resource, problems)]),
  ];
}

/** A condition that holds. */
export function trueCondition(resource: ResourceName, type: string, reason: string, message: string): Condition {
  return { resource, type, status: 'True', reason, message };
}

/** A condition that does not hold. */
export function falseCondition(resource: ResourceName, type: string, reason: string, message: string): Condition {
  return { resource, type, status: 'False', reason, message };
}
