import type { KubeObject, ObjectPlace, ServedKind } from './objects.ts';

/** Reads and writes single objects of an API server. Errors of each: WEFT_KUBERNETES_API, WEFT_KUBERNETES_ANSWER. */
export type ObjectWriter = {
  /** null when there is none. */
  get(kind: ServedKind, place: ObjectPlace): Promise<KubeObject | null>;
  /** null when there is one of that name already. */
  create(kind: ServedKind, object: KubeObject): Promise<KubeObject | null>;
  /** Replaces an object, or its status, in the version that it names. null: it has changed meanwhile, or is gone. */
  replace(kind: ServedKind, object: KubeObject, part?: 'status'): Promise<KubeObject | null>;
  /** Applies fields in the name of a manager, which owns them from now on; null: the object is gone. */
  apply(kind: ServedKind, object: KubeObject, manager: string, part?: 'status'): Promise<KubeObject | null>;
  /** false when there was none. */
  remove(kind: ServedKind, place: ObjectPlace): Promise<boolean>;
};
