import { type KubeObject, type ObjectPlace, pathOf, type ServedKind } from '#protocol/kubernetes/objects.ts';
import { ApiError, type KubernetesConnection } from './connection.ts';

/** Fixed by Kubernetes: formats of patches. */
const APPLY = 'application/apply-patch+yaml';
const MERGE = 'application/merge-patch+json';

/** Reads and writes single objects. Errors of each: those of the connection. */
export class KubernetesObjects {
  readonly #connection: KubernetesConnection;

  constructor(connection: KubernetesConnection) {
    this.#connection = connection;
  }

  /** null when there is none. */
  async get(kind: ServedKind, place: ObjectPlace): Promise<KubeObject | null> {
    return missingIsNull(this.#ask('GET', pathOf(kind, place)));
  }

  /** Objects of a namespace by label; for few of them. */
  async list(kind: ServedKind, namespace: string, labelSelector: string): Promise<KubeObject[]> {
    const answer = await this.#connection.ask({ method: 'GET', path: pathOf(kind, { namespace }), query: { labelSelector } });
    const { items } = answer as { items?: KubeObject[] };
    return items ?? [];
  }

  /** null when there is one of that name already. */
  async create(kind: ServedKind, object: KubeObject): Promise<KubeObject | null> {
    const path = pathOf(kind, { namespace: object.metadata.namespace ?? '' });
    return statusIsNull(409, this.#ask('POST', path, object));
  }

  /** Replaces an object, or its status, in the version that it names. null: it has changed meanwhile, or is gone. */
  async replace(kind: ServedKind, object: KubeObject, part?: 'status'): Promise<KubeObject | null> {
    const { name, namespace = '' } = object.metadata;
    return statusIsNull(409, missingIsNull(this.#ask('PUT', pathOf(kind, { namespace, name }, part), object)));
  }

  /** Applies fields in the name of a manager, which owns them from now on; null: the object is gone. */
  async apply(kind: ServedKind, object: KubeObject, manager: string, part?: 'status'): Promise<KubeObject | null> {
    const { name, namespace = '' } = object.metadata;
    const path = pathOf(kind, { namespace, name }, part);
    const query = { fieldManager: manager, force: 'true' };
    const asked = this.#connection.ask({ method: 'PATCH', path, query, body: object, contentType: APPLY });
    return missingIsNull(asked as Promise<KubeObject>);
  }

  /** Puts fields over those of an object, whoever owns them; with a uid in it over those of that very object. null: it is gone. */
  async merge(kind: ServedKind, place: ObjectPlace, fields: object, part?: 'status'): Promise<KubeObject | null> {
    const asked = this.#connection.ask({ method: 'PATCH', path: pathOf(kind, place, part), body: fields, contentType: MERGE });
    return statusIsNull(409, missingIsNull(asked as Promise<KubeObject>));
  }

  /** false when there was none. */
  async remove(kind: ServedKind, place: ObjectPlace): Promise<boolean> {
    return (await missingIsNull(this.#ask('DELETE', pathOf(kind, place)))) !== null;
  }

  #ask(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: object): Promise<KubeObject> {
    return this.#connection.ask({ method, path, ...(body === undefined ? {} : { body }) }) as Promise<KubeObject>;
  }
}

function missingIsNull<Result>(asked: Promise<Result>): Promise<Result | null> {
  return statusIsNull(404, asked);
}

async function statusIsNull<Result>(code: number, asked: Promise<Result>): Promise<Result | null> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof ApiError && error.status.code === code) return null;
    throw error;
  }
}
