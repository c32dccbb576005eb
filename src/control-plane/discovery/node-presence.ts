import type { Caller } from '#control-plane/authentication/authenticator.ts';
import { isLoopback } from '#model/address/ip.ts';
import type { Clock } from '#model/effects/clock.ts';
import { CONTROL } from '#model/settings/control-planes.ts';

/** A client whose stream is open. */
type Present = Pick<Caller, 'node' | 'origin'>;

/** Tells other replicas from where a node's agent reaches this one; an empty list: it does no longer. */
export type Announce = (node: string, origins: readonly Present['origin'][]) => void;

/** Two machines under the name of one node, by their addresses: `from` has it, `also` was refused. */
export type Rival = { node: string; from: string; also: string };

/**
 * Which nodes are there, and who speaks for each. A node has one machine: while a stream of it is open, whoever comes with its
 * token from elsewhere has a token that was copied, and is refused. First come, because the other way round a thief could end the
 * stream of the real one whenever he likes.
 */
export class NodePresence {
  readonly #clock: Clock;
  readonly #startedMs: number;
  readonly #present = new Map<string, Set<Present>>();
  /** Node → when its last stream ended. */
  readonly #leftMs = new Map<string, number>();
  /** Node → who came last with its token, from elsewhere. */
  /** Node → from where its agent reaches other replicas. */
  readonly #elsewhere = new Map<string, readonly Present['origin'][]>();
  readonly #announce: Announce;
  readonly #rivals = new Map<string, Rival & { atMs: number }>();

  constructor(clock: Clock, announce: Announce = () => {}) {
    this.#announce = announce;
    this.#clock = clock;
    this.#startedMs = clock.monotonicMs();
  }

  /** To be told of each stream; returns what is to be called at its end. Who speaks for no node is passed over. */
  opened(client: Present): () => void {
    const { node } = client;
    if (node === null) return () => {};
    const here = this.#present.get(node) ?? new Set();
    here.add(client);
    this.#present.set(node, here);
    this.#tell(node);
    return () => {
      here.delete(client);
      if (here.size === 0 && this.#present.get(node) === here) {
        this.#present.delete(node);
        this.#leftMs.set(node, this.#clock.monotonicMs());
      }
      this.#tell(node);
    };
  }

  /** From where the agents of these nodes reach other replicas; an empty list: they do no longer. */
  follow(changes: ReadonlyMap<string, readonly Present['origin'][]>): void {
    for (const [node, origins] of changes) {
      if (origins.length > 0) this.#elsewhere.set(node, origins);
      else if (this.#elsewhere.delete(node)) this.#leftMs.set(node, this.#clock.monotonicMs());
    }
  }

  /** The node whose agent reaches us, or another replica, from this address; null: none does. */
  nodeAt(ip: string): string | null {
    for (const [node, here] of this.#present) if ([...here].some(({ origin }) => origin.ip === ip)) return node;
    for (const [node, origins] of this.#elsewhere) if (origins.some((origin) => origin.ip === ip)) return node;
    return null;
  }

  isConnected(node: string): boolean {
    return this.#present.has(node) || this.#elsewhere.has(node);
  }

  /**
   * Whether a node counts as alive: also for a while after its stream ended, and after a start, when no node had the time to come
   * back. Otherwise the first to reconnect could take what belongs to the others.
   */
  isAlive(node: string): boolean {
    const sinceMs = Math.max(this.#leftMs.get(node) ?? 0, this.#startedMs);
    return this.isConnected(node) || this.#clock.monotonicMs() - sinceMs < CONTROL.nodeLivesMs;
  }

  /** Address of the machine that speaks for the client's node, when that is not the client's own, which is remembered; else null. */
  rivalOf({ node, origin }: Present): string | null {
    const origins = node === null ? [] : this.#originsOf(node);
    if (node === null || origins.length === 0 || origins.some((other) => isSameMachine(other, origin))) return null;
    const from = origins[0]?.ip ?? null;
    if (from !== null) this.#rivals.set(node, { node, from, also: origin.ip, atMs: this.#clock.nowMs() });
    return from;
  }

  #originsOf(node: string): Present['origin'][] {
    return [...[...(this.#present.get(node) ?? [])].map(({ origin }) => origin), ...(this.#elsewhere.get(node) ?? [])];
  }

  #tell(node: string): void {
    const origins = [...(this.#present.get(node) ?? [])].map(({ origin }) => origin);
    this.#announce(node, [...new Map(origins.map((origin) => [`${origin.ip} ${origin.instance}`, origin])).values()]);
  }

  /** Who was refused for that lately: one who goes on trying is always among them. */
  rivals(): Rival[] {
    const sinceMs = this.#clock.nowMs() - CONTROL.nodeLivesMs;
    return [...this.#rivals.values()].filter(({ atMs }) => atMs > sinceMs).map(({ node, from, also }) => ({ node, from, also }));
  }
}

/** By its address, or by a word of the process when it reaches us by several: that word is not in the token. */
function isSameMachine(a: Present['origin'], b: Present['origin']): boolean {
  if (a.instance !== '' && a.instance === b.instance) return true;
  return a.ip === b.ip || (isLoopback(a.ip) && isLoopback(b.ip));
}
