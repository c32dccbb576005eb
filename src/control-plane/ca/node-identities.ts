import { formatIdentity } from '#model/identity/identity.ts';
import { identityOf, type Workload } from '#model/mesh/workload.ts';

/** Which identities run on which node, kept up from the mesh's workloads: what an agent may ask certificates for. */
export class NodeIdentities {
  /** uid → where it runs, as whom. */
  readonly #workloads = new Map<string, { node: string; uri: string }>();
  /** node → identity → how many of its workloads have it. */
  readonly #nodes = new Map<string, Map<string, number>>();

  apply(workloads: ReadonlyMap<string, Workload | null>): void {
    // Counted, because several workloads of a node share an identity: it stays until the last of them is gone.
    for (const [uid, workload] of workloads) {
      const before = this.#workloads.get(uid);
      if (before !== undefined) this.#count(before, -1);
      if (workload === null || workload.node === '') {
        this.#workloads.delete(uid);
      } else {
        const placed = { node: workload.node, uri: formatIdentity(identityOf(workload)) };
        this.#workloads.set(uid, placed);
        this.#count(placed, 1);
      }
    }
  }

  /** SPIFFE URIs of the workloads on a node. */
  identitiesOnNode(node: string): ReadonlySet<string> {
    return new Set(this.#nodes.get(node)?.keys());
  }

  #count({ node, uri }: { node: string; uri: string }, by: 1 | -1): void {
    const counts = this.#nodes.get(node) ?? new Map<string, number>();
    const count = (counts.get(uri) ?? 0) + by;
    if (count > 0) counts.set(uri, count);
    else counts.delete(uri);
    if (counts.size > 0) this.#nodes.set(node, counts);
    else this.#nodes.delete(node);
  }
}
