import type { DerivedRoute } from '#control-plane/index/derive-route.ts';
import type { GatewayInfo } from '#control-plane/index/gateway-info.ts';
import type { Condition, GatewayKey, IndexDelta, ManagedGateway } from '#control-plane/index/index-delta.ts';
import { OutputTable } from '#control-plane/index/output-table.ts';
import { ReverseIndex } from '#control-plane/index/reverse-index.ts';
import type { Problem } from '#control-plane/resources/finding.ts';
import type { PolicyTarget } from '#control-plane/resources/kinds/authorization-policy.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import type { Authorization, PolicyKey } from '#model/mesh/authorization.ts';
import { type Service, type ServiceKey, serviceKeyOf } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { L7Policy, WaypointConfig } from '#model/waypoint/config.ts';

/** A policy as waypoints enforce it, with what it is attached to. */
export type AttachedPolicy = { policy: L7Policy; namespace: string; targets: readonly PolicyTarget[] };

/** A route by the services it is attached to; its age decides between routes. */
export type AttachedRoute = { createdAtMs: number | null; services: DerivedRoute['attached'] };

/** Everything that was derived: what leaves the index, and what later stages read. */
export class IndexOutputs {
  readonly workloads = new OutputTable<string, Workload>();
  readonly services = new OutputTable<ServiceKey, Service>();
  readonly policies = new OutputTable<PolicyKey, Authorization>();
  readonly waypoints = new OutputTable<GatewayKey, WaypointConfig>();
  readonly managedGateways = new OutputTable<GatewayKey, ManagedGateway>();
  readonly conditions = new OutputTable<ResourceName, readonly Condition[]>();
  readonly problems = new OutputTable<ResourceName, readonly Problem[]>();

  /** By `<namespace>/<name>`; these stay inside. */
  readonly gateways = new OutputTable<GatewayKey, GatewayInfo>();
  readonly serviceByName = new OutputTable<string, Service>();
  readonly routes = new OutputTable<string, AttachedRoute>();
  readonly attachedPolicies = new OutputTable<string, AttachedPolicy>();
  /** What to call the resource behind a workload, also after it is gone. */
  readonly workloadResources = new Map<string, ResourceName>();
  /** Service (`<namespace>/<name>`) → the Gateway that serves it. */
  readonly bindings = new ReverseIndex();
  /** Route → service keys it is attached to. */
  readonly routeServices = new ReverseIndex();
  /** Policy → its targets, as `Kind namespace/name` or `GatewayClass name`. */
  readonly policyTargets = new ReverseIndex();

  /** Takes the service of a name; whether it differs from before. */
  setService(key: string, service: Service | null): boolean {
    const before = this.serviceByName.get(key);
    const changed = this.serviceByName.set(key, service);
    if (before !== null && service === null) this.services.set(serviceKeyOf(before), null);
    if (service !== null) this.services.set(serviceKeyOf(service), service);
    return changed;
  }

  /** What is to be said about one resource; nothing removes what was said. */
  setStatus(resource: ResourceName, conditions: readonly Condition[], problems: readonly Problem[]): void {
    this.conditions.set(resource, conditions.length === 0 ? null : conditions);
    this.problems.set(resource, problems.length === 0 ? null : problems);
  }

  /** What changed since the last call, as it leaves the index. */
  takeDelta(): Omit<IndexDelta, 'allocations'> {
    for (const inner of [this.gateways, this.serviceByName, this.routes, this.attachedPolicies]) inner.takeChanges();
    return {
      mesh: {
        workloads: this.workloads.takeChanges(),
        services: this.services.takeChanges(),
        policies: this.policies.takeChanges(),
      },
      waypoints: this.waypoints.takeChanges(),
      gateways: this.managedGateways.takeChanges(),
      conditions: emptyInsteadOfNull(this.conditions.takeChanges()),
      problems: emptyInsteadOfNull(this.problems.takeChanges()),
    };
  }
}

function emptyInsteadOfNull<Key, Item>(changes: ReadonlyMap<Key, readonly Item[] | null>): Map<Key, readonly Item[]> {
  return new Map([...changes].map(([key, list]) => [key, list ?? []]));
}
