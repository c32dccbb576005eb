import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { messageOf, WeftError } from '#model/error.ts';
import type { Registration, WorkloadRequest } from '#model/mesh/registration.ts';
import { AGENT } from '#model/settings/agents.ts';
import type { Enrolled, EnrollmentRequest } from '#node-agent/enrollment/enrollment.ts';
import type { StartedWorkload } from '#protocol/api/agent.ts';

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Names one workload of a node. */
export type WorkloadKey = { namespace: string; name: string };
/** Where a workload lives. */
export type Sandbox = { netnsPath: string; cgroupPath: string; addresses: readonly string[]; resolvConfPath: string };

/** The agent, as far as workloads that come and go need it. */
export type EnrollingAgent = {
  enroll(request: EnrollmentRequest): Promise<Enrolled>;
  /** Unknown uids are no error. */
  leave(uid: string): void;
  /** Waits until discovery knows the workload; false after the deadline. */
  known(uid: string): Promise<boolean>;
};

/** What starting and ending workloads does to the world. */
export type LocalWorkloadEffects = {
  sandboxes: {
    create(key: WorkloadKey): Promise<Sandbox>;
    remove(key: WorkloadKey, options: { killProcesses: boolean }): Promise<void>;
    isEmpty(key: WorkloadKey): Promise<boolean> | boolean;
  };
  /** Tells the control plane every workload of this node; resolves with their uids, in order. */
  register(workloads: Registration[]): Promise<string[]>;
  /** Uid that the control plane will give, for when it is away. */
  expectedUid(key: WorkloadKey): string;
  store: { load(): Promise<EnrollmentRequest[]>; save(all: EnrollmentRequest[]): Promise<void> };
  clock: Clock;
  log: Log;
};

type Local = { request: EnrollmentRequest; sandbox: Sandbox; startedMs: number; populated: boolean };

/** The workloads that `weft run` started on this node: sandbox, registration, enrollment, and their end. */
export class LocalWorkloads {
  readonly #agent: EnrollingAgent;
  readonly #effects: LocalWorkloadEffects;
  readonly #local = new Map<string, Local>();
  /** Starts under way; `stopped`: a stop came meanwhile, and wins. */
  readonly #starting = new Map<string, { stopped: boolean }>();
  #registering: Promise<void> = Promise.resolve();
  #cancelRetry: Cancel = () => {};
  #closed = false;

  constructor(agent: EnrollingAgent, effects: LocalWorkloadEffects) {
    this.#agent = agent;
    this.#effects = effects;
  }

  /** Enrolls again what a former agent of this node served; workloads whose sandbox is gone are dropped. */
  async restore(): Promise<void> {
    for (const request of await this.#effects.store.load()) {
      const key = { namespace: request.namespace, name: request.name };
      try {
        const sandbox = await this.#effects.sandboxes.create(key); // idempotent: the same sandbox
        const restored = { ...request, addresses: [...sandbox.addresses], netnsPath: sandbox.netnsPath };
        this.#local.set(keyText(key), { request: restored, sandbox, startedMs: this.#effects.clock.nowMs(), populated: false });
        await this.#agent.enroll(restored);
      } catch (error) {
        this.#effects.log.error({ workload: request.uid, error: messageOf(error) }, 'cannot enroll a workload again');
      }
    }
    this.#registerSoon();
  }

  /** Watches for workloads whose processes are gone; returns the stop function. */
  watch(): () => void {
    return this.#effects.clock.every(AGENT.reapMs, () => void this.#reap());
  }

