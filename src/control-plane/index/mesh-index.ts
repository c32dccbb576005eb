import { endpointOfRegistered, registeredUid } from '#control-plane/index/endpoint.ts';
import type { Condition, IndexChange, IndexDelta, ManagedGateway } from '#control-plane/index/index-delta.ts';
import { IndexOutputs } from '#control-plane/index/index-outputs.ts';
import type { IndexState } from '#control-plane/index/index-state.ts';
import { Invalidation, STAGES, type Stage } from '#control-plane/index/invalidation.ts';
import { MeshInputs } from '#control-plane/index/mesh-inputs.ts';
import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import type { RegisteredWorkload } from '#control-plane/index/registered-workload.ts';
import { deriveAuthorization } from '#control-plane/index/stages/authorization-stage.ts';
import { deriveGateway, deriveManagedGateway } from '#control-plane/index/stages/gateway-stage.ts';
import { derivePeerAuthentication } from '#control-plane/index/stages/peer-stage.ts';
import { deriveHttpRoute } from '#control-plane/index/stages/route-stage.ts';
import { deriveService } from '#control-plane/index/stages/service-stage.ts';
import { deriveWaypoint } from '#control-plane/index/stages/waypoint-stage.ts';
import { deriveWorkload } from '#control-plane/index/stages/workload-stage.ts';
import { dropResource, takeEndpoint, takeResource } from '#control-plane/index/take-input.ts';
import { type Allocations, VipAllocator } from '#control-plane/index/vip-allocator.ts';
import type { Problem } from '#control-plane/resources/finding.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import type { Authorization } from '#model/mesh/authorization.ts';
import type { Service } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';

/** Everything the index has derived, by the keys of its deltas. */
export type IndexSnapshot = {
  workloads: ReadonlyMap<string, Workload>;
  services: ReadonlyMap<string, Service>;
  policies: ReadonlyMap<string, Authorization>;
  waypoints: ReadonlyMap<string, WaypointConfig>;
  gateways: ReadonlyMap<string, ManagedGateway>;
  conditions: ReadonlyMap<ResourceName, readonly Condition[]>;
  problems: ReadonlyMap<ResourceName, readonly Problem[]>;
};

/** One derivation per stage. */
const DERIVE: Readonly<Record<Stage, (key: string, state: IndexState) => void>> = {
  gateway: deriveGateway,
  service: deriveService,
  workload: deriveWorkload,
  authorization: deriveAuthorization,
  peer: derivePeerAuthentication,
  route: deriveHttpRoute,
  waypoint: deriveWaypoint,
  'managed-gateway': deriveManagedGateway,
};

/**
 * Derives workloads, services, policies and waypoint configurations from resources and registered workloads.
 * A change costs what it touches: no effects, no clock, and the same outcome in whatever order things arrive.
 */
export class MeshIndex {
  readonly #state: IndexState;
  #started = false;

  /** `allocations`: those that an earlier run handed out. */
  constructor(options: MeshOptions, allocations: Allocations = {}) {
    this.#state = {
      options,
      inputs: new MeshInputs(),
      outputs: new IndexOutputs(),
      invalidation: new Invalidation(),
      allocator: new VipAllocator(allocations),
    };
  }

  /**
   * Takes a change and returns the outputs that differ because of it. The first one should hold everything
   * there is at the start: addresses kept for services that it does not name are freed.
   */
  apply(change: IndexChange): IndexDelta {
    const state = this.#state;
    for (const name of change.removed ?? []) dropResource(name, state);
    for (const resource of change.upserted ?? []) takeResource(resource, state);
    for (const [node, workloads] of change.nodes ?? []) takeNode(node, workloads, state);
    for (const stage of STAGES) for (const key of state.invalidation.take(stage)) DERIVE[stage](key, state);
    if (!this.#started) state.allocator.releaseAllBut(new Set(state.outputs.serviceByName.all().keys()));
    this.#started = true;
    return { ...state.outputs.takeDelta(), allocations: state.allocator.takeChange() };
  }

  /** The whole state; the maps are live and must not be changed. */
  snapshot(): IndexSnapshot {
    const { workloads, services, policies, waypoints, managedGateways, conditions, problems } = this.#state.outputs;
    return {
      workloads: workloads.all(),
      services: services.all(),
      policies: policies.all(),
      waypoints: waypoints.all(),
      gateways: managedGateways.all(),
      conditions: conditions.all(),
      problems: problems.all(),
    };
  }
}

function takeNode(node: string, workloads: readonly RegisteredWorkload[], state: IndexState): void {
  const { inputs, options } = state;
  const byUid = new Map(workloads.map((workload) => [registeredUid(workload, options), { ...workload, node }]));
  for (const uid of inputs.registrations.replace(node, byUid)) {
    const workload = inputs.registrations.get(uid);
    takeEndpoint(uid, workload === null ? null : endpointOfRegistered(workload, options), state);
  }
}
