import type { MeshState } from '#model/mesh/mesh-state.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { type L4Policies, mayAnyway, policiesFor } from '#model/policy/l4.ts';
import { AGENT } from '#model/settings/agents.ts';

/** A connection that may come: `source` null is a stranger in plain text; `set`: the policies in force for the destination, which is `here`, or on another node. */
export type Pair = {
  readonly set: L4Policies;
  readonly source: Workload | null;
  readonly destination: Workload;
  readonly here: boolean;
  readonly port: number;
};

/**
 * The pairs whose verdicts are worked out ahead, `AGENT.eagerPairsMax` at most: those of this node first; then those towards other nodes
 * that a rule might refuse, so that connect() itself can. `local`: who is enrolled here. `only`: just the pairs in which one of
 * these workloads takes part; null: all.
 */
export function* eagerPairs(mesh: MeshState, local: readonly Workload[], only: ReadonlySet<string> | null): Generator<Pair> {
  // Thousands of destinations have few sets of policies.
  const refusable = new Map<L4Policies, readonly Workload[]>();
  const refusableBy = (set: L4Policies): readonly Workload[] => {
    const sources = refusable.get(set) ?? local.filter((source) => !mayAnyway(set, source));
    refusable.set(set, sources);
    return sources;
  };
  let pairs = 0;
  for (const { destination, here } of destinations(mesh, local, only)) {
    const set = policiesFor(mesh, destination);
    for (const source of here ? [null, ...local] : refusableBy(set)) {
      if (source === destination) continue;
      if (only !== null && !only.has(destination.uid) && (source === null || !only.has(source.uid))) continue;
      for (const port of targetPorts(destination)) {
        if (++pairs > AGENT.eagerPairsMax) return;
        yield { set, source, destination, here, port };
      }
    }
  }
}

/** Those of this node first. When `only` names nobody here, elsewhere only those that it names are of interest. */
function* destinations(
  mesh: MeshState,
  local: readonly Workload[],
  only: ReadonlySet<string> | null,
): Generator<{ destination: Workload; here: boolean }> {
  for (const destination of local) yield { destination, here: true };
  const here = new Set(local.map(({ uid }) => uid));
  const isOfAll = only === null || local.some(({ uid }) => only.has(uid));
  for (const destination of isOfAll ? mesh.workloads() : [...only].flatMap((uid) => mesh.workload(uid) ?? []))
    if (destination.tunnelProtocol === 'hbone' && !here.has(destination.uid)) yield { destination, here: false }; // perhaps one who has left
}

function targetPorts(workload: Workload): Set<number> {
  return new Set(
    [...workload.services.values()].flatMap((ports) => ports.map((port) => port.targetPort)).filter((port) => port > 0),
  );
}
