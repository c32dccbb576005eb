import { Engine, type ObserveDerivation } from '#control-plane/index/engine.ts';
import type { Condition, IndexChange, IndexDelta, ManagedGateway } from '#control-plane/index/index-delta.ts';
import type { KindDefinition, MeshDefinitions } from '#control-plane/index/kind-definition.ts';
import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import { OUTPUT } from '#control-plane/index/outputs.ts';
import { NodeRegistrations, REGISTRATIONS } from '#control-plane/index/registrations.ts';
import { type Allocations, VipAllocator } from '#control-plane/index/vip-allocator.ts';
import type { Problem } from '#control-plane/resources/finding.ts';
import { identityOfName, type ResourceName } from '#control-plane/resources/resource.ts';
import type { IpAddress } from '#model/address/ip.ts';
import { atOnce, type Work } from '#model/effects/work.ts';
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

/** What an index is made of. */
export type MeshIndexOptions = {
  options: MeshOptions;
  /** The kinds it reads: it knows none by itself. */
  definitions: MeshDefinitions;
  /** Addresses that an earlier run handed out. */
  allocations?: Allocations;
  /** Is told every derivation that runs. */
  observe?: ObserveDerivation;
};

/**
 * Derives workloads, services, policies and waypoint configurations from resources and registered workloads.
 * A change costs what it touches: no effects, no clock, and the same outcome in whatever order things arrive.
 */
export class MeshIndex {
  readonly #kinds: ReadonlyMap<string, KindDefinition>;
  readonly #engine: Engine;
  readonly #allocator: VipAllocator;
  readonly #nodes = new NodeRegistrations();
  #started = false;

  constructor({ options, definitions, allocations = {}, observe = () => {} }: MeshIndexOptions) {
    const { kinds, derivations } = definitions;
    this.#kinds = new Map(kinds.map((definition) => [definition.kind, definition]));
    this.#allocator = new VipAllocator(allocations);
    this.#engine = new Engine({
      derivations: [...kinds.flatMap((kind) => kind.derivations), ...derivations],
      outputs: Object.values(OUTPUT),
      options,
      allocator: this.#allocator,
      observe,
    });
  }

  /**
   * Takes a change and returns the outputs that differ because of it. The first one should hold everything
   * there is at the start: addresses kept for services that it does not name are freed.
   */
  apply(change: IndexChange): IndexDelta {
    return atOnce(this.taking(change));
  }

  /** The same piece by piece; until it is at its end, nothing else may be asked of the index. */
  *taking({ removed = [], upserted = [], nodes = new Map(), allocations = {} }: IndexChange): Work<IndexDelta> {
    this.#engine.rederive(this.#allocator.adopt(allocations));
    for (const name of removed) {
      this.#put(identityOfName(name), null);
      yield;
    }
    for (const resource of upserted) {
      const { namespace, name } = resource.metadata;
      this.#put({ kind: resource.kind, namespace, name }, resource);
      yield;
    }
    for (const [node, workloads] of nodes) {
      for (const [key, workload] of this.#nodes.replace(node, workloads)) {
        this.#engine.put(REGISTRATIONS, key, workload);
        yield;
      }
    }
    yield* this.#engine.running();
    if (!this.#started) this.#allocator.releaseAllBut(this.#engine.holders());
    this.#started = true;
    return yield* this.#takeDelta();
  }

  /** Addresses that services were given, all of them; what is kept for services that are gone is freed. */
  allocations(): ReadonlyMap<string, readonly IpAddress[]> {
    this.#allocator.releaseAllBut(this.#engine.holders());
    return this.#allocator.all();
  }

  /** The whole state as it is now; each table is put together when it is asked for. */
  snapshot(): IndexSnapshot {
    const engine = this.#engine;
    return {
      get workloads() {
        return engine.all(OUTPUT.workloads);
      },
      get services() {
        return engine.all(OUTPUT.services);
      },
      get policies() {
        return engine.all(OUTPUT.policies);
      },
      get waypoints() {
        return engine.all(OUTPUT.waypoints);
      },
      get gateways() {
        return engine.all(OUTPUT.gateways);
      },
      get conditions() {
        return engine.all(OUTPUT.conditions) as IndexSnapshot['conditions'];
      },
      get problems() {
        return engine.all(OUTPUT.problems) as IndexSnapshot['problems'];
      },
    };
  }

  /** A resource of a kind that nobody defined has no effect, and so has a registered workload: no document removes it. */
  #put({ kind, namespace, name }: { kind: string; namespace: string; name: string }, resource: unknown): void {
    const definition = this.#kinds.get(kind);
    if (definition === undefined) return;
    this.#engine.put(definition.resources, namespace === '' ? name : `${namespace}/${name}`, resource as never);
  }

  *#takeDelta(): Work<IndexDelta> {
    const engine = this.#engine;
    return {
      mesh: {
        workloads: yield* engine.takingChanges(OUTPUT.workloads),
        services: yield* engine.takingChanges(OUTPUT.services),
        policies: yield* engine.takingChanges(OUTPUT.policies),
      },
      waypoints: yield* engine.takingChanges(OUTPUT.waypoints),
      gateways: yield* engine.takingChanges(OUTPUT.gateways),
      autoGateways: yield* engine.takingChanges(OUTPUT.autoGateways),
      conditions: listsByName(yield* engine.takingChanges(OUTPUT.conditions)),
      problems: listsByName(yield* engine.takingChanges(OUTPUT.problems)),
      allocations: this.#allocator.takeChange(),
    };
  }
}

/** The tables of a status are keyed by names of resources; an empty list stands for nothing left. */
function listsByName<Item>(changes: ReadonlyMap<string, readonly Item[] | null>): Map<ResourceName, readonly Item[]> {
  return new Map([...changes].map(([name, list]) => [name as ResourceName, list ?? []]));
}
