import type { IpAddress } from '#model/address/ip.ts';
import { toLastResort } from '#model/effects/mishaps.ts';
import { messageOf, WeftError } from '#model/error.ts';
import { captureProblems, sameCapture } from '#model/mesh/capture.ts';
import type { Membership } from '#model/mesh/membership.ts';
import type { SoughtNamespace } from '#model/mesh/pod-namespace.ts';
import { Retry } from '#model/resilience/retry.ts';
import { AGENT } from '#model/settings/agents.ts';
import type { EnrollmentRequest } from '#node-agent/enrollment/enrollment.ts';
import type { FollowedPod } from './followed-pod.ts';
import type { PodAgent, PodEffects } from './pod-effects.ts';
import type { PodSandbox } from './pod-network.ts';

/** What one pod works with; `look`: it is to be looked at again. */
type Around = { agent: PodAgent; effects: PodEffects; look(one: TakenPod): void };

/** A new sandbox is seen a moment after its address is told: what fails only once is nobody's concern. */
const TOLD_AFTER_FAILURES = 2;

/** One pod of this node, in the mesh or not. It stands for one life of its name: another pod of that name is another one. */
export class TakenPod {
  /** As what it is enrolled; null: it is not. */
  taken: EnrollmentRequest | null = null;
  /** Why it is not in the mesh though it should be; null: it is as it should be. */
  problem: string | null = null;
  /** Resolves when what was to be written of it is, or failed. */
  written: Promise<void> = Promise.resolve();
  #pod: FollowedPod;
  #ranOutside: boolean;
  readonly #around: Around;
  readonly #enrolling: Retry;
  readonly #marking: Retry;
  #failures = 0;
  /** Of the namespace that it is enrolled in. */
  #inode = 0;
  /** How often somebody takes it in just now. */
  #takings = 0;
  /** Addresses that were told before its runtime told others: those of a sandbox of before. */
  #outdated: readonly IpAddress[] = [];
  #hasEnded = false;
  /** Whether its mark is ours to take away. */
  #ownsMark = false;
  /** What was written last, until it is told; null: nothing. */
  #marked: boolean | null = null;
  #isMarking = false;
  #told = '';

  constructor(pod: FollowedPod, ranOutside: boolean, around: Around) {
    this.#pod = pod;
    this.#ranOutside = ranOutside;
    this.#around = around;
    const backoff = { firstMs: AGENT.enrollRetryMs, maxMs: AGENT.enrollRetryMsMax };
    this.#enrolling = new Retry(around.effects, backoff, () => around.look(this));
    this.#marking = new Retry(around.effects, backoff, () => this.#mark());
  }

  /** As it was told last; another object whenever something of it is otherwise. */
  get pod(): FollowedPod {
    return this.#pod;
  }

