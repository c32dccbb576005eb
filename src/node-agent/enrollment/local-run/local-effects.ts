import type { Enrolled, EnrollmentRequest } from '#node-agent/enrollment/enrollment.ts';
import type { RegisteredAgent, RegisteringEffects } from './registering.ts';
import type { WorkloadKey } from './workload-key.ts';
import type { Sandbox } from './workload-request.ts';

/** The agent, as far as workloads that come and go need it. */
export type EnrollingAgent = RegisteredAgent & {
  enroll(request: EnrollmentRequest): Promise<Enrolled>;
  /** Resolves when what the dead processes of a workload wrote last has gone out, or after a deadline. */
  lastBytes(uid: string): Promise<void>;
  /** Unknown uids are no error. */
  leave(uid: string): void;
  /** Waits until discovery knows the workload; false after the deadline. */
  known(uid: string): Promise<boolean>;
};

/** What starting and ending workloads does to the world. */
export type LocalWorkloadEffects = RegisteringEffects & {
  sandboxes: {
    create(key: WorkloadKey): Promise<Sandbox>;
    /** Those that exist, whoever made them. */
    list(): Promise<readonly WorkloadKey[]>;
    /** Lets nothing run in it until it is released. */
    hold(key: WorkloadKey): Promise<void>;
    release(key: WorkloadKey): Promise<void>;
    /** Asks what lives in it to end, kills it after `graceMs`, and holds it. Errors: WEFT_SANDBOX_BUSY when something does not end. */
    end(key: WorkloadKey, graceMs: number): Promise<void>;
    remove(key: WorkloadKey, options: { killProcesses: boolean }): Promise<void>;
    isEmpty(key: WorkloadKey): Promise<boolean> | boolean;
  };
  /** Uid that the control plane will give, for when it is away. */
  expectedUid(key: WorkloadKey): string;
  store: { load(): Promise<EnrollmentRequest[]>; save(all: EnrollmentRequest[]): Promise<void> };
};
