import type { Publication } from '#model/launch/publication.ts';

/** A workload as it is asked for on a node: by `weft run`, or by the control plane for a waypoint. */
export type WorkloadRequest = {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Speaks HBONE by itself (a waypoint), so the node's data path does not do it for it. */
  readonly nativeTunnel: boolean;
  /** Ports of the node's machine that lead to it; the control plane is told nothing of them. */
  readonly published?: readonly Publication[];
  /** Its share of new connections beside other endpoints of its services, at least 1; absent: 1. */
  readonly weight?: number;
  /** What of its traffic the node's data path is not to take; the control plane is told nothing of them. */
  readonly annotations?: Readonly<Record<string, string>>;
};

/**
 * A workload that a node runs and no resource describes: its agent tells the control plane, which makes it part of the
 * mesh. The plain form of `weft.v1.RegisteredWorkload`.
 */
export type Registration = Omit<WorkloadRequest, 'published' | 'annotations'> & {
  /** Textual; the ones that are no IP addresses are ignored. */
  readonly addresses: readonly string[];
  /** The node's data path captures it. */
  readonly enrolled: boolean;
  /** It gets no new connections, while those that it has go on. */
  readonly draining?: boolean;
};

/** What the control plane says to a registration: uids in its order, and which of them it does not take, and why. */
export type RegistrationOutcome = {
  readonly uids: readonly string[];
  readonly refused: readonly { readonly uid: string; readonly message: string; readonly remedy: string }[];
};

/** The same with the node that told it. */
export type RegisteredWorkload = Registration & { readonly node: string };
