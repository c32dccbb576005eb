import type { WorkloadRequest } from '#model/mesh/registration.ts';
import type { StartedWorkload } from '#protocol/api/agent.ts';
import type { EnrollmentRequest } from './enrollment.ts';

/** Names one workload of a node. */
type Key = { namespace: string; name: string };

/** What runs on a node and belongs into the mesh, wherever it comes from: programs of `weft run`, or pods of a cluster. */
export type NodeWorkloads = {
  /** Enrolls again what a former agent of the node served. */
  restore(): Promise<void>;
  /** Resolves when the mesh is taken away from where this node is; absent: only somebody who asks takes it away. */
  readonly uninstalled?: Promise<void>;
  /** From then on comes and goes what comes and goes. The result ends that. */
  watch(): () => void;
  /** Another agent is to go on with the node: nothing begins here any more, and what has begun has ended, or changes nothing. */
  leaveNode(): Promise<void>;
  /** Takes all of it out of the mesh. Errors: the first of what could not be. */
  stopAll(): Promise<void>;
  /** As somebody asks for by the local API. Errors: those of the sandbox and the kernel; WEFT_PODS_ONLY; WEFT_AGENT_LEAVING. */
  start(wanted: WorkloadRequest): Promise<StartedWorkload>;
  stop(key: Key, graceMs?: number): Promise<void>;
  drain(key: Key, draining: boolean): Promise<void>;
  /** Whether new connections to it go elsewhere. */
  isDraining(uid: string): boolean;
  /** Uid → a sentence that says why the control plane does not take the workload. */
  refusals(): ReadonlyMap<string, string>;
  /** Those that belong into the mesh and are not there; `problem`: a sentence that says why, and what that means for them. */
  outside(): { request: EnrollmentRequest; problem: string }[];
  /** Whether probes may hear that the node is served. */
  isReady(): boolean;
  /** The control plane was reached anew. */
  refreshRegistration(): void;
};
