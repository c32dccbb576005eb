import type { Clock, Random } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { SoughtNamespace } from '#model/mesh/pod-namespace.ts';
import type { Enrolled, EnrollmentRequest } from '#node-agent/enrollment/enrollment.ts';
import type { WorkloadKey } from '#node-agent/enrollment/local-run/workload-key.ts';
import type { FollowBuiltIn } from '#protocol/kubernetes/following.ts';
import type { FollowedPod } from './followed-pod.ts';
import type { PodNetwork } from './pod-network.ts';

/** The agent, as far as pods that come and go need it. */
export type PodAgent = {
  /** `starts`: no process of it has run yet. */
  enroll(request: EnrollmentRequest, starts: boolean): Promise<Enrolled>;
  /** Resolves when what the dead processes of a workload wrote last has gone out, or after a deadline. */
  lastBytes(uid: string): Promise<void>;
  /** Unknown uids are no error. */
  leave(uid: string): void;
  succession: {
    /** Lets go of what a former agent captured and nobody is enrolled as. */
    releaseLeftovers(): void;
  };
};

/** What following pods and taking them in does to the world. */
export type PodEffects = {
  node: string;
  follow: FollowBuiltIn;
  /** Where each of these pods has its network, by uid; `all`: every pod of the node that has an address. Never rejects for one of them. */
  locate(pods: readonly FollowedPod[], all: readonly FollowedPod[]): Promise<ReadonlyMap<string, SoughtNamespace>>;
  /** Asks the API server for a pod, whatever it answers. Errors: those of the API server. */
  seek(pod: WorkloadKey): Promise<unknown>;
  /** Writes whether a pod is captured to where the mesh reads it. Does nothing when it is gone. Errors: those of the API server. */
  mark(pod: FollowedPod, captured: boolean): Promise<void>;
  /** Tells whoever looks at the pod; returns at once. */
  warn(pod: FollowedPod, text: string): void;
  /** Uid that the control plane will give. */
  expectedUid(key: WorkloadKey): string;
  /** How pods are taken in before they start. */
  network: PodNetwork;
  store: { load(): Promise<EnrollmentRequest[]>; save(all: EnrollmentRequest[]): Promise<void> };
  clock: Clock;
  random: Random;
  log: Log;
};
