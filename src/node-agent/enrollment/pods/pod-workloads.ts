import { toLastResort } from '#model/effects/mishaps.ts';
import { within } from '#model/effects/within.ts';
import { messageOf, WeftError } from '#model/error.ts';
import { podMembership } from '#model/mesh/membership.ts';
import type { SoughtNamespace } from '#model/mesh/pod-namespace.ts';
import { AGENT } from '#model/settings/agents.ts';
import type { EnrollmentRequest } from '#node-agent/enrollment/enrollment.ts';
import { keyText } from '#node-agent/enrollment/local-run/workload-key.ts';
import type { NodeWorkloads } from '#node-agent/enrollment/node-workloads.ts';
import type { BuiltInWatch, FollowedKind, ObjectChange } from '#protocol/kubernetes/following.ts';
import type { KubeObject } from '#protocol/kubernetes/objects.ts';
import { FOLLOWED_NAMESPACES, type FollowedPod, keptPod, NAMESPACES, PODS, podsOfNode, readPod } from './followed-pod.ts';
import { followInstallation } from './installation.ts';
import type { PodAgent, PodEffects } from './pod-effects.ts';
import { StartingPods } from './starting-pods.ts';
import { TakenPod } from './taken-pod.ts';

/** For a pod that `locate` says nothing of. */
const UNSOUGHT: SoughtNamespace = { problem: 'its network namespace was not looked for' };

/**
 * The pods of a node that are meant for the mesh: followed, taken in while they run, and let go. Each by itself: what fails for one is
 * told, tried again, and keeps no other from anything.
 */
export class PodWorkloads implements NodeWorkloads {
  readonly #agent: PodAgent;
  readonly #effects: PodEffects;
  readonly #pods = new Map<string, TakenPod>();
  /** Those of a former agent, of which nothing was told yet. */
  readonly #kept = new Set<string>();
  readonly #namespaces = new Map<string, Readonly<Record<string, string>>>();
  /** Those that are to be looked at, and those of them whose namespace is to be looked for though nothing else of them is new. */
  readonly #dirty = new Set<TakenPod>();
  readonly #sought = new Set<TakenPod>();
  /** Namespaces and pods are all known. Until then those of before are taken for meant. */
  #told = false;
  #watch: BuiltInWatch | null = null;
  readonly #uninstalled = Promise.withResolvers<void>();
  #leaveInstallation = (): void => {};
  #passing: Promise<void> | null = null;
  #saved = '';
  #saving: Promise<void> = Promise.resolve();
  readonly #starting: StartingPods;
  #left = false;

