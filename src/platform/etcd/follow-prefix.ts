import type { Clock } from '#model/effects/clock.ts';
import { toLastResort } from '#model/effects/mishaps.ts';
import type { WeftError } from '#model/error.ts';
import { Retry } from '#model/resilience/retry.ts';
import { ETCD } from '#model/settings/etcd.ts';
import { systemRandom } from '#platform/random.ts';
import { Event_EventType } from '#proto/etcd_pb.js';
import { type EtcdConnection, etcdError } from './connection.ts';
import { listKeys, nameOf, textOf } from './list-keys.ts';
import { openWatch, type WatchEnd } from './watch-stream.ts';

/** Who hears of what lies below a prefix; names come without it. */
export type PrefixListener = {
  /**
   * Name → text, null of one that is gone: the first call brings everything there is, also when that is nothing; the others what changed since,
   * whole revisions at a time, in order.
   */
  changed(changes: ReadonlyMap<string, string | null>, revision: bigint): void;
  /** etcd cannot be followed for now: told once, until it can be again, which is told by null. */
  trouble(problem: WeftError | null): void;
};

/** What follows a prefix. */
export type PrefixFollower = {
  /** As of which revision of etcd everything was told. */
  revision(): bigint;
  close(): void;
};

/**
 * Tells what lies below a prefix, and from then on what changes: a member that fails is left for the next, and where etcd has forgotten
 * what happened meanwhile, all is read anew. Resolves once everything was told. Errors: WEFT_ETCD when nothing can be read now.
 */
export async function followPrefix(
  connection: EtcdConnection,
  prefix: string,
  clock: Clock,
  listener: PrefixListener,
): Promise<PrefixFollower> {
  const follower = new Follower(connection, prefix, clock, listener);
  await follower.readAll();
  follower.watch();
  return follower;
}

class Follower implements PrefixFollower {
  readonly #connection: EtcdConnection;
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #listener: PrefixListener;
  readonly #retry: Retry;
  #known: Set<string> | null = null;
  #revision = 0n;
  #isStale = false;
  #inTrouble = false;
  #closed = false;
  #closeWatch = (): void => {};

  constructor(connection: EtcdConnection, prefix: string, clock: Clock, listener: PrefixListener) {
    this.#connection = connection;
    this.#prefix = prefix;
    this.#clock = clock;
    this.#listener = listener;
    const backoff = { firstMs: ETCD.backoffFirstMs, maxMs: ETCD.backoffMaxMs };
    this.#retry = new Retry({ clock, random: systemRandom }, backoff, () => this.#again());
  }

  revision(): bigint {
    return this.#revision;
  }

  close(): void {
    this.#closed = true;
    this.#retry.close();
    this.#closeWatch();
  }

  /** Everything there is, and what is gone of what was told before. Errors: WEFT_ETCD. */
  async readAll(): Promise<void> {
    const { entries, revision } = await listKeys(this.#connection, this.#prefix);
    if (this.#closed) return;
    const gone = [...(this.#known ?? [])].filter((name) => !entries.has(name));
    this.#known = new Set(entries.keys());
    this.#revision = revision;
    this.#isStale = false;
    this.#listener.changed(new Map<string, string | null>([...entries, ...gone.map((name) => [name, null] as const)]), revision);
  }

  watch(): void {
    const { member } = this.#connection;
    this.#closeWatch = openWatch(this.#connection, { prefix: this.#prefix, from: this.#revision + 1n }, this.#clock, {
      opened: () => {
        this.#retry.succeeded();
        this.#tellTrouble(null);
      },
      events: (events, revision) => {
        const changes = new Map<string, string | null>();
        for (const { type, kv } of events) {
          if (kv === undefined) continue;
          const name = nameOf(kv, this.#prefix);
          const isGone = type === Event_EventType.DELETE;
          changes.set(name, isGone ? null : textOf(kv));
          if (isGone) this.#known?.delete(name);
          else this.#known?.add(name);
        }
        this.#revision = revision;
        this.#listener.changed(changes, revision);
      },
      ended: (end) => this.#ended(member, end),
    });
  }

  #ended(member: string, end: WatchEnd): void {
    if (this.#closed) return;
    if (end.kind === 'compacted') {
      this.#isStale = true;
      this.#retry.after(0);
      return;
    }
    this.#connection.moveOn(member);
    this.#tellTrouble(etcdError(member, new Error(end.why)));
    this.#retry.failed();
  }

  #again(): void {
    const read = this.#isStale ? this.readAll() : Promise.resolve();
    read
      .then(
        () => this.#closed || this.watch(),
        (error: WeftError) => {
          this.#tellTrouble(error);
          this.#retry.failed();
        },
      )
      .catch(toLastResort);
  }

  #tellTrouble(problem: WeftError | null): void {
    if (this.#closed || this.#inTrouble === (problem !== null)) return;
    this.#inTrouble = problem !== null;
    this.#listener.trouble(problem);
  }
}
