import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { Waiters } from '#model/effects/waiters.ts';
import { messageOf, WeftError } from '#model/error.ts';
import type { MeshDelta, MeshState } from '#model/mesh/mesh-state.ts';
import { AGENT } from '#model/settings/agents.ts';
import type { Kernel } from '#node-agent/effects/agent-effects.ts';
import type { HandedSocket, Handover } from '#protocol/api/agent.ts';
import type { Enrolled, Enrollment, EnrollmentRequest } from './enrollment/enrollment.ts';
import type { LocalRecords } from './enrollment/local-records.ts';
import type { Carriers } from './judge/carriers.ts';
import type { FoundConnections } from './kernel/found-connections.ts';
import type { Verdicts } from './kernel/verdicts.ts';

/** What of an agent has to do with those before and after it. */
export type SuccessionParts = {
  clock: Clock;
  mesh: MeshState;
  enrollment: Enrollment;
  records: LocalRecords;
  carriers: Carriers;
  waiters: Waiters;
  found: FoundConnections;
  verdicts: Verdicts;
  kernel: Pick<Kernel, 'maps' | 'detachNamespace'>;
  /** What the kernel still remembers under this number is of an enrolment that ended with a former agent. */
  superseded(id: number): void;
  /** Whether the mesh is known. */
  isSynced(): boolean;
  /** From then on nothing of this agent writes into the kernel. */
  leaveKernel(): void;
};

/** How an agent is that would leave its node: one that goes on serving until it is asked, or one that ends in any case. */
export type Former = 'serving' | 'leaving';

/** How long the next one may take to become ready before it asks. */
export const READY_WITHIN_MS: Readonly<Record<Former, number>> = {
  serving: AGENT.readyMs,
  leaving: AGENT.readyForLeavingMs,
};

/**
 * Enrolls what another agent served until a moment ago as it was, without a look at its sandboxes, which takes long. False: not all of
 * it could be, so that no data path may be put in force before it is restored.
 */
export async function resume(
  agent: { enroll(request: EnrollmentRequest): Promise<unknown> },
  served: readonly EnrollmentRequest[],
): Promise<boolean> {
  const enrolments = await Promise.allSettled(served.map((request) => agent.enroll(request)));
  return enrolments.every(({ status }) => status === 'fulfilled');
}

/** How an agent finds its node: `takesOver`: left by one that serves it; `isNew`: nothing of a former one is there. */
export type FoundNode = { takesOver: boolean; isNew: boolean };

/**
 * Opens the kernel's side of a node, which is prepared before that where it is new, and after it where a former agent left less than its
 * programs and maps. `resumes`: all of that is there, be that agent gone or killed, so that its workloads can go on at once, and the node is
 * prepared when they are served. Errors: those of both.
 */
export async function openedNode<Opened extends { datapath: { adopted: boolean; guarded: boolean } }>(
  { takesOver, isNew }: FoundNode,
  node: { prepare(): Promise<void> },
  open: () => Opened,
): Promise<{ opened: Opened; resumes: boolean }> {
  if (isNew) await node.prepare();
  const opened = open();
  const resumes = takesOver || (opened.datapath.adopted && opened.datapath.guarded);
  if (!isNew && !resumes) await node.prepare();
  return { opened, resumes };
}

/**
 * The agent that would leave its node to this one: any if it is to be replaced, else one that was told to stop; null: there is none. One
 * of a version that does not say is not counted on. Errors: those of its API.
 */
export async function formerAgent(agent: { leaving(): Promise<boolean> }, replace: boolean): Promise<Former | null> {
  const serving = replace ? 'serving' : null;
  try {
    return (await agent.leaving()) ? 'leaving' : serving;
  } catch (error) {
    if (error instanceof WeftError && error.code === 'WEFT_NO_AGENT') return null;
    if (error instanceof WeftError && error.code === 'WEFT_API_PATH') return serving;
    throw error;
  }
}

/**
 * Asks an agent that runs (`replace`), or was told to stop, to leave its node to this one; null: there is none that would. Errors: those
 * of its API.
 */
