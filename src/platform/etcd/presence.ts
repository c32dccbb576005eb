import type { ReplicaGuest } from '#model/effects/replica.ts';
import type { EtcdConnection } from './connection.ts';
import { commit, deleteOp, putOp, TXN_OPS_MAX } from './txn.ts';

const NODES = 'node/';

/**
 * Which nodes have a stream at which replica, as keys `node/<node>/<replica>` on the lease of the replica: they go with it. What could not be
 * written is owed, and written with the next flush.
 */
export class Presence {
  readonly #connection: EtcdConnection;
  readonly #prefix: string;
  readonly #name: string;
  readonly #guests = new Map<string, readonly ReplicaGuest[]>();
  readonly #owed = new Set<string>();
  #flushing = false;

  /** `name`: of this replica. */
  constructor(connection: EtcdConnection, prefix: string, name: string) {
    this.#connection = connection;
    this.#prefix = prefix;
    this.#name = name;
  }

  announce(node: string, guests: readonly ReplicaGuest[]): void {
    if (guests.length === 0) this.#guests.delete(node);
    else this.#guests.set(node, guests);
    this.#owed.add(node);
  }

  /** A new lease has nothing on it. */
  oweAll(): void {
    for (const node of this.#guests.keys()) this.#owed.add(node);
  }

  /** Writes what is owed. Errors: WEFT_ETCD; then it is still owed. */
  async flush(lease: bigint): Promise<void> {
    if (this.#flushing) return;
    this.#flushing = true;
    try {
      while (this.#owed.size > 0) {
        const nodes = [...this.#owed].slice(0, TXN_OPS_MAX);
        for (const node of nodes) this.#owed.delete(node);
        await this.#write(nodes, lease);
      }
    } finally {
      this.#flushing = false;
    }
  }

  /** What a change of keys says of nodes at other replicas; `live`: all keys as they are now. */
  elsewhere(changed: Iterable<string>, live: ReadonlyMap<string, string>): Map<string, readonly ReplicaGuest[]> {
    const nodes = new Set([...changed].flatMap((key) => readKey(key)?.node ?? []));
    const found = new Map<string, ReplicaGuest[]>([...nodes].map((node) => [node, []]));
    if (nodes.size === 0) return found;
    for (const [key, text] of live) {
      const { node, replica } = readKey(key) ?? {};
      if (node !== undefined && replica !== this.#name) found.get(node)?.push(...readGuests(text));
    }
    return found;
  }

  async #write(nodes: readonly string[], lease: bigint): Promise<void> {
    const ops = nodes.map((node) => {
      const key = `${this.#prefix}${NODES}${encodeURIComponent(node)}/${encodeURIComponent(this.#name)}`;
      const guests = this.#guests.get(node);
      return guests === undefined ? deleteOp(key) : putOp(key, JSON.stringify(guests), lease);
    });
    try {
      await commit(this.#connection, [], ops);
    } catch (error) {
      for (const node of nodes) this.#owed.add(node);
      throw error;
    }
  }
}

function readKey(key: string): { node: string; replica: string } | null {
  const [node, replica, ...others] = key.startsWith(NODES) ? key.slice(NODES.length).split('/') : [];
  if (node === undefined || replica === undefined || others.length > 0) return null;
  return { node: decodeURIComponent(node), replica: decodeURIComponent(replica) };
}

/** Written by another replica, perhaps of another version: what is not understood is nobody. */
function readGuests(text: string): ReplicaGuest[] {
  try {
    const parsed: unknown = JSON.parse(text);
    if (!Array.isArray(parsed)) return [];
    return parsed.flatMap(({ ip, instance }: { ip?: unknown; instance?: unknown }) =>
      typeof ip === 'string' && typeof instance === 'string' ? [{ ip, instance }] : [],
    );
  } catch {
    return [];
  }
}
