import { messageOf } from '#model/error.ts';
import type { WorkloadRequest } from '#model/mesh/registration.ts';
import { Retry } from '#model/resilience/retry.ts';
import { AGENT } from '#model/settings/agents.ts';
import type { EnrollmentRequest } from '#node-agent/enrollment/enrollment.ts';
import type { NodeWorkloads } from '#node-agent/enrollment/node-workloads.ts';
import { OneByOne, UnderWay } from '#node-agent/enrollment/under-way.ts';
import type { StartedWorkload } from '#protocol/api/agent.ts';
import type { EnrollingAgent, LocalWorkloadEffects } from './local-effects.ts';
import { Registering } from './registering.ts';
import {
  checkedKey,
  existsAlready,
  keyOf,
  keyText,
  notHere,
  refusedBy,
  stoppedMeanwhile,
  type WorkloadKey,
} from './workload-key.ts';
import { requestOf } from './workload-request.ts';

/** `problem`: why it could not be enrolled again; nothing of it runs until it is. Null: it is enrolled. */
type Local = { request: EnrollmentRequest; startedMs: number; populated: boolean; problem: string | null; retry: Retry };

/**
 * The workloads that `weft run` started on this node: sandbox, registration, enrollment, and their end. Nothing of a
 * workload runs outside of its enrolment: it is enrolled before its sandbox is released, and dead before it leaves.
 */
export class LocalWorkloads implements NodeWorkloads {
  readonly #agent: EnrollingAgent;
  readonly #effects: LocalWorkloadEffects;
  readonly #local = new Map<string, Local>();
  /** Starts under way; `stopped`: a stop came meanwhile, and wins. */
  readonly #starting = new Map<string, { stopped: boolean }>();
  readonly #oneByOne = new OneByOne();
  readonly #draining = new WeakSet<EnrollmentRequest>();
  readonly #underWay: UnderWay;
  #leaving = false;
  readonly #registering: Registering;

