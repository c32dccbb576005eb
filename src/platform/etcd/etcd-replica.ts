import { randomUUID } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { Replica, ReplicaGuest, ReplicaListener, ReplicaStatus } from '#model/effects/replica.ts';
import type { WeftError } from '#model/error.ts';
import { ETCD } from '#model/settings/etcd.ts';
import { systemRandom } from '#platform/random.ts';
import { RangeRequestSchema } from '#proto/etcd_pb.js';
import type { EtcdConnection } from './connection.ts';
import type { Leadership } from './etcd-state.ts';
import { followPrefix, type PrefixFollower } from './follow-prefix.ts';
import { grantLease, keepAlive, revokeLease } from './lease.ts';
import { RANGE } from './methods.ts';
import { Presence } from './presence.ts';
import { commit, madeAt, putOp } from './txn.ts';

/** What a replica needs. `name`: what people and the other replicas know it by; `store`: for people. */
export type EtcdReplicaOptions = {
  connection: EtcdConnection;
  /** Of all keys, ends in a slash. */
  prefix: string;
  name: string;
  store: string;
  clock: Clock;
  log: Log;
};

const LIVE = 'live/';
const STATE = 'state/';
const LEADER = 'leader';
const REPLICA = 'replica/';
/** In the state, written by each leader before anything else: when it is told, all that was written before has been told. */
const TERM = 'term';

/**
 * One control plane of several over one etcd. It is alive by a lease: whoever has the leader's key on his leads, until that lease ends or is
 * given back; then the others try for the key. One that cannot reach etcd for the time of a lease knows by itself that it leads no more.
 */
export class EtcdReplica implements Replica {
  readonly #options: EtcdReplicaOptions;
  readonly #presence: Presence;
  readonly #live = new Map<string, string>();
  /** Names in the state. */
  readonly #names = new Set<string>();
  /** What was told of the state while nobody listened; null: somebody does. */
  #untold: Map<string, string | null> | null = new Map();
  readonly #followers: PrefixFollower[] = [];
  #listener: ReplicaListener | null = null;
  #lease = 0n;
  /** When the lease was surely good for its whole time. */
  #aliveMs = 0;
  #leadership: Leadership | null = null;
  /** The key is its own, and the term is not told yet. */
  #awaited: { word: string; leadership: Leadership } | null = null;
  #term: string | null = null;
  #beating: Promise<void> | null = null;
  #isCutOff = false;
  #cancelBeats: Cancel = () => {};
  #cancelSoon: Cancel = () => {};

  constructor(options: EtcdReplicaOptions) {
    this.#options = options;
    this.#presence = new Presence(options.connection, `${options.prefix}${LIVE}`, options.name);
  }

  leads(): boolean {
    return this.#leadership !== null;
  }

  /** What a write has to show; null: it may not write. */
  leadership(): Leadership | null {
    return this.#leadership;
  }

  leader(): string | null {
    return this.#live.get(LEADER) ?? null;
  }

  announce(node: string, guests: readonly ReplicaGuest[]): void {
    this.#presence.announce(node, guests);
    this.#soon(0);
  }

