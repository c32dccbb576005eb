import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { Replica, ReplicaListener, ReplicaStatus } from '#model/effects/replica.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import { systemRandom } from '#platform/random.ts';
import type { FollowedKind, ObjectChange } from '#protocol/kubernetes/following.ts';
import type { KubernetesConnection } from './connection.ts';
import { FollowKind } from './follow-kind.ts';
import { type HeldLease, holdLease } from './lease.ts';
import { KubernetesObjects } from './objects.ts';
import { keptIn, OF_LABEL, SECRETS } from './secret-state.ts';
import { Turns } from './turns.ts';

/** What a replica needs. `owner`: what all replicas of one control plane are called by; `name`: what this one is. */
export type ClusterReplicaOptions = {
  connection: KubernetesConnection;
  namespace: string;
  owner: string;
  name: string;
  clock: Clock;
  log: Log;
};

/**
 * One control plane of several in a cluster: all serve, and whoever holds the Lease leads. What it writes into Secrets the others follow.
 * One that could not renew the Lease knows that it leads no more before anybody else may take it.
 */
export class ClusterReplica implements Replica {
  readonly #options: ClusterReplicaOptions;
  readonly #objects: KubernetesObjects;
  readonly #closing = new AbortController();
  readonly #state: FollowKind;
  /** Names of texts by the keys of their Secrets. */
  readonly #names = new Map<string, string>();
  /** What was told of the state while nobody listened; null: somebody does. */
  #untold: Map<string, string | null> | null = new Map();
  #listener: ReplicaListener | null = null;
  #lease: HeldLease | null = null;
  #leader: string | null = null;
  #contending: Promise<void> = Promise.resolve();

  constructor(options: ClusterReplicaOptions) {
    this.#options = options;
    this.#objects = new KubernetesObjects(options.connection);
    const { connection, namespace, owner, clock, log } = options;
    const kind: FollowedKind = {
      ...SECRETS,
      versions: ['v1'],
      namespace,
      labelSelector: `${OF_LABEL}=${owner}`,
      keep: (object) => object,
    };
    const effects = { connection, clock, random: systemRandom, initials: new Turns(1) };
    this.#state = new FollowKind(kind, SECRETS, effects, {
      changed: (_kind, changes) => this.#take(changes),
      trouble: (problem) => log.warn({ err: problem }, 'what the control plane that leads has written cannot be followed'),
    });
  }

  leads(): boolean {
    return this.#lease?.isHeld() === true;
  }

  leader(): string | null {
    return this.leads() ? this.#options.name : this.#leader;
  }

  // Rivals are told apart by the tokens of a cluster: each is of one pod.
  announce(): void {}

  status(): ReplicaStatus {
    const { name, namespace, owner, connection } = this.#options;
    const leader = this.leader();
    const members = [...new Set([name, ...(leader === null ? [] : [leader])])].sort();
    const store = `${connection.access.server.host} namespace ${namespace} lease ${owner}`;
    return { name, role: this.leads() ? 'leader' : 'follower', leader, store, members, revision: '' };
  }

  /** Begins to want the Lease. */
  join(): void {
    this.#contending = this.#contend();
  }

  /** Resolves to true once it leads, or all of these are in the state; to false when neither comes to be in time. */
  async ready(names: readonly string[]): Promise<boolean> {
    const { clock } = this.#options;
    const untilMs = clock.monotonicMs() + KUBERNETES.readyMsMax;
    const isThere = (name: string): boolean => [...this.#names.values()].includes(name);
    while (!this.leads() && !names.every(isThere)) {
      if (clock.monotonicMs() > untilMs) return false;
      await new Promise<void>((resolve) => clock.after(KUBERNETES.readyPollMs, resolve));
    }
    // What was written before is known, whoever leads.
    await this.#state.told;
    return true;
  }

  async follow(listener: ReplicaListener): Promise<void> {
    this.#listener = listener;
    const untold = this.#untold ?? new Map();
    this.#untold = null;
    listener.state(untold);
    listener.guests(new Map());
    if (this.leads()) listener.leads(true);
  }

  /** Gives the Lease back, so that the others need not wait for its end. */
  async leave(): Promise<void> {
    this.#listener = null;
    this.#closing.abort();
    this.#state.close();
    await this.#lease?.release();
    await this.#contending;
  }

  async #contend(): Promise<void> {
    const { namespace, owner, name, clock, log } = this.#options;
    const { signal } = this.#closing;
    const seen = (holder: string | null): void => {
      this.#leader = holder;
    };
    const options = { objects: this.#objects, namespace, name: owner, identity: name, clock, log, seen };
    while (!signal.aborted) {
      try {
        const lease = await holdLease(options, signal);
        await this.#state.told;
        this.#lease = lease;
        log.info({ lease: `${namespace}/${owner}` }, 'this control plane leads');
        this.#listener?.leads(true);
        await Promise.race([lease.lost, ended(signal)]);
      } catch (error) {
        if (!signal.aborted) log.error({ err: error }, 'the lease is tried for anew');
      }
      if (!signal.aborted) this.#listener?.leads(false);
    }
  }

  #take(changes: readonly ObjectChange[]): void {
    const told = new Map<string, string | null>();
    for (const { key, object } of changes) {
      const kept = object === null ? null : keptIn(object);
      if (kept !== null) {
        this.#names.set(key, kept.name);
        told.set(kept.name, kept.text);
        continue;
      }
      const name = this.#names.get(key);
      this.#names.delete(key);
      if (name !== undefined) told.set(name, null);
    }
    for (const [name, text] of told) this.#untold?.set(name, text);
    if (told.size > 0) this.#listener?.state(told);
  }
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
