import { KUBERNETES } from '#model/settings/kubernetes.ts';
import { isExpired } from '#protocol/kubernetes/api-status.ts';
import type { FollowedKind } from '#protocol/kubernetes/following.ts';
import { isKubeObject, type KubeObject, pathOf, type ServedKind } from '#protocol/kubernetes/objects.ts';
import { ApiError, type Asking } from './connection.ts';
import { TooLargeError } from './read-body.ts';

/** A part of all objects; `version` is that of the whole. `isFirst`: what came before it counts no more. */
export type Page = { objects: KubeObject[]; version: string; isFirst: boolean };

/**
 * All objects of a kind, page by page, all as of one version: no answer is larger than what we take. A version is not named, which
 * would make a server's cache answer with everything at once. Where the server has forgotten the rest, it begins again (K87). Errors: those of the connection.
 */
export async function* readPages(
  connection: Asking,
  served: ServedKind,
  kind: FollowedKind,
  signal: AbortSignal,
): AsyncGenerator<Page, void, void> {
  let limit: number = KUBERNETES.listObjects;
  let next = '';
  for (;;) {
    const query = { limit: String(limit), ...selectorsOf(kind), ...(next === '' ? {} : { continue: next }) };
    const accept = acceptOf(kind, 'PartialObjectMetadataList');
    try {
      const answer = await connection.ask(
        { method: 'GET', path: pathOf(served, placeOf(kind)), query, accept, signal },
        KUBERNETES.pageBytesMax,
      );
      const page = readPage(answer);
      yield { ...page, isFirst: next === '' };
      if (page.next === '') return;
      next = page.next;
    } catch (error) {
      if (error instanceof TooLargeError && limit > 1) limit = Math.ceil(limit / 4);
      else if (error instanceof ApiError && isExpired(error.status) && next !== '') next = '';
      else throw error;
    }
  }
}

function readPage(answer: unknown): Omit<Page, 'isFirst'> & { next: string } {
  const { items, metadata } = answer as { items?: unknown; metadata?: { resourceVersion?: unknown; continue?: unknown } };
  return {
    objects: Array.isArray(items) ? items.filter(isKubeObject) : [],
    version: String(metadata?.resourceVersion ?? ''),
    next: typeof metadata?.continue === 'string' ? metadata.continue : '',
  };
}

/** The selectors of a kind, as a query has them. */
export function selectorsOf({ fieldSelector, labelSelector }: FollowedKind): Record<string, string> {
  return {
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
    ...(labelSelector === undefined ? {} : { labelSelector }),
  };
}

/** How an answer is asked for: objects, or `as` (of their metadata alone). */
export function acceptOf({ metadataOnly = false }: FollowedKind, as: string): string {
  return metadataOnly ? `application/json;as=${as};g=meta.k8s.io;v=v1` : 'application/json';
}

/** Where objects of a kind are looked for. */
export function placeOf({ namespace }: FollowedKind): { namespace?: string } {
  return namespace === undefined ? {} : { namespace };
}
