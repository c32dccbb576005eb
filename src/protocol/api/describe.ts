/** What can be described. A `policy` is an AuthorizationPolicy or PeerAuthentication in force, a `waypoint` a Gateway that has one. */
export const DESCRIBED_KINDS = ['workload', 'service', 'policy', 'waypoint'] as const;
/** One of them. */
export type DescribedKind = (typeof DESCRIBED_KINDS)[number];

/** A policy with what it allows or denies. `at`: what enforces it. */
export type DescribedPolicy = {
  name: string;
  action: 'allow' | 'deny' | `asks ${string}`;
  at: 'every node' | 'the waypoint';
  scope: string;
  dryRun: boolean;
  /** One is enough; none: it never matches. */
  rules: readonly string[];
};

/** What applies to one thing of the mesh, in the words of a person. Empty lists: nothing of it. */
export type Description = {
  kind: DescribedKind;
  namespace: string;
  name: string;
  /** What stands alone, in the order in which it is told. */
  facts: Readonly<Record<string, string>>;
  /** `namespace/hostname ports`. */
  services: readonly string[];
  /** Workloads that belong to it, by `namespace/name`, with their uid: the key by which agents tell the path to them. */
  workloads: readonly { uid: string; name: string; identity: string; node: string; addresses: readonly string[] }[];
  policies: readonly DescribedPolicy[];
  /** `namespace/name: condition → backends`, in the order in which they are tried. */
  routes: readonly string[];
  waypoint: string | null;
};
