/** A workload that a node runs and no resource describes; the plain form of `weft.v1.RegisteredWorkload`. */
export type RegisteredWorkload = {
  node: string;
  name: string;
  namespace: string;
  serviceAccount: string;
  /** Textual; the ones that are no IP addresses are ignored. */
  addresses: readonly string[];
  labels: Readonly<Record<string, string>>;
  /** The node's data path captures it. */
  enrolled: boolean;
  /** Speaks HBONE by itself. */
  nativeTunnel: boolean;
};