  /** Errors: WEFT_WORKLOAD_NAME, WEFT_WORKLOAD_EXISTS, WEFT_WORKLOAD_LEFT, and those of the sandbox and the kernel. */
  async start(wanted: WorkloadRequest): Promise<StartedWorkload> {
    const key = checkedKey(wanted);
    const text = keyText(key);
    if (this.#starting.has(text)) throw existsAlready(text);
    const attempt = { stopped: false };
    this.#starting.set(text, attempt); // before the first await, or two starts would both find the name free
    try {
      if (this.#local.has(text) && !(await this.#effects.sandboxes.isEmpty(key))) throw existsAlready(text);
      return await this.#start(key, wanted, attempt);
    } finally {
      this.#starting.delete(text);
    }
  }

  async #start(key: WorkloadKey, wanted: WorkloadRequest, attempt: { stopped: boolean }): Promise<StartedWorkload> {
    const sandbox = await this.#effects.sandboxes.create(key);
    const uid = this.#effects.expectedUid(key);
    const { serviceAccount, labels, nativeTunnel } = wanted;
    const request: EnrollmentRequest = {
      uid,
      ...key,
      serviceAccount,
      labels,
      nativeTunnel,
      addresses: [...sandbox.addresses],
      netnsPath: sandbox.netnsPath,
    };
    // Known before it is enrolled, so that a stop or an end of the agent meanwhile finds it.
    this.#local.set(keyText(key), { request, sandbox, startedMs: this.#effects.clock.nowMs(), populated: false });
    try {
      if (attempt.stopped) throw stoppedMeanwhile(uid); // its sandbox may be gone already
      await this.#agent.enroll(request);
      await this.#save();
      if (attempt.stopped) throw stoppedMeanwhile(uid);
    } catch (error) {
      await this.stop(key);
      throw error;
    }
    this.#registerSoon();
    const isKnown = await this.#agent.known(uid);
    if (attempt.stopped) throw stoppedMeanwhile(uid);
    if (!isKnown) {
      this.#effects.log.warn({ workload: uid }, 'the control plane does not know this workload yet; its connections wait');
    }
    return {
      uid,
      addresses: [...sandbox.addresses],
      netnsPath: sandbox.netnsPath,
      cgroupPath: sandbox.cgroupPath,
      resolvConfPath: sandbox.resolvConfPath,
    };
  }

  /** Idempotent. Kills what is still running inside. */
  async stop(key: WorkloadKey): Promise<void> {
    const starting = this.#starting.get(keyText(key));
    if (starting !== undefined) starting.stopped = true;
    const local = this.#local.get(keyText(key));
    this.#local.delete(keyText(key));
    // Out of the mesh before out of the disk: an agent that dies in between would otherwise forget one that still captures.
    if (local !== undefined) this.#agent.leave(local.request.uid);
    await this.#save();
    await this.#effects.sandboxes.remove(key, { killProcesses: true });
    this.#registerSoon();
  }

  async stopAll(): Promise<void> {
    for (const { request } of [...this.#local.values()]) await this.stop({ namespace: request.namespace, name: request.name });
  }

  /** Tells the control plane nothing any more; the workloads stay as they are, for the next agent. */
  close(): void {
    this.#closed = true;
    this.#cancelRetry();
  }

  /** Tells the control plane the whole set again (after a reconnect). */
  refreshRegistration(): void {
    this.#registerSoon();
  }

  /** One registration at a time, each with the set as it is then; retried until the control plane takes it. */
  #registerSoon(): void {
    this.#registering = this.#registering.then(() => this.#register());
  }

  async #register(): Promise<void> {
    if (this.#closed) return;
    this.#cancelRetry(); // this attempt takes its place: attempts that pile up would never end
    const all = [...this.#local.values()].map(({ request }) => request);
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
      this.#cancelRetry = this.#effects.clock.after(AGENT.registerRetryMs, () => this.#registerSoon());
    }
  }

  async #reap(): Promise<void> {
    for (const [text, local] of this.#local) {
      const key = { namespace: local.request.namespace, name: local.request.name };
      if (!(await this.#effects.sandboxes.isEmpty(key))) {
        local.populated = true;
        continue;
      }
      const started = local.populated || this.#effects.clock.nowMs() - local.startedMs > AGENT.startGraceMs;
      if (!started || this.#local.get(text) !== local) continue; // replaced while the sandbox was looked at
      this.#effects.log.info({ workload: local.request.uid }, 'the workload ended without leaving: removing it');
      await this.stop(key).catch((error: unknown) =>
        this.#effects.log.error({ workload: local.request.uid, error: messageOf(error) }, 'cannot remove an ended workload'),
      );
    }
  }

  #save(): Promise<void> {
    return this.#effects.store.save([...this.#local.values()].map(({ request }) => request));
  }
}

function keyText({ namespace, name }: WorkloadKey): string {
  return `${namespace}/${name}`;
}

function checkedKey(wanted: WorkloadRequest): WorkloadKey {
  for (const [field, value] of Object.entries({
    name: wanted.name,
    namespace: wanted.namespace,
    'service account': wanted.serviceAccount,
  })) {
    if (typeof value !== 'string' || !NAME.test(value)) {
      throw new WeftError('WEFT_WORKLOAD_NAME', `"${value}" is not a valid ${field}`, {
        remedy: 'use lower-case letters, digits and dashes, at most 63',
      });
    }
  }
  return { namespace: wanted.namespace, name: wanted.name };
}

function stoppedMeanwhile(uid: string): WeftError {
  return new WeftError('WEFT_WORKLOAD_LEFT', `${uid} was stopped while it was being started`, { remedy: 'start it again' });
}

function existsAlready(text: string): WeftError {
  return new WeftError('WEFT_WORKLOAD_EXISTS', `workload ${text} runs already on this node`, {
    remedy: 'choose another --name, or end the other one first',
  });
}
