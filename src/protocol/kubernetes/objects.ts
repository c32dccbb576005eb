/** What every object of a Kubernetes API has; the rest is known to whoever reads its kind. */
export type KubeObject = {
  apiVersion: string;
  kind: string;
  metadata: KubeMetadata;
  [field: string]: unknown;
};

/** Of the metadata what is asked of every object. */
export type KubeMetadata = {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  labels?: Readonly<Record<string, string>>;
  annotations?: Readonly<Record<string, string>>;
  [field: string]: unknown;
};

/** A kind as an API server serves it. `plural`: its name in paths (`httproutes`). */
export type ServedKind = {
  group: string;
  version: string;
  kind: string;
  plural: string;
  namespaced: boolean;
};

/** A kind that is wanted, in the first of `versions` that is served. */
export type WantedKind = {
  group: string;
  kind: string;
  versions: readonly string[];
  /** Whether it is there without a definition; so is every kind of the core group. */
  builtIn?: boolean;
  /** Whether the objects' metadata is enough. */
  metadataOnly?: boolean;
  /** Of one namespace alone. */
  namespace?: string;
  fieldSelector?: string;
  labelSelector?: string;
};

/** Which object: '' as namespace where its kind has none. */
export type ObjectPlace = { namespace: string; name: string };

/** `<namespace>/<name>`, or the name alone: what tells objects of one kind apart. */
export function objectKey({ metadata: { namespace, name } }: { metadata: ObjectHead }): string {
  return namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;
}

type ObjectHead = { name: string; namespace?: string };

/** The path of a kind's objects (of all namespaces, or of one), of one object, or of a part of it such as `status`. */
export function pathOf(kind: ServedKind, place: Partial<ObjectPlace> = {}, part?: string): string {
  const { group, version, plural } = kind;
  const { namespace = '', name = '' } = place;
  const steps = [group === '' ? `/api/${version}` : `/apis/${group}/${version}`];
  if (kind.namespaced && namespace !== '') steps.push('namespaces', encodeURIComponent(namespace));
  steps.push(plural);
  if (name !== '') steps.push(encodeURIComponent(name));
  if (part !== undefined) steps.push(part);
  return steps.join('/');
}

/** The apiVersion of a kind's objects. */
export function apiVersionOf({ group, version }: { group: string; version: string }): string {
  return group === '' ? version : `${group}/${version}`;
}

/** Whether outside data has the head of an object. */
export function isKubeObject(value: unknown): value is KubeObject {
  if (typeof value !== 'object' || value === null || !('metadata' in value)) return false;
  const { metadata } = value;
  return typeof metadata === 'object' && metadata !== null && 'name' in metadata && typeof metadata.name === 'string';
}
