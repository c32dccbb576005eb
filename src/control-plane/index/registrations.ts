import type { RegisteredWorkload } from '#control-plane/index/registered-workload.ts';
import { compareText } from '#control-plane/resources/metadata.ts';

/** What each node says it runs. Of two nodes with a workload of one name the first by node name counts. */
export class Registrations {
  readonly #byUid = new Map<string, Map<string, RegisteredWorkload>>();
  readonly #byNode = new Map<string, ReadonlySet<string>>();

  /** Replaces everything of one node. Returns the uids that it had or has. */
  replace(node: string, workloads: ReadonlyMap<string, RegisteredWorkload>): ReadonlySet<string> {
    const before = this.#byNode.get(node) ?? new Set<string>();
    for (const uid of before) this.#remove(uid, node);
    for (const [uid, workload] of workloads) {
      const nodes = this.#byUid.get(uid) ?? new Map<string, RegisteredWorkload>();
      this.#byUid.set(uid, nodes.set(node, workload));
    }
    const after = new Set(workloads.keys());
    if (after.size === 0) this.#byNode.delete(node);
    else this.#byNode.set(node, after);
    return before.union(after);
  }

  /** The workload that counts; null when no node runs one of this name. */
  get(uid: string): RegisteredWorkload | null {
    const [first] = this.nodesOf(uid);
    return first === undefined ? null : (this.#byUid.get(uid)?.get(first) ?? null);
  }

  /** Nodes that run a workload of this name, in order. */
  nodesOf(uid: string): string[] {
    return [...(this.#byUid.get(uid)?.keys() ?? [])].sort(compareText);
  }

  #remove(uid: string, node: string): void {
    const nodes = this.#byUid.get(uid);
    if (nodes?.delete(node) && nodes.size === 0) this.#byUid.delete(uid);
  }
}
