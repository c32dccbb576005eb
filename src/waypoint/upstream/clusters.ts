import { formatAddress } from '#model/address/ip.ts';
import type { ServiceKey } from '#model/mesh/service.ts';
import { breakerOfPart } from '#model/resilience/circuit.ts';
import type { Subset } from '#model/routing/subsets.ts';
import type { DestinationSettings, ServiceDestination } from '#model/waypoint/destination-settings.ts';
import type { Telemetry } from '#waypoint/self/counters.ts';
import type { WaypointEffects } from '#waypoint/self/effects.ts';
import type { ServiceState } from '#waypoint/state/kept.ts';
import type { KeptSlot } from '#waypoint/state/slots.ts';
import type { BoundService } from '#waypoint/state/snapshot.ts';
import type { WaypointState } from '#waypoint/state/waypoint-state.ts';
import { Cluster, type ClusterEffects, ClusterState } from './cluster.ts';
import type { Upstreams } from './upstreams.ts';

type ClustersContext = {
  readonly state: WaypointState;
  readonly upstreams: Upstreams;
  readonly effects: WaypointEffects;
  readonly telemetry: Telemetry;
  /** In how many parts the waypoint serves. */
  readonly parts: number;
};

/** What is said of one service, and the clusters made of it so far: by port, and the name of the subset. */
type Compiled = { readonly said: readonly ServiceDestination[]; readonly clusters: Map<string, Cluster | null> };

/** Finds how what is sent somewhere is treated. What is counted lies with the service, and outlives configurations. */
export class Clusters {
  readonly #context: ClustersContext;
  readonly #compiled: KeptSlot<BoundService, ReadonlyMap<ServiceKey, Compiled>>;
  readonly #states: KeptSlot<ServiceState, Map<string, ClusterState>>;

  constructor(context: ClustersContext) {
    this.#context = context;
    const { bindings, perService } = context.state;
    this.#compiled = bindings.keep({ make: ({ config }) => compile(config.destinations ?? [], context.parts) });
    this.#states = perService.keep({ make: () => new Map() });
  }

  /** Null when nothing is said of it. `bound`: the service that was dialled. */
  of(bound: BoundService | null, service: ServiceKey, port: number, subset: Subset | null): Cluster | null {
    if (bound === null || bound.config.destinations === undefined) return null;
    const compiled = this.#compiled.of(bound).get(service);
    if (compiled === undefined) return null;
    const place = subset === null ? String(port) : `${port} ${subset.name}`;
    const known = compiled.clusters.get(place);
    if (known !== undefined) return known;
    const settings = settingsOf(compiled.said, port, subset?.name ?? null);
    const made = settings === null ? null : this.#make(service, place, settings);
    compiled.clusters.set(place, made);
    return made;
  }

  #make(key: ServiceKey, place: string, settings: DestinationSettings): Cluster | null {
    const service = this.#context.state.service(key);
    if (service === null) return null;
    const states = this.#states.of(service);
    const state = states.get(place) ?? new ClusterState();
    states.set(place, state);
    return new Cluster(settings, state, this.#effectsOf(key));
  }

  #effectsOf(key: ServiceKey): ClusterEffects {
    const { effects, upstreams, telemetry } = this.#context;
    const destination_service = key.slice(key.indexOf('/') + 1);
    return {
      nowMs: () => effects.clock.monotonicMs(),
      openConnections: (endpoints) => upstreams.openConnections(endpoints),
      onOverflow: (limit) => telemetry.meters.counter('weft_circuit_overflow_total', { destination_service, limit }).add(),
      onEjection: ({ endpoint: { workload, ip, port }, detector, outcome, forMs }) => {
        telemetry.meters.counter('weft_outlier_ejections_total', { destination_service, detector, outcome }).add();
        const said = { 'dst.addr': formatAddress(ip, port), 'dst.workload': workload.name, 'dst.namespace': workload.namespace };
        if (outcome === 'ejected')
          effects.log.warn(
            { ...said, 'dst.service': destination_service, detector, for_ms: forMs },
            'left out an endpoint that fails',
          );
      },
    };
  }
}

function compile(destinations: readonly ServiceDestination[], parts: number): ReadonlyMap<ServiceKey, Compiled> {
  const compiled = new Map<ServiceKey, Compiled>();
  for (const [key, said] of Map.groupBy(destinations, ({ service }) => service)) {
    const ofPart = said.map((one) =>
      one.circuitBreaker === undefined ? one : { ...one, circuitBreaker: breakerOfPart(one.circuitBreaker, parts) },
    );
    compiled.set(key, { said: ofPart, clusters: new Map() });
  }
  return compiled;
}

/** What is said of the subset goes before what is said of the port; nothing is put together here. */
function settingsOf(said: readonly ServiceDestination[], port: number, subset: string | null): DestinationSettings | null {
  const find = (ofPort: number | null, ofSubset: string | null): ServiceDestination | undefined =>
    said.find((one) => one.port === ofPort && one.subset === ofSubset);
  const ofSubset = subset === null ? undefined : (find(port, subset) ?? find(null, subset));
  return ofSubset ?? find(port, null) ?? find(null, null) ?? null;
}