  constructor(agent: EnrollingAgent, effects: LocalWorkloadEffects) {
    this.#agent = agent;
    this.#effects = effects;
    this.#underWay = new UnderWay(effects.clock);
    const all = (): EnrollmentRequest[] => [...this.#local.values()].map(({ request }) => request);
    this.#registering = new Registering(effects, agent, all, this.#draining);
  }

  /**
   * Enrolls again what a former agent of this node served. What cannot be enrolled is held, and tried again: running without
   * its enrolment it would talk in plain text. A sandbox that nobody knows is ended, since nobody knows as whom it runs.
   */
  async restore(): Promise<void> {
    for (const request of await this.#effects.store.load()) {
      const local = this.#add(request);
      await this.#oneByOne.run(keyText(request), () => this.#restoreAgain(local));
    }
    for (const key of await this.#effects.sandboxes.list()) {
      if (this.#local.has(keyText(key))) continue;
      const unknown = { workload: this.#effects.expectedUid(key) };
      this.#effects.log.warn(unknown, 'a sandbox of a workload that nobody knows is removed');
      await this.stop(keyOf(key), 0).catch((error: unknown) => this.#told(error, key));
    }
    this.#registering.begin();
  }

  #add(request: EnrollmentRequest): Local {
    const key = keyOf(request);
    const again = (): void => {
      this.#oneByOne.run(keyText(key), () => this.#restoreAgain(local)).catch((error: unknown) => this.#toldHeld(error, local));
    };
    const backoff = { firstMs: AGENT.enrollRetryMs, maxMs: AGENT.enrollRetryMsMax };
    const retry = new Retry(this.#effects, backoff, again);
    const local: Local = { request, startedMs: this.#effects.clock.monotonicMs(), populated: false, problem: null, retry };
    this.#local.set(keyText(request), local);
    return local;
  }

  async #restoreAgain(local: Local): Promise<void> {
    const key = keyOf(local.request);
    if (this.#local.get(keyText(key)) !== local || this.#underWay.closed) return; // ended meanwhile, or the next agent's
    try {
      const sandbox = await this.#effects.sandboxes.create(key); // idempotent: the same sandbox
      const { addresses, netnsPath, link } = sandbox;
      const before = local.request;
      local.request = { ...before, addresses: [...addresses], netnsPath, link };
      if (before.draining || this.#draining.has(before)) this.#draining.add(local.request);
      await this.#agent.enroll(local.request);
      await this.#effects.sandboxes.release(key); // also what an end that was cut off has held
      local.problem = null;
      local.retry.succeeded();
    } catch (error) {
      if (this.#underWay.closed) return;
      this.#toldHeld(error, local);
      await this.#effects.sandboxes.hold(key);
    }
  }

  /** Tried again, later and later, and shown until it holds. */
  #toldHeld(error: unknown, local: Local): void {
    const why = messageOf(error);
    local.problem = `it is stopped, as it cannot be enrolled: ${why}`;
    const told = { workload: local.request.uid, error: why, retry_in_ms: local.retry.failed() };
    this.#effects.log.error(told, 'cannot enroll a workload again');
  }

  /** Whether new connections to it go elsewhere. */
  isDraining(uid: string): boolean {
    return [...this.#local.values()].some(({ request }) => request.uid === uid && this.#draining.has(request));
  }

  outside(): { request: EnrollmentRequest; problem: string }[] {
    return [...this.#local.values()].flatMap(({ request, problem }) => (problem === null ? [] : [{ request, problem }]));
  }

  isReady(): boolean {
    return [...this.#local.values()].every(({ problem }) => problem === null);
  }

  /** Watches for workloads whose processes are gone; returns the stop function. */
  watch(): () => void {
    const told = (error: unknown): void => this.#effects.log.error({ error: messageOf(error) }, 'cannot look for ended ones');
    return this.#effects.clock.every(AGENT.reapMs, () => void this.#reap().catch(told));
  }

  /** Errors: WEFT_WORKLOAD_NAME, _EXISTS, _LEFT and _REFUSED, WEFT_AGENT_LEAVING, and those of the sandbox and the kernel. */
  start(wanted: WorkloadRequest): Promise<StartedWorkload> {
    return this.#underWay.run(() => this.#startWanted(wanted));
  }

  async #startWanted(wanted: WorkloadRequest): Promise<StartedWorkload> {
    const key = checkedKey(wanted);
    const text = keyText(key);
    if (this.#starting.has(text)) throw existsAlready(text);
    const attempt = { stopped: this.#leaving };
    this.#starting.set(text, attempt); // before the first await, or two starts would both find the name free
    try {
      await this.#oneByOne.idle(text); // what it left is found below
      if (this.#local.has(text)) {
        if (!(await this.#effects.sandboxes.isEmpty(key))) throw existsAlready(text);
        await this.#end(key); // nothing of the one that ended is taken over: neither its namespace nor its numbers
      }
      return await this.#start(key, wanted, attempt);
    } finally {
      this.#starting.delete(text);
    }
  }

  async #start(key: WorkloadKey, wanted: WorkloadRequest, attempt: { stopped: boolean }): Promise<StartedWorkload> {
    const sandbox = await this.#effects.sandboxes.create(key);
    const uid = this.#effects.expectedUid(key);
    const request = requestOf(wanted, uid, sandbox);
    // Known before it is enrolled, so that a stop or an end of the agent meanwhile finds it.
    this.#add(request);
    try {
      if (attempt.stopped) throw stoppedMeanwhile(uid); // its sandbox may be gone already
      await this.#effects.sandboxes.hold(key);
      this.#underWay.check();
      await this.#agent.enroll(request);
      await this.#save();
      if (attempt.stopped) throw stoppedMeanwhile(uid);
      await this.#effects.sandboxes.release(key);
    } catch (error) {
      await this.#end(key).catch((cause: unknown) => this.#told(cause, key));
      throw error;
    }
    // Asked before the mesh is looked at: another node's workload of the same name is known there, and is not this one.
    const refused = await this.#registering.refusalOf(uid);
    if (refused !== null && !attempt.stopped) {
      await this.#end(key).catch((cause: unknown) => this.#told(cause, key));
      throw refusedBy(refused);
    }
    const isKnown = await this.#agent.known(uid);
    if (attempt.stopped) throw stoppedMeanwhile(uid);
    if (!isKnown) {
      this.#effects.log.warn({ workload: uid }, 'the control plane does not know this workload yet; its connections wait');
    }
    const { addresses, netnsPath, cgroupPath, resolvConfPath } = sandbox;
    return { uid, addresses: [...addresses], netnsPath, cgroupPath, resolvConfPath };
  }

  /** Idempotent. What runs is told to end, and killed after `graceMs`. Errors: WEFT_SANDBOX_BUSY: it stays; WEFT_AGENT_LEAVING. */
  stop(key: WorkloadKey, graceMs: number = AGENT.stopGraceMs): Promise<void> {
    return this.#underWay.run(() => this.#stopNow(key, graceMs));
  }

  async #stopNow(key: WorkloadKey, graceMs: number): Promise<void> {
    const starting = this.#starting.get(keyText(key));
    if (starting !== undefined) starting.stopped = true;
    else if (graceMs > 0) await this.#drained(key);
    await this.#end(key, starting === undefined ? graceMs : 0);
  }

  /** Whether new connections are to go elsewhere; those that it has go on. Errors: WEFT_NO_WORKLOAD, WEFT_STATE, WEFT_AGENT_LEAVING. */
  drain(key: WorkloadKey, draining: boolean): Promise<void> {
    return this.#underWay.run(() => this.#drainNow(key, draining));
  }

  async #drainNow(key: WorkloadKey, draining: boolean): Promise<void> {
    const local = this.#local.get(keyText(key));
    if (local === undefined) throw notHere(keyText(key));
    if (draining) this.#draining.add(local.request);
    else this.#draining.delete(local.request);
    await this.#save();
    await this.#registering.refusalOf(local.request.uid);
  }

  /** Before it is told to end, so that who connects meanwhile finds another one. A waypoint has its successor instead. */
  async #drained(key: WorkloadKey): Promise<void> {
    const request = this.#local.get(keyText(key))?.request;
    if (request === undefined || request.nativeTunnel) return;
    this.#draining.add(request);
    await this.#registering.soonWithin(AGENT.drainToldMs);
  }

  /** Ends every workload, as far as they can be ended, and starts none any more. Errors: the first of those of `stop`. */
  async stopAll(): Promise<void> {
    this.#leaving = true;
    for (const attempt of this.#starting.values()) attempt.stopped = true;
    const ends = await Promise.allSettled([...this.#local.values()].map(({ request }) => this.stop(keyOf(request))));
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed === undefined) return;
    this.#leaving = false; // the node stays, with what could not be ended
    throw failed.reason;
  }

  #end(key: WorkloadKey, graceMs = 0): Promise<void> {
    return this.#oneByOne.run(keyText(key), () => this.#endNow(key, graceMs));
  }

  /** Dead, heard to its last byte, then out of the mesh, then out of the disk: an agent that dies in between finds what still captures or still runs. */
  async #endNow(key: WorkloadKey, graceMs: number): Promise<void> {
    const text = keyText(key);
    this.#underWay.check();
    await this.#effects.sandboxes.end(key, graceMs);
    const local = this.#local.get(text);
    if (local !== undefined) await this.#agent.lastBytes(local.request.uid);
    this.#underWay.check();
    this.#local.delete(text);
    local?.retry.close();
    if (local !== undefined) this.#agent.leave(local.request.uid);
    const unsaved = await this.#save().catch((error: unknown) => error);
    this.#underWay.check();
    await this.#effects.sandboxes.remove(key, { killProcesses: true });
    this.#registering.begin();
    if (unsaved !== undefined) await this.#save(); // what was removed made room; the next agent ends what it finds empty
  }

  /** Another agent is to go on with the node: nothing begins here any more, and what has begun has ended, or changes nothing. */
  leaveNode(): Promise<void> {
    return this.#underWay.close(AGENT.leaveNodeMs);
  }

  /** Uid → a sentence that says why the control plane does not take the workload. */
  refusals(): ReadonlyMap<string, string> {
    return this.#registering.refusals();
  }

  /** Tells the control plane nothing any more; the workloads stay as they are, for the next agent. */
  close(): void {
    this.#registering.close();
    for (const { retry } of this.#local.values()) retry.close();
  }

  /** Tells the control plane the whole set again (after a reconnect). */
  refreshRegistration(): void {
    this.#registering.again();
  }

  async #reap(): Promise<void> {
    for (const [text, local] of this.#local) {
      const key = keyOf(local.request);
      if (!(await this.#effects.sandboxes.isEmpty(key))) {
        local.populated = true;
        continue;
      }
      const started = local.populated || this.#effects.clock.monotonicMs() - local.startedMs > AGENT.startGraceMs;
      if (!started || this.#local.get(text) !== local) continue; // replaced while the sandbox was looked at
      this.#effects.log.info({ workload: local.request.uid }, 'the workload ended without leaving: removing it');
      await this.#end(key).catch((error: unknown) => this.#told(error, key));
    }
  }

  #told(error: unknown, key: WorkloadKey): void {
    this.#effects.log.error(
      { workload: this.#effects.expectedUid(key), error: messageOf(error) },
      'a workload cannot be removed',
    );
  }

  async #save(): Promise<void> {
    this.#underWay.check(); // or what the next agent has written would be overwritten
    const kept = [...this.#local.values()].map(({ request }) =>
      this.#draining.has(request) ? { ...request, draining: true } : request,
    );
    await this.#effects.store.save(kept);
  }
}
