import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { messageOf } from '#model/error.ts';
import type { Registration } from '#model/mesh/registration.ts';
import { AGENT } from '#model/settings/agents.ts';
import type { EnrollmentRequest } from '#node-agent/enrollment/enrollment.ts';

/** What registering does to the world. */
export type RegisteringEffects = {
  /** Tells the control plane every workload of this node; resolves with their uids, in order. */
  register(workloads: Registration[]): Promise<string[]>;
  clock: Clock;
  log: Log;
};

/** Keeps the control plane's knowledge of this node's workloads equal to what they are, until it is closed. */
export class Registering {
  readonly #effects: RegisteringEffects;
  readonly #all: () => EnrollmentRequest[];
  #registering: Promise<void> = Promise.resolve();
  #cancelRetry: Cancel = () => {};
  #closed = false;

  /** `all`: the workloads as they are when it is asked. */
  constructor(effects: RegisteringEffects, all: () => EnrollmentRequest[]) {
    this.#effects = effects;
    this.#all = all;
  }

  /** One registration at a time, each with the set as it is then; retried until the control plane takes it. */
  soon(): void {
    this.#registering = this.#registering.then(() => this.#register());
  }

  /** Tells the control plane nothing any more. */
  close(): void {
    this.#closed = true;
    this.#cancelRetry();
  }

  async #register(): Promise<void> {
    if (this.#closed) return;
    this.#cancelRetry(); // this attempt takes its place: attempts that pile up would never end
    const all = this.#all();
    const registrations = all.map(({ name, namespace, serviceAccount, labels, addresses, nativeTunnel }) => ({
      name,
      namespace,
      serviceAccount,
      labels,
      addresses,
      enrolled: true,
      nativeTunnel,
    }));
    try {
      const uids = await this.#effects.register(registrations);
      uids.forEach((uid, index) => {
        const expected = all[index]?.uid;
        if (expected !== undefined && expected !== uid)
          this.#effects.log.error({ expected, uid }, 'the control plane names this workload otherwise');
      });
    } catch (error) {
      this.#effects.log.debug({ error: messageOf(error) }, 'registration failed; it is tried again');
      if (this.#closed) return;
      this.#cancelRetry = this.#effects.clock.after(AGENT.registerRetryMs, () => this.soon());
    }
  }
}