  constructor(agent: PodAgent, effects: PodEffects) {
    this.#agent = agent;
    this.#effects = effects;
    this.#starting = new StartingPods(effects, {
      find: (key) => (this.#told ? (this.#pods.get(key) ?? null) : null),
      isWanted: (one) => this.#judge(one),
      entered: () => void this.#save().catch(toLastResort),
      problems: () => this.#watch?.problems() ?? [],
      seek: (pod) => void effects.seek(pod).catch(() => {}), // the watch tells of what is the matter
    });
  }

  get uninstalled(): Promise<void> {
    return this.#uninstalled.promise;
  }

  async restore(): Promise<void> {
    for (const request of await this.#effects.store.load()) {
      const pod = keptPod(request);
      if (pod === null) continue;
      this.#kept.add(keyText(pod));
      this.#put(pod, request.pod?.ranOutside === true);
    }
    await this.#pass();
  }

  watch(): () => void {
    const { follow, node, clock, log } = this.#effects;
    const kinds = new Map([
      [FOLLOWED_NAMESPACES, NAMESPACES],
      [podsOfNode(node), PODS],
    ]);
    const watch = follow(kinds, {
      changed: (kind, changes) => this.#changed(kind, changes),
      trouble: (problem) =>
        log.error({ error: messageOf(problem) }, 'pods cannot be followed for now; those that are known stay as they are'),
    });
    this.#watch = watch;
    this.#leaveInstallation = followInstallation(this.#effects, this.#uninstalled.resolve);
    watch.told
      .then(() => this.#allTold())
      .catch((error: unknown) => log.error({ error: messageOf(error) }, 'pods are not judged'));
    const stop = clock.every(AGENT.podsLookMs, () => this.#lookAgain());
    this.#starting.open();
    return () => {
      stop();
      this.#stop();
    };
  }

  /** Out of the mesh, as if their labels were gone. What of that cannot be written is in the log. */
  async stopAll(): Promise<void> {
    this.#stop();
    await this.#passing;
    for (const one of this.#pods.values()) one.leave();
    const written = Promise.all([...this.#pods.values()].map((one) => one.written));
    await Promise.all([this.#within(written), this.#effects.network.remove()]);
  }

  async leaveNode(): Promise<void> {
    this.#stop();
    this.#effects.network.close();
    await this.#within(Promise.all([this.#passing, this.#saving]));
  }

  async #within(done: Promise<unknown> | null): Promise<void> {
    if (done !== null) await within(this.#effects.clock, AGENT.leaveNodeMs, done);
  }

  /** Follows nothing, and begins nothing. */
  #stop(): void {
    this.#left = true;
    this.#starting.leave();
    this.#watch?.close();
    this.#leaveInstallation();
    for (const one of this.#pods.values()) one.close();
  }

  readonly start = podsOnly;
  readonly stop = podsOnly;
  readonly drain = podsOnly;

  /** The API server tells which of them are ready. */
  isDraining(): boolean {
    return false;
  }

  /** Nobody registers pods. */
  refusals(): ReadonlyMap<string, string> {
    return new Map();
  }

  refreshRegistration(): void {}

  outside(): { request: EnrollmentRequest; problem: string }[] {
    return [...this.#pods.values()].flatMap((one) => {
      const { problem, taken } = one;
      if (problem === null || taken !== null) return [];
      return [{ request: one.request(''), problem: `it talks in plain text, as it cannot be taken into the mesh: ${problem}` }];
    });
  }

  isReady(): boolean {
    return this.#told || this.#pods.size > 0;
  }

  degraded(): readonly string[] {
    const problem = this.#effects.network.problem();
    return [
      ...(this.#watch?.problems() ?? []).map((one) => `pods of this node are not followed: ${one}`),
      ...(problem === null ? [] : [`pods that start may talk in plain text before they are in the mesh: ${problem}`]),
    ];
  }

  #put(pod: FollowedPod, ranOutside: boolean): void {
    const key = keyText(pod);
    const known = this.#pods.get(key);
    if (known !== undefined && known.pod.uid === pod.uid) {
      known.change(pod);
      this.#dirty.add(known);
      return;
    }
    if (known !== undefined) this.#gone(known);
    const look = (one: TakenPod): void => this.#look(one);
    const one = new TakenPod(pod, ranOutside, { agent: this.#agent, effects: this.#effects, look });
    this.#pods.set(key, one);
    this.#dirty.add(one);
  }

  #gone(one: TakenPod): void {
    this.#pods.delete(keyText(one.pod));
    this.#dirty.delete(one);
    one.end();
  }

  #changed(kind: FollowedKind, changes: readonly ObjectChange[]): void {
    for (const { key, object } of changes) {
      if (kind === FOLLOWED_NAMESPACES) this.#namespaceChanged(key, object?.metadata.labels ?? {});
      else this.#podChanged(key, object);
    }
    if (!this.#told) return;
    this.#starting.told(this.#namespaces, [...this.#pods.values()]);
    this.#begin();
  }

  #podChanged(key: string, object: KubeObject | null): void {
    const known = this.#pods.get(key);
    if (object !== null) {
      this.#kept.delete(key);
      this.#put(readPod(object), false);
    } else if (known !== undefined) this.#gone(known);
  }

  #namespaceChanged(name: string, labels: Readonly<Record<string, string>>): void {
    this.#namespaces.set(name, labels);
    for (const one of this.#pods.values()) if (one.pod.namespace === name) this.#dirty.add(one);
  }

  /** What a former agent had and nobody told of has ended meanwhile. */
  async #allTold(): Promise<void> {
    if (this.#left) return;
    for (const [key, one] of this.#pods) if (this.#kept.has(key)) this.#gone(one);
    this.#kept.clear();
    this.#told = true;
    this.#starting.told(this.#namespaces, [...this.#pods.values()]);
    for (const one of this.#pods.values()) this.#dirty.add(one);
    await this.#pass();
    if (!this.#left) this.#agent.succession.releaseLeftovers();
  }

  /** What nobody tells of: a sandbox that was made anew, a namespace that somebody else has taken from under us. */
  #lookAgain(): void {
    for (const one of this.#pods.values()) if (one.taken !== null) this.#sought.add(one);
    for (const one of this.#sought) this.#dirty.add(one);
    this.#begin();
  }

  #look(one: TakenPod): void {
    if (this.#pods.get(keyText(one.pod)) !== one) return;
    this.#dirty.add(one);
    this.#begin();
  }

  #begin(): void {
    this.#pass().catch((error: unknown) => this.#effects.log.error({ error: messageOf(error) }, 'pods cannot be looked at'));
  }

  /** One at a time; what is to be looked at meanwhile is looked at by the same. */
  #pass(): Promise<void> {
    this.#passing ??= this.#passes().finally(() => {
      this.#passing = null;
    });
    return this.#passing;
  }

  async #passes(): Promise<void> {
    while (this.#dirty.size > 0 && !this.#left) {
      const batch = [...this.#dirty].map((one) => ({ one, pod: one.pod, what: this.#whatOf(one) }));
      this.#dirty.clear();
      this.#sought.clear();
      const all = [...this.#pods.values()].map(({ pod }) => pod).filter(({ hostNetwork }) => !hostNetwork);
      const sought = batch.filter(({ what }) => what === 'take').map(({ pod }) => pod);
      const places = sought.length === 0 ? new Map<string, SoughtNamespace>() : await this.#effects.locate(sought, all);
      // Of one that is otherwise by now, as one whose sandbox has just been made, that was said too early.
      const settled = batch.filter(({ one, pod }) => one.pod === pod || !this.#dirty.add(one));
      for (const { one, what } of settled) if (what !== 'take') one[what]();
      const wanted = settled.filter(({ what }) => what === 'take');
      await Promise.all(wanted.map(({ one, pod }) => one.take(places.get(pod.uid) ?? UNSOUGHT)));
      await this.#save();
    }
  }

  /** To look for a namespace costs as much as the node has processes: it is done only where there is a reason. */
  #whatOf(one: TakenPod): 'take' | 'stay' | 'leave' {
    if (!this.#judge(one)) return 'leave';
    return one.isAsTold && !this.#sought.has(one) ? 'stay' : 'take';
  }

  /** Whether it is to be in the mesh now. */
  #judge(one: TakenPod): boolean {
    const { pod } = one;
    if (!this.#told) return true;
    const membership = podMembership({ ...pod, namespaceLabels: this.#namespaces.get(pod.namespace) ?? {} });
    one.judged(membership);
    return membership.isIn && !pod.hasEnded && pod.addresses.length > 0;
  }

  #save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#saveNow());
    return this.#saving;
  }

  /** What cannot be written is lost with this agent only: the API server tells the next one. */
  async #saveNow(): Promise<void> {
    if (this.#left) return; // or what the next agent has written would be overwritten
    const all = [...this.#pods.values()].flatMap(({ taken }) => (taken === null ? [] : [taken]));
    const text = JSON.stringify(all);
    if (text === this.#saved) return;
    try {
      await this.#effects.store.save(all);
      this.#saved = text;
    } catch (error) {
      this.#effects.log.error({ error: messageOf(error) }, 'the list of pods in the mesh cannot be written');
    }
  }
}

function podsOnly(): never {
  throw new WeftError('WEFT_PODS_ONLY', 'the agent of this node takes the pods of a cluster into the mesh, and starts nothing', {
    remedy: 'make it a pod, with the label istio.io/dataplane-mode on it or on its namespace',
  });
}
