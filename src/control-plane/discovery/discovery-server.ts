import type { Caller } from '#control-plane/authentication/authenticator.ts';
import { DiscoveryConnection } from '#control-plane/discovery/connection.ts';
import { type Announce, NodePresence } from '#control-plane/discovery/node-presence.ts';
import { type EncodedChange, encoding, type ResourceStore, type StoreDelta } from '#control-plane/discovery/resource-store.ts';
import { Turns } from '#control-plane/discovery/turns.ts';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { atOnce, type Work } from '#model/effects/work.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import type { ConnectionStatus } from '#protocol/api/control.ts';
import { RpcError } from '#protocol/xds/resource-fault.ts';
import type { DiscoveryListener, DiscoveryStream } from '#protocol/xds/server-session.ts';

/**
 * What clients are served from; `newNonce` gives each response a text that never comes again; `announce` tells other replicas of the nodes that have
 * a stream here.
 */
export type DiscoveryServerOptions = {
  store: ResourceStore;
  clock: Clock;
  log: Log;
  newNonce: () => string;
  announce?: Announce;
};

/** Every client's stream, and the one way by which changes reach them. */
export class DiscoveryServer {
  readonly #options: DiscoveryServerOptions;
  readonly #connections = new Set<DiscoveryConnection>();
  readonly #turns: Turns<DiscoveryConnection>;
  /** Which nodes have a stream. */
  readonly presence: NodePresence;

  constructor(options: DiscoveryServerOptions) {
    this.#options = options;
    this.#turns = new Turns(options.clock, CONTROL.serveTurnMs);
    this.presence = new NodePresence(options.clock, options.announce);
  }

  /** Serves a client that a token was accepted from. */
  open(caller: Caller, stream: DiscoveryStream): DiscoveryListener {
    const { store, clock, log, newNonce } = this.#options;
    const left = this.presence.opened(caller);
    const cancelEnd = atTheEndOf(caller.untilMs, clock, () =>
      connection.end(new RpcError('unauthenticated', 'the token has expired')),
    );
    const onClosed = () => {
      cancelEnd();
      left();
      this.#connections.delete(connection);
    };
    const connection = new DiscoveryConnection({ caller, stream, store, clock, log, newNonce, turns: this.#turns, onClosed });
    this.#connections.add(connection);
    return connection;
  }

  /** Makes a change part of what is served and tells every client that follows it. */
  publish(delta: StoreDelta): void {
    atOnce(this.publishing([delta]));
  }

  /** The same piece by piece, of changes that follow one another: to clients they are one. */
  *publishing(deltas: readonly StoreDelta[]): Work<void> {
    const encoded: EncodedChange[] = [];
    for (const delta of deltas) for (const change of yield* encoding(delta)) encoded.push(change);
    yield* this.#publishing(encoded);
  }

  /** The same of changes that bring everything: whatever else was served until now is gone. */
  *publishingAll(deltas: readonly StoreDelta[]): Work<void> {
    const encoded: EncodedChange[] = [];
    for (const delta of deltas) for (const change of yield* encoding(delta)) encoded.push(change);
    for (const change of yield* this.#options.store.others(encoded)) encoded.push(change);
    yield* this.#publishing(encoded);
  }

  /** Serialized once for all; what is the same on the wire as before is not told to anybody. */
  *#publishing(encoded: readonly EncodedChange[]): Work<void> {
    if (!(yield* this.#taking(encoded))) return;
    for (const connection of this.#connections) this.#turns.want(connection);
    this.#turns.run();
    this.#options.store.trim();
  }

  /** While it lasts nobody is sent anything: half a change is no state that ever was. */
  *#taking(encoded: readonly EncodedChange[]): Work<boolean> {
    this.#turns.hold();
    try {
      return yield* this.#options.store.taking(encoded);
    } finally {
      this.#turns.release();
    }
  }

  connections(): ConnectionStatus[] {
    return [...this.#connections].map((connection) => connection.status());
  }

  /** Ends the streams of a node. */
  endNode(node: string, reason: RpcError): void {
    for (const connection of [...this.#connections]) if (connection.caller.node === node) connection.end(reason);
  }

  /** Ends every stream so that clients try again, here or at another replica. */
  close(): void {
    for (const connection of [...this.#connections])
      connection.end(new RpcError('unavailable', 'the control plane is shutting down'));
  }
}

/** Fixed by Node.js: the longest timer; a token is good for longer. */
const TIMER_MS_MAX = 2 ** 31 - 1;

function atTheEndOf(untilMs: number | null, clock: Clock, task: () => void): Cancel {
  if (untilMs === null) return () => {};
  let cancel: Cancel = () => {};
  const wait = (): void => {
    const leftMs = untilMs - clock.nowMs();
    if (leftMs <= 0) task();
    else cancel = clock.after(Math.min(leftMs, TIMER_MS_MAX), wait);
  };
  cancel = clock.after(0, wait);
  return () => cancel();
}
