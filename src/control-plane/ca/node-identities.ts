import type { Clock } from '#model/effects/clock.ts';
import { formatIdentity } from '#model/identity/identity.ts';
import { identityOf, type Workload } from '#model/mesh/workload.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';

/** Which identities run on which node, kept up from the mesh's workloads: what an agent may ask certificates for. */
export class NodeIdentities {
  /** uid → where it runs, as whom. */
  readonly #workloads = new Map<string, { node: string; uri: string }>();
  /** node → identity → how many of its workloads have it. */
  readonly #nodes = new Map<string, Map<string, number>>();
  /** node and identity → who waits for it. */
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #clock: Clock;
  #waiters = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  apply(workloads: ReadonlyMap<string, Workload | null>): void {
    // Counted, because several workloads of a node share an identity: it stays until the last of them is gone.
    for (const [uid, workload] of workloads) {
      const before = this.#workloads.get(uid);
      if (before !== undefined) this.#count(before, -1);
      // What shares the address of its host is never captured, and what is not meant for the mesh is nobody's to speak for (K96).
      if (workload === null || workload.node === '' || workload.hostNetwork || workload.outsideMesh === true) {
        this.#workloads.delete(uid);
      } else {
        const placed = { node: workload.node, uri: formatIdentity(identityOf(workload)) };
        this.#workloads.set(uid, placed);
        this.#count(placed, 1);
        for (const done of this.#waiting.get(`${placed.node} ${placed.uri}`) ?? []) done();
      }
    }
  }

  /** SPIFFE URIs of the workloads on a node. */
  identitiesOnNode(node: string): ReadonlySet<string> {
    return new Set(this.#nodes.get(node)?.keys());
  }

  /** Resolves when the identity is on the node, and at the latest after `CERTIFICATE.podWaitMs`; at once when too many wait. */
  async appears(node: string, uri: string): Promise<void> {
    if (this.#waiters >= CERTIFICATE.podWaitersMax || this.identitiesOnNode(node).has(uri)) return;
    const key = `${node} ${uri}`;
    const waiting = this.#waiting.get(key) ?? new Set();
    this.#waiting.set(key, waiting);
    this.#waiters += 1;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#clock.after(CERTIFICATE.podWaitMs, resolve);
    waiting.add(resolve);
    await promise;
    cancel();
    this.#waiters -= 1;
    waiting.delete(resolve);
    if (waiting.size === 0 && this.#waiting.get(key) === waiting) this.#waiting.delete(key);
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
