import { type ApiStatus, readStatus } from './api-status.ts';
import { isKubeObject, type KubeObject } from './objects.ts';

/** One line of a watch. */
export type WatchEvent =
  | { kind: 'put'; object: KubeObject }
  | { kind: 'gone'; object: KubeObject }
  /** Nothing happened, up to this version; `initialEnd`: everything there was has been told. */
  | { kind: 'bookmark'; version: string; initialEnd: boolean }
  | { kind: 'error'; status: ApiStatus };

/** Fixed by Kubernetes: the annotation of the bookmark that ends the initial events. */
const INITIAL_END = 'k8s.io/initial-events-end';

/** What a line of a watch says. Errors: a SyntaxError when it is no JSON; null when it is no event that we know. */
export function readWatchEvent(line: string): WatchEvent | null {
  const value: unknown = JSON.parse(line);
  if (typeof value !== 'object' || value === null || !('type' in value) || !('object' in value)) return null;
  const { type, object } = value;
  if (type === 'ERROR') return { kind: 'error', status: readStatus(object) };
  if (type === 'BOOKMARK') return readBookmark(object);
  if (!isKubeObject(object)) return null;
  if (type === 'ADDED' || type === 'MODIFIED') return { kind: 'put', object };
  return type === 'DELETED' ? { kind: 'gone', object } : null;
}

/** A bookmark has no name: of its metadata only the version counts, and one annotation. */
function readBookmark(object: unknown): WatchEvent | null {
  const { metadata } = object as { metadata?: { resourceVersion?: unknown; annotations?: Record<string, unknown> } };
  if (typeof metadata?.resourceVersion !== 'string') return null;
  return {
    kind: 'bookmark',
    version: metadata.resourceVersion,
    initialEnd: metadata.annotations?.[INITIAL_END] === 'true',
  };
}
