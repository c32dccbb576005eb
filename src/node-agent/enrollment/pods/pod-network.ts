import type { IpAddress } from '#model/address/ip.ts';
import type { FoundNamespace } from '#model/mesh/pod-namespace.ts';

/** The network that a runtime has just made for a pod, of which no process runs yet. */
export type PodSandbox = {
  pod: { namespace: string; name: string; uid: string };
  addresses: readonly IpAddress[];
  place: Pick<FoundNamespace, 'path' | 'inode'>;
};

/** How the runtime of the node asks before it starts a pod. */
export type PodNetwork = {
  /** Begins to be asked, and sees to it that it is. `add` resolves when the pod may start; what it rejects with is told to whoever looks at the pod. */
  open(add: (sandbox: PodSandbox) => Promise<void>): Promise<void>;
  /** Names of namespaces whose pods are not to start while no agent can be asked. Errors: the system's. */
  list(namespaces: readonly string[]): Promise<void>;
  /** Why pods that start may not be asked for; null: they are. */
  problem(): string | null;
  /** Another agent is asked from now on, or none until it is there. */
  close(): void;
  /** Pods start without anybody being asked; nothing of this is left on the node but the plugin's program. Errors: the system's. */
  remove(): Promise<void>;
};

/** Of a node where runtimes ask nobody: pods talk in plain text until the API server has told of their addresses. */
export const NOT_ASKED: PodNetwork = {
  open: async () => {},
  list: async () => {},
  problem: () => null,
  close: () => {},
  remove: async () => {},
};