export async function askToHandOver(
  former: { handOver(onlyLeaving: boolean): Promise<Handover> },
  replace: boolean,
): Promise<Handover | null> {
  try {
    return await former.handOver(!replace);
  } catch (error) {
    // One that runs on is in the way, and is found there.
    const without = replace ? ['WEFT_NO_AGENT'] : ['WEFT_NO_AGENT', 'WEFT_ALREADY_RUNNING'];
    if (error instanceof WeftError && without.includes(error.code)) return null;
    throw error;
  }
}

/**
 * Resolves when a node has so many former agents that the oldest, this one, is to end before what it carries has: each takes memory, and one
 * update after the other must not fill the node with them. `newer`: how many came after it and live. Errors of it bound nothing.
 */
export function whenCrowded({ clock, log }: { clock: Clock; log: Log }, newer: () => number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = clock.every(AGENT.successorLookMs, () => {
    try {
      if (newer() < AGENT.formersMax) return;
      log.warn({}, 'so many agents of this node came since and carry, too, that this one ends: what it carries is cut');
      resolve();
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'other former agents of this node cannot be counted');
    }
    stop();
  });
  return promise;
}

/** How an agent goes on with what a former one of its node left, and leaves the node to the next one. */
export class Succession {
  readonly #parts: SuccessionParts;
  #tookOver = false;
  #handedOver = false;

  constructor(parts: SuccessionParts) {
    this.#parts = parts;
  }

  /** Another agent has the node: the kernel, and what it reports, are its. */
  get handedOver(): boolean {
    return this.#handedOver;
  }

  /**
   * The programs of this agent's own maps are in place from now on: connections from before, which others decided or nobody,
   * are looked up, so that policy ends those that it does not allow.
   */
  takeOver(): void {
    this.#tookOver = true;
    this.#look(this.#parts.enrollment.all());
  }

  /** A workload came in; what it had open before is looked up where `takeOver` no longer does it. */
  enrolled(workload: Enrolled): void {
    if (this.#tookOver) this.#look([workload]);
  }

  /**
   * What a former agent captured and nobody is enrolled as is let go: it goes on as without a mesh. To be called when everybody who
   * belongs into the mesh is in it.
   */
  releaseLeftovers(): void {
    const { kernel, enrollment, superseded } = this.#parts;
    for (const [netnsCookie, { id }] of kernel.maps.workloads.entries()) {
      if (enrollment.byId(id) !== null) continue;
      kernel.maps.workloads.delete(netnsCookie);
      kernel.detachNamespace(netnsCookie);
      kernel.maps.names.delete(id);
      superseded(id);
    }
  }

  #look(workloads: readonly Enrolled[]): void {
    const { found, verdicts, isSynced } = this.#parts;
    for (const workload of workloads) found.look(workload);
    if (!isSynced()) return; // settled with the first sync
    found.settle();
    verdicts.closeDenied();
  }

  /**
   * Another agent goes on with the node: nothing is accepted here any more, and the kernel is not written. What is carried
   * goes on. Returns the listening sockets, which stay open until they are `taken`, with what waits in them.
   */
  handOver(taken: Promise<void>): HandedSocket[] {
    this.#handedOver = true;
    this.#parts.leaveKernel();
    return this.#parts.enrollment.handOver(taken);
  }

  /** After a handover: what is still carried is judged by what is in force. */
  follow(delta: MeshDelta): void {
    const { mesh, records, carriers, waiters } = this.#parts;
    mesh.apply(delta);
    records.remember(delta.workloads.keys());
    carriers.drop(null);
    carriers.closeDenied(mesh, (uid) => records.lastOf(uid));
    waiters.check();
  }

  /** Resolves when nothing is carried any more, or after so long. */
  async carriedToTheEnd(deadlineMs: number): Promise<void> {
    const { clock, carriers } = this.#parts;
    const until = clock.monotonicMs() + deadlineMs;
    await carriers.settled(); // counts of other threads are older than what they carry
    if (carriers.calls === 0 || clock.monotonicMs() >= until) return;
    await new Promise<void>((resolve) => {
      const stop = clock.every(AGENT.handOverLookMs, () => {
        if (carriers.calls > 0 && clock.monotonicMs() < until) return;
        stop();
        resolve();
      });
    });
  }
}