  status(): ReplicaStatus {
    const { name, store } = this.#options;
    const members = [...this.#live.keys()].filter((key) => key.startsWith(REPLICA)).map((key) => key.slice(REPLICA.length));
    const revisions = this.#followers.map((follower) => follower.revision());
    const revision = revisions.reduce((most, one) => (one > most ? one : most), 0n);
    const role = this.leads() ? 'leader' : 'follower';
    return { name, role, leader: this.leader(), store, members: members.sort(), revision: String(revision) };
  }

  /** Comes to life, and sees who else there is. Errors: WEFT_ETCD. */
  async join(): Promise<void> {
    await this.#revive();
    await this.#follow(LIVE, (changes) => this.#takeLive(changes));
    await this.#follow(STATE, (changes) => this.#takeState(changes));
    this.#cancelBeats = this.#options.clock.every(ETCD.keepAliveMs, () => this.#beat());
    this.#beat();
  }

  /** Resolves to true once it leads, or all of these are in the state; to false when neither comes to be in time. */
  async ready(names: readonly string[]): Promise<boolean> {
    const { clock } = this.#options;
    const untilMs = clock.monotonicMs() + ETCD.trustMsMax;
    while (!this.leads() && !names.every((name) => this.#names.has(name))) {
      if (clock.monotonicMs() > untilMs) return false;
      await new Promise<void>((resolve) => clock.after(ETCD.readyPollMs, resolve));
    }
    return true;
  }

  async follow(listener: ReplicaListener): Promise<void> {
    this.#listener = listener;
    const untold = this.#untold ?? new Map();
    this.#untold = null;
    listener.state(untold);
    listener.guests(this.#presence.elsewhere(this.#live.keys(), this.#live));
    if (this.leads()) listener.leads(true);
  }

  /** Gives its lease back, so that the others need not wait for its end. */
  async leave(): Promise<void> {
    this.#cancelBeats();
    this.#cancelSoon();
    for (const follower of this.#followers) follower.close();
    await this.#beating;
    this.#listener = null;
    this.#leadership = null;
    await revokeLease(this.#options.connection, this.#lease).catch(() => {}); // it ends by itself
  }

  async #follow(part: string, take: (changes: ReadonlyMap<string, string | null>) => void): Promise<void> {
    const { connection, prefix, clock, log } = this.#options;
    const trouble = (problem: WeftError | null): void => {
      if (problem === null) log.info({ store: this.#options.store }, 'etcd is followed again');
      else log.warn({ err: problem }, 'etcd cannot be followed; what it said before is in force');
    };
    this.#followers.push(await followPrefix(connection, `${prefix}${part}`, clock, { changed: take, trouble }));
  }

  #takeLive(changes: ReadonlyMap<string, string | null>): void {
    for (const [key, text] of changes) {
      if (text === null) this.#live.delete(key);
      else this.#live.set(key, text);
    }
    const guests = this.#presence.elsewhere(changes.keys(), this.#live);
    if (guests.size > 0) this.#listener?.guests(guests);
    if (!changes.has(LEADER)) return;
    if (this.leads() && this.leader() !== this.#options.name) this.#stepDown('another one is to lead');
    // Not all at the same moment, and not with the next beat only.
    if (this.leader() === null) this.#soon(systemRandom() * ETCD.campaignMsMax);
    else this.#options.log.info({ leader: this.leader() }, 'control plane that leads');
  }

  #takeState(changes: ReadonlyMap<string, string | null>): void {
    for (const [name, text] of changes) {
      if (text === null) this.#names.delete(name);
      else this.#names.add(name);
      this.#untold?.set(name, text);
    }
    this.#listener?.state(changes);
    this.#term = changes.get(TERM) ?? this.#term;
    this.#lead();
  }

  #soon(afterMs: number): void {
    this.#cancelSoon();
    this.#cancelSoon = this.#options.clock.after(afterMs, () => this.#beat());
  }

  /** Beats never overlap: what comes up during one waits for the next. */
  #beat(): void {
    const { clock, log } = this.#options;
    if (this.leads() && clock.monotonicMs() - this.#aliveMs > ETCD.leaseMs) this.#stepDown('etcd is out of reach');
    if (this.#beating !== null) return;
    this.#beating = this.#stayAlive()
      .then(
        () => {
          this.#isCutOff = false;
        },
        (error: unknown) => {
          if (!this.#isCutOff) log.warn({ err: error }, 'etcd does not hear that this control plane is alive');
          this.#isCutOff = true;
        },
      )
      .finally(() => {
        this.#beating = null;
      });
  }

  async #stayAlive(): Promise<void> {
    const { connection, clock, name } = this.#options;
    const sentMs = clock.monotonicMs();
    if (await keepAlive(connection, this.#lease, clock)) this.#aliveMs = sentMs;
    else {
      this.#stepDown('its lease has ended');
      await this.#revive();
    }
    await this.#presence.flush(this.#lease);
    const mayLead = this.leader() === null || this.leader() === name;
    if (mayLead && !this.leads() && this.#awaited === null) await this.#campaign();
  }

  /** A new lease, with all that lies on it. */
  async #revive(): Promise<void> {
    const { connection, clock, prefix, name } = this.#options;
    const sentMs = clock.monotonicMs();
    this.#lease = await grantLease(connection, ETCD.leaseMs);
    this.#aliveMs = sentMs;
    await commit(connection, [], [putOp(`${prefix}${LIVE}${REPLICA}${name}`, name, this.#lease)]);
    this.#presence.oweAll();
  }

  async #campaign(): Promise<void> {
    const { connection, prefix, name } = this.#options;
    const key = `${prefix}${LIVE}${LEADER}`;
    const word = `${name} ${randomUUID()}`;
    const term = putOp(`${prefix}${STATE}${TERM}`, word);
    const won = await commit(connection, [madeAt(key, 0n)], [putOp(key, name, this.#lease), term]);
    if (won.done) this.#awaited = { word, leadership: { key, madeAt: won.revision } };
    else {
      // It may be our own all the same: of a call whose answer was lost.
      const { kvs } = await connection.call(RANGE, create(RangeRequestSchema, { key: Buffer.from(key) }));
      const [held] = kvs;
      if (held === undefined || held.lease !== this.#lease) return;
      const { done } = await commit(connection, [madeAt(key, held.createRevision)], [term]);
      if (done) this.#awaited = { word, leadership: { key, madeAt: held.createRevision } };
    }
    this.#lead();
  }

  /** It leads once its own term is told: then it knows all that the one before has written. */
  #lead(): void {
    if (this.#awaited === null || this.#awaited.word !== this.#term) return;
    this.#leadership = this.#awaited.leadership;
    this.#awaited = null;
    this.#options.log.info({ store: this.#options.store }, 'this control plane leads');
    this.#listener?.leads(true);
  }

  #stepDown(why: string): void {
    this.#awaited = null;
    if (this.#leadership === null) return;
    this.#leadership = null;
    this.#options.log.warn({ why }, 'this control plane leads no more');
    this.#listener?.leads(false);
  }
}
