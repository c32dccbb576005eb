import type { ServedKind, WantedKind } from '#protocol/kubernetes/objects.ts';
import { ApiError, type Asking } from './connection.ts';

/**
 * Which of the wanted kinds are served, each in the first of its versions that is: as the API server tells by group and version.
 * Errors: those of the connection.
 */
export async function discover<Wanted extends WantedKind>(
  connection: Asking,
  wanted: readonly Wanted[],
): Promise<ReadonlyMap<Wanted, ServedKind>> {
  const asked = new Map<string, Promise<readonly ListedKind[]>>();
  const listed = (group: string, version: string): Promise<readonly ListedKind[]> => {
    const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
    const known = asked.get(path) ?? listKinds(connection, path);
    asked.set(path, known);
    return known;
  };
  const found = new Map<Wanted, ServedKind>();
  for (const one of wanted) {
    for (const version of one.versions) {
      const served = (await listed(one.group, version)).find(({ kind, name }) => kind === one.kind && !name.includes('/'));
      if (served === undefined) continue;
      const { kind, group } = one;
      found.set(one, { group, version, kind, plural: served.name, namespaced: served.namespaced });
      break;
    }
  }
  return found;
}

/** As in an APIResourceList; a name with a slash is a part of objects. */
type ListedKind = { name: string; kind: string; namespaced: boolean };

/** None of a version that is not served. */
async function listKinds(connection: Asking, path: string): Promise<readonly ListedKind[]> {
  try {
    const { resources } = (await connection.ask({ method: 'GET', path })) as { resources?: unknown };
    return Array.isArray(resources) ? resources.filter(isListedKind) : [];
  } catch (error) {
    if (error instanceof ApiError && error.status.code === 404) return [];
    throw error;
  }
}

function isListedKind(value: unknown): value is ListedKind {
  const { name, kind, namespaced } = (value ?? {}) as Partial<ListedKind>;
  return typeof name === 'string' && typeof kind === 'string' && typeof namespaced === 'boolean';
}
