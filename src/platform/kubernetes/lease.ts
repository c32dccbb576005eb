import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { messageOf } from '#model/error.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import { type LeaseSpec, leaseToTake, type SeenLease, seenLease } from '#protocol/kubernetes/lease.ts';
import type { KubeObject, ServedKind } from '#protocol/kubernetes/objects.ts';
import type { ObjectWriter } from '#protocol/kubernetes/writing.ts';

const LEASES: ServedKind = { group: 'coordination.k8s.io', version: 'v1', kind: 'Lease', plural: 'leases', namespaced: true };

/** Whose lease, and who wants it; `identity` is a holder's alone. */
export type LeaseOptions = {
  objects: ObjectWriter;
  namespace: string;
  name: string;
  identity: string;
  clock: Clock;
  log: Log;
  /** Is told who holds it, while another one does. */
  seen?: (holder: string | null) => void;
};

/** A lease that is held. */
export type HeldLease = {
  /** Whether it surely is: it was renewed a moment ago. */
  isHeld(): boolean;
  /** Resolves when it is held no more, because it could not be renewed in time or somebody else took it; never after `release`. */
  lost: Promise<void>;
  /** Gives it back: the next takes it at once. */
  release(): Promise<void>;
};

/**
 * Waits for a lease and holds it: of several that want it one has it. Others judge by their own clocks since they saw it renewed, and
 * every write names the version that was read, so that of two that take it at once one does (K92, K93). `signal`: waits no more.
 */
export async function holdLease(options: LeaseOptions, signal: AbortSignal): Promise<HeldLease> {
  const { clock, log, name, namespace } = options;
  let seen: SeenLease | null = null;
  let isNews = true;
  for (;;) {
    signal.throwIfAborted();
    try {
      const { taken, now } = await tryToTake(options, seen);
      const holder = now?.spec.holderIdentity ?? null;
      options.seen?.(taken === null ? holder : options.identity);
      if (taken !== null) return new Holding(options, taken);
      if (isNews) log.info({ lease: `${namespace}/${name}`, leader: holder }, 'another control plane leads; waiting');
      [seen, isNews] = [now, false];
    } catch (error) {
      if (isNews)
        log.warn({ lease: `${namespace}/${name}`, error: messageOf(error) }, 'the lease cannot be read or taken; waiting');
      isNews = false;
    }
    await new Promise<void>((resolve) => {
      clock.after(KUBERNETES.leaseRenewMs, resolve);
    });
  }
}

type Attempt = { taken: KubeObject | null; now: SeenLease | null };

async function tryToTake({ objects, namespace, name, identity, clock }: LeaseOptions, seen: SeenLease | null): Promise<Attempt> {
  const found = await objects.get(LEASES, { namespace, name });
  const head = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' };
  if (found === null) {
    const spec = leaseToTake(null, identity, clock.nowMs(), clock.monotonicMs());
    return { taken: await objects.create(LEASES, { ...head, metadata: { namespace, name }, spec }), now: null };
  }
  const now = seenLease(found, seen, clock.monotonicMs());
  const spec = leaseToTake(now, identity, clock.nowMs(), clock.monotonicMs());
  return { taken: spec === null ? null : await objects.replace(LEASES, { ...found, ...head, spec }), now };
}

class Holding implements HeldLease {
  readonly lost: Promise<void>;
  readonly #options: LeaseOptions;
  readonly #lose: () => void;
  #object: KubeObject;
  #renewedMs: number;
  #cancel: Cancel = () => {};
  #isOver = false;

  constructor(options: LeaseOptions, object: KubeObject) {
    this.#options = options;
    this.#object = object;
    this.#renewedMs = options.clock.monotonicMs();
    ({ promise: this.lost, resolve: this.#lose } = Promise.withResolvers<void>());
    this.#plan();
  }

  isHeld(): boolean {
    return !this.#isOver && this.#options.clock.monotonicMs() - this.#renewedMs < KUBERNETES.leaseGiveUpMs;
  }

  async release(): Promise<void> {
    this.#isOver = true;
    this.#cancel();
    const spec = { ...(this.#object.spec as LeaseSpec), holderIdentity: '' };
    await this.#options.objects.replace(LEASES, { ...this.#object, spec }).catch((error: unknown) => {
      this.#options.log.warn(
        { error: messageOf(error) },
        'the lease is not given back: the next control plane waits until it ends',
      );
    });
  }

  #plan(): void {
    this.#cancel = this.#options.clock.after(KUBERNETES.leaseRenewMs, () => {
      this.#renew().catch((error: unknown) => this.#end(messageOf(error)));
    });
  }

  async #renew(): Promise<void> {
    const { objects, clock, log } = this.#options;
    const beganMs = clock.monotonicMs();
    // One that stood still may not renew what somebody else has taken meanwhile: the version says so.
    try {
      const spec = { ...(this.#object.spec as LeaseSpec), renewTime: microTime(clock.nowMs()) };
      const renewed = await objects.replace(LEASES, { ...this.#object, spec });
      if (this.#isOver) return;
      if (renewed === null) return this.#end('somebody else has written it');
      this.#object = renewed;
      this.#renewedMs = beganMs;
    } catch (error) {
      if (this.#isOver) return;
      log.warn({ error: messageOf(error) }, 'the lease is not renewed');
      if (!this.isHeld()) return this.#end(messageOf(error));
    }
    this.#plan();
  }

  #end(why: string): void {
    this.#isOver = true;
    this.#options.log.error({ error: why }, 'this control plane leads no more');
    this.#lose();
  }
}

function microTime(nowMs: number): string {
  return new Date(nowMs).toISOString().replace('Z', '000Z');
}
