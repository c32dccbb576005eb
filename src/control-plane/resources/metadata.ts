/** Labels or annotations. */
export type Labels = Readonly<Record<string, string>>;

/** The part every resource shares. */
export type Metadata = {
  name: string;
  /** '' for resources without a namespace. */
  namespace: string;
  labels: Labels;
  annotations: Labels;
  /** Milliseconds since the epoch; null when the source does not record it (files). */
  createdAtMs: number | null;
  /** Deletion was requested; the object still exists. */
  deleting: boolean;
};

/** Where resources without a namespace go. */
export const DEFAULT_NAMESPACE = 'default';

/** What metadata looks like once its schema has passed. */
export type RawMetadata = {
  name: string;
  namespace?: string | null;
  labels?: Record<string, string> | null;
  annotations?: Record<string, string> | null;
  creationTimestamp?: string | null;
  deletionTimestamp?: string | null;
  ownerReferences?: { kind: string; name: string; controller?: boolean }[];
};

/** The selector of Istio's security resources. */
export type RawWorkloadSelector = { matchLabels?: Record<string, string> };

/** The metadata with its missing parts filled in. */
export function readMetadata(raw: RawMetadata, namespaced: boolean): Metadata {
  const createdAtMs = Date.parse(raw.creationTimestamp ?? '');
  return {
    name: raw.name,
    namespace: namespaced ? raw.namespace || DEFAULT_NAMESPACE : '',
    labels: raw.labels ?? {},
    annotations: raw.annotations ?? {},
    createdAtMs: Number.isNaN(createdAtMs) ? null : createdAtMs,
    deleting: typeof raw.deletionTimestamp === 'string',
  };
}

/** Something with an age. */
type Aged = { metadata: Pick<Metadata, 'createdAtMs' | 'namespace' | 'name'> };

/** Oldest first, then by namespace and name: the order in which resources win over one another. */
export function byAge(a: Aged, b: Aged): number {
  const age = (a.metadata.createdAtMs ?? 0) - (b.metadata.createdAtMs ?? 0);
  if (age !== 0) return age;
  return compareText(a.metadata.namespace, b.metadata.namespace) || compareText(a.metadata.name, b.metadata.name);
}

/** Order by code units: the same on every machine, whatever its locale. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