  /** It is otherwise than it was. */
  change(pod: FollowedPod): void {
    const isOutdated = pod.addresses.length === 0 || pod.addresses.join() === this.#outdated.join();
    if (!isOutdated) this.#outdated = [];
    this.#pod = isOutdated ? { ...pod, addresses: this.#pod.addresses } : pod;
    if (pod.isCaptured === this.#marked) this.#marked = null;
  }

  /** What it is enrolled as in that namespace. */
  request(netnsPath: string): EnrollmentRequest {
    const { uid, name, namespace, serviceAccount, addresses, annotations, probed } = this.#pod;
    return {
      ...{ uid: this.#around.effects.expectedUid({ namespace, name }), name, namespace, serviceAccount },
      // The API server tells its labels to the control plane.
      ...{ labels: {}, nativeTunnel: false, addresses: [...addresses], netnsPath, link: null },
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
      pod: { uid, ranOutside: this.#ranOutside, probed },
    };
  }

  /** What its labels say. Somebody who meant it for the mesh in vain is told. */
  judged(membership: Membership): void {
    // One that another mesh captures is meant to be somewhere, and so is its mark.
    this.#ownsMark = membership.isIn || membership.problem === null;
    if (membership.isIn) return;
    this.#ranOutside = true;
    this.problem = null;
    if (membership.problem !== null) this.#tell(`it stays out of the mesh: ${membership.problem}`);
  }

  /** In the mesh as what was told of it last; whether it is still where it was is another question. */
  get isAsTold(): boolean {
    return this.taken !== null && sameEnrollment(this.taken, this.request(''));
  }

  /** Nothing but what is written of it may be otherwise than it is to be. */
  stay(): void {
    this.#mark();
  }

  /** Its runtime has made its network, which the API server will tell of only later. */
  arrived(addresses: readonly IpAddress[]): void {
    if (addresses.join() === this.#pod.addresses.join()) return;
    this.#outdated = this.#pod.addresses;
    this.#pod = { ...this.#pod, addresses };
  }

  /** Takes it in, or leaves it in. Never rejects: what fails is told and tried again. */
  async take(place: SoughtNamespace): Promise<void> {
    try {
      if ('problem' in place) throw notFound(place.problem);
      await this.enter(place, false);
    } catch (error) {
      if (!this.#hasEnded) this.#failed(error);
    }
  }

  /** The same, once; `starts`: no process of it has run yet. Errors: those of the enrolment. */
  async enter(place: PodSandbox['place'], starts: boolean): Promise<void> {
    this.#enrolling.begun();
    this.#takings++;
    try {
      const request = this.request(place.path);
      // A namespace that is enrolled lives, so that its number is nobody else's.
      if (!this.isAsTold || place.inode !== this.#inode) await this.#around.agent.enroll(request, starts);
      if (this.#hasEnded) return;
      this.taken = request;
      this.#inode = place.inode;
      this.problem = null;
      this.#failures = 0;
      this.#enrolling.succeeded();
      this.#mark();
      const unread = captureProblems(request.annotations ?? {}).join('; ');
      if (unread !== '') this.#tell(unread);
    } finally {
      this.#takings--;
    }
  }

  /** Another namespace than the one that it is enrolled in is not there: it stays where it is. */
  #failed(error: unknown): void {
    const delayMs = this.#enrolling.failed();
    if (++this.#failures < TOLD_AFTER_FAILURES) return;
    this.problem = messageOf(error);
    const { uid } = this.request('');
    this.#around.effects.log.error(
      { workload: uid, error: this.problem, retry_in_ms: delayMs },
      'a pod cannot be taken into the mesh',
    );
    this.#tell(`it cannot be taken into the mesh, which is tried again: ${this.problem}`);
  }

  /** Takes it out. One whose containers have ended is heard to its last byte, for which nobody else waits. */
  leave(): void {
    this.#enrolling.begun();
    this.#failures = 0;
    const { taken } = this;
    if (taken !== null && this.#pod.hasEnded) this.#around.agent.lastBytes(taken.uid).then(() => this.#left(taken), toLastResort);
    else if (taken !== null) this.#left(taken);
    else this.#mark();
  }

  #left(taken: EnrollmentRequest): void {
    if (this.taken !== taken) return; // it has been taken in anew meanwhile, or is gone
    this.taken = null;
    this.#ownsMark = true;
    this.#around.agent.leave(taken.uid);
    this.#mark();
  }

  /** The pod is gone: it is taken out, and nothing is written any more. */
  end(): void {
    this.close();
    this.#hasEnded = true;
    const { uid } = this.request('');
    const isIn = this.taken !== null || this.#takings > 0;
    this.taken = null;
    if (isIn) this.#around.agent.leave(uid);
  }

  /** Tries nothing again. */
  close(): void {
    this.#enrolling.close();
    this.#marking.close();
  }

  /** Writes whether it is captured, if that is not what is there. Of one that has ended nobody asks. */
  #mark(): void {
    const captured = this.taken !== null;
    if (this.#isMarking || this.#hasEnded || (this.#marked ?? this.#pod.isCaptured) === captured) return;
    if (!captured && (!this.#ownsMark || this.#pod.hasEnded)) return;
    this.#isMarking = true;
    this.#marking.begun();
    this.written = this.#write(captured).finally(() => {
      this.#isMarking = false;
    });
  }

  async #write(captured: boolean): Promise<void> {
    const { effects, look } = this.#around;
    try {
      await effects.mark(this.#pod, captured);
      this.#marked = captured;
      this.#marking.succeeded();
      if (captured !== (this.taken !== null)) look(this); // it has changed meanwhile
    } catch (error) {
      const { uid } = this.request('');
      effects.log.error(
        { workload: uid, error: messageOf(error), retry_in_ms: this.#marking.failed() },
        captured ? 'peers cannot be told that a pod is in the mesh' : 'peers cannot be told that a pod has left the mesh',
      );
    }
  }

  #tell(text: string): void {
    if (this.#told === text) return;
    this.#told = text;
    this.#around.effects.warn(this.#pod, text);
  }
}

function sameEnrollment(one: EnrollmentRequest, other: EnrollmentRequest): boolean {
  return (
    sameCapture(one.annotations, other.annotations) &&
    one.serviceAccount === other.serviceAccount &&
    one.addresses.join() === other.addresses.join()
  );
}

function notFound(problem: string): WeftError {
  return new WeftError('WEFT_POD_NETNS', problem, {
    remedy: 'see that the agent has hostPID and /run/netns of its node; a pod that has only just ended goes by itself',
  });
}
