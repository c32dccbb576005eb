/** How objects of a kind are followed in a cluster, and what of their status is written. Everything has a default. */
export type ClusterKind = {
  /** Whether the metadata is all that is read. */
  metadataOnly?: boolean;
  /** Objects that are not meant need not come. */
  fieldSelector?: string;
  /** The fields that are held beside the metadata; null: the object is as if it were not there. Default: the spec, and a status of ours. */
  keep?(object: Readonly<Record<string, unknown>>): Record<string, unknown> | null;
  /** Whether those that others refer to are followed beside, each by its name. */
  named?: NamedKind;
  /** To which of such objects one refers. */
  refersTo?(object: Readonly<Record<string, unknown>>): readonly ObjectReference[];
  /** What of a status says something to us. Default: nothing; others write it, we among them. */
  readStatus?(status: unknown): unknown;
  /** Default: nothing of ours is written. */
  status?: OwnStatus;
};

/** How objects of a kind are asked for by their names. */
export type NamedKind = { plural: string };

/** One object that another refers to. */
export type ObjectReference = { kind: string; namespace: string; name: string };

/** What of a status is ours. */
export type OwnStatus = {
  /**
   * parents: an entry of `status.parents` for each of `spec.parentRefs` that is ours. ancestors: the same of `status.ancestors` and
   * `spec.targetRefs`. conditions: those of `status.conditions` of our
   * types. applied: the same, where the API server keeps apart what several have written, so that theirs need not be read.
   */
  form: 'parents' | 'ancestors' | 'conditions' | 'applied';
  /** Types of conditions that are ours; of parents all are. */
  types: readonly string[];
  /** The same of `status.listeners`. */
  listenerTypes?: readonly string[];
  /** Of what is applied, fields beside the conditions that are ours; one that nothing is said of stays. */
  fields?: readonly string[];
  /** Whether nothing is taken back when nothing is to be said any more: another controller has taken the object over. */
  leaves?: boolean;
  /** Conditions that are false, with which reason, while an object with this spec is refused. */
  refused(spec: unknown): readonly RefusedCondition[];
};

/** `parents`: for which entries of `parentRefs`, or of `targetRefs`. */
export type RefusedCondition = { type: string; reason: string; parents?: readonly number[] };

/** The status of what can be bound to a waypoint, which is never refused for that. */
export function boundStatus(form: OwnStatus['form']): OwnStatus {
  return { form, types: ['istio.io/WaypointBound'], refused: () => [] };
}

/** What is said of policies that agents enforce: Istio's name, and our own. */
export const NODE_POLICY_TYPES = ['ZtunnelAccepted', 'weft.dev/NodeProxyAccepted'] as const;

/** Condition types that are false, all for one reason. */
export function refusedFor(reason: string, types: readonly string[]): { type: string; reason: string }[] {
  return types.map((type) => ({ type, reason }));
}
