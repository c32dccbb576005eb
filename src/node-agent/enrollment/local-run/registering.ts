import type { Clock, Random } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { within } from '#model/effects/within.ts';
import { messageOf } from '#model/error.ts';
import type { Registration, RegistrationOutcome } from '#model/mesh/registration.ts';
import { Retry } from '#model/resilience/retry.ts';
import { AGENT } from '#model/settings/agents.ts';
import type { EnrollmentRequest } from '#node-agent/enrollment/enrollment.ts';

/** What registering does to the world. */
export type RegisteringEffects = {
  /** Tells the control plane every workload of this node; resolves with their uids, in order, and with those it does not take. */
  register(workloads: Registration[]): Promise<RegistrationOutcome>;
  clock: Clock;
  random: Random;
  log: Log;
};

/** A workload that the control plane does not take, and what to do about it. */
export type RefusedWorkload = RegistrationOutcome['refused'][number];

/** The agent, as far as it waits for registrations: the control plane has taken these very requests. */
export type RegisteredAgent = { registered(requests: readonly EnrollmentRequest[]): void };

/** Keeps the control plane's knowledge of this node's workloads equal to what they are, until it is closed. */
export class Registering {
  readonly #effects: RegisteringEffects;
  readonly #agent: RegisteredAgent;
  readonly #all: () => EnrollmentRequest[];
  readonly #draining: WeakSet<EnrollmentRequest>;
  readonly #retry: Retry;
  #registering: Promise<void> = Promise.resolve();
  /** The attempt that has not begun yet: whoever asks meanwhile has part in it. */
  #next: Promise<void> | null = null;
  #refused: ReadonlyMap<string, RefusedWorkload> = new Map();
  #begun = false;
  #closed = false;

  /** `all`: the workloads as they are when it is asked; `draining`: those of them to which new connections are not to go. */
  constructor(
    effects: RegisteringEffects,
    agent: RegisteredAgent,
    all: () => EnrollmentRequest[],
    draining: WeakSet<EnrollmentRequest>,
  ) {
    this.#draining = draining;
    this.#effects = effects;
    this.#agent = agent;
    this.#all = all;
    const backoff = { firstMs: AGENT.registerRetryMs, maxMs: AGENT.registerRetryMsMax };
    this.#retry = new Retry(effects, backoff, () => this.begin());
  }

  /** One registration at a time, each with the set as it is then; retried until the control plane takes it. */
  soon(): Promise<void> {
    this.#begun = true;
    if (this.#next !== null) return this.#next;
    const next = (): Promise<void> => {
      this.#next = null;
      return this.#register();
    };
    this.#registering = this.#registering.then(next, next); // one that failed must not keep the later ones from their turn
    this.#next = this.#registering;
    return this.#registering;
  }

  /** Registers, and resolves when that is done, or after so long. */
  async soonWithin(deadlineMs: number): Promise<void> {
    await within(this.#effects.clock, deadlineMs, this.soon());
  }

  /** Uid → a sentence that says why the control plane does not take the workload, as of its last answer. */
  refusals(): ReadonlyMap<string, string> {
    return new Map([...this.#refused].map(([uid, { message }]) => [uid, message]));
  }

  /** Registers, and resolves with what the control plane has against the workload; null: nothing, or no answer in time. */
  refusalOf(uid: string): Promise<RefusedWorkload | null> {
    const answered = this.soon().then(() => this.#refused.get(uid) ?? null);
    return within(this.#effects.clock, AGENT.knowledgeDeadlineMs, answered);
  }

  /** As `soon`, for whoever does not wait for it. */
  begin(): void {
    const told = (error: unknown): void =>
      this.#effects.log.error({ error: messageOf(error) }, 'workloads could not be registered');
    this.soon().catch(told);
  }

  /** The control plane was reached anew; before the first of these the set may be next to nothing, which would take the rest away. */
  again(): void {
    if (this.#begun) this.begin();
  }

  /** Tells the control plane nothing any more. */
  close(): void {
    this.#closed = true;
    this.#retry.close();
  }

  async #register(): Promise<void> {
    if (this.#closed) return;
    this.#retry.begun(); // attempts that pile up would never end
    const all = this.#all();
    const registrations = all.map((request) => registrationOf(request, this.#draining.has(request)));
    try {
      const { uids, refused } = await this.#effects.register(registrations);
      this.#retry.succeeded();
      this.#takeRefusals(refused);
      this.#agent.registered(all.filter(({ uid }) => !this.#refused.has(uid)));
      uids.forEach((uid, index) => {
        const expected = all[index]?.uid;
        if (expected !== undefined && expected !== uid)
          this.#effects.log.error({ expected, uid }, 'the control plane names this workload otherwise');
      });
    } catch (error) {
      this.#effects.log.debug({ error: messageOf(error) }, 'registration failed; it is tried again');
      this.#retry.failed();
    }
  }

  /** What is refused is asked for again: another node may let it go, or this one get another token. */
  #takeRefusals(refused: readonly RefusedWorkload[]): void {
    const before = this.#refused;
    this.#refused = new Map(refused.map((one) => [one.uid, one]));
    for (const { uid, message, remedy } of refused) {
      if (before.get(uid)?.message !== message)
        this.#effects.log.error({ workload: uid, problem: message, remedy }, 'the control plane refuses this workload');
    }
    if (refused.length > 0) this.#retry.after(AGENT.refusedRetryMs);
  }
}

function registrationOf(request: EnrollmentRequest, draining: boolean): Registration {
  const { name, namespace, serviceAccount, labels, addresses, nativeTunnel, weight } = request;
  const more = { ...(weight === undefined ? {} : { weight }), ...(draining ? { draining } : {}) };
  return { name, namespace, serviceAccount, labels, addresses, enrolled: true, nativeTunnel, ...more };
}
