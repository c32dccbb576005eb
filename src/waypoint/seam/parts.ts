import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import type { ServiceKey } from '#model/mesh/service.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import type { ToData } from './messages.ts';

// A change in parts, each of which those that serve take in between two turns of their loops.

/** A change of the mesh; no policy of it, since a waypoint has those that it enforces in its configuration. */
export function* meshMessages(
  { services, workloads }: MeshDelta,
  partMax: number = WAYPOINT.meshPartMax,
): Iterable<ToData & { kind: 'mesh' }> {
  const part = (delta: Partial<MeshDelta>): ToData & { kind: 'mesh' } => ({
    kind: 'mesh',
    delta: { services: new Map(), workloads: new Map(), policies: new Map(), ...delta },
  });
  // A small change takes place at once.
  if (services.size + workloads.size <= partMax) {
    yield part({ services, workloads });
    return;
  }
  for (const some of inParts(services, partMax)) yield part({ services: some });
  for (const some of inParts(workloads, partMax)) yield part({ workloads: some });
}

function* inParts<K, V>(all: ReadonlyMap<K, V>, partMax: number): Iterable<ReadonlyMap<K, V>> {
  let part = new Map<K, V>();
  for (const [key, value] of all) {
    part.set(key, value);
    if (part.size < partMax) continue;
    yield part;
    part = new Map();
  }
  if (part.size > 0) yield part;
}

/** What those that serve were told of configurations, so that of the next one they are told what is new. */
export class ToldConfiguration {
  #base = '';
  #services = new Map<ServiceKey, string>();

  /** What puts a configuration in force; null: there is none. */
  tell(config: WaypointConfig | null): readonly ToData[] {
    if (config === null) return [{ kind: 'configure', services: null }];
    const { services, ...base } = config;
    const messages: ToData[] = [];
    const text = JSON.stringify(base);
    if (text !== this.#base) {
      this.#services.clear(); // every one is compiled with it
      messages.push({ kind: 'base', base });
    }
    const told = new Map<ServiceKey, string>();
    for (const service of services) {
      const said = JSON.stringify(service);
      told.set(service.key, said);
      if (this.#services.get(service.key) !== said) messages.push({ kind: 'service', service });
    }
    this.#base = text;
    this.#services = told;
    return [...messages, { kind: 'configure', services: [...told.keys()] }];
  }

  /** Whoever was told did not keep it. */
  forget(): void {
    this.#base = '';
    this.#services.clear();
  }
}
