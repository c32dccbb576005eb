import type { ResourceDesk } from '#control-plane/desk/resource-desk.ts';
import { WeftError } from '#model/error.ts';
import { bodyObject, isRecord } from '#protocol/api/reply.ts';
import type { GivenResource, ListRequest } from '#protocol/api/resources.ts';

/** What of a desk is called from outside. */
export type Desk = Pick<ResourceDesk, 'apply' | 'compare' | 'remove' | 'removeGiven' | 'list'>;

/** Answers `POST /v1/resources/…` (src/protocol/api/resources.ts); undefined for any other call. Errors: WEFT_API_BODY and those of the desk. */
export function answerDesk(desk: Desk, call: string, body: string): unknown {
  switch (call) {
    case 'POST /v1/resources/apply': {
      const request = bodyObject(body);
      return desk.apply(readGiven(request), request.dryRun === true).then((resources) => ({ resources }));
    }
    case 'POST /v1/resources/diff':
      return desk.compare(readGiven(bodyObject(body))).then((resources) => ({ resources }));
    case 'POST /v1/resources/delete': {
      const request = bodyObject(body);
      const removed =
        request.resources === undefined
          ? desk.remove(readText(request, 'kind'), readText(request, 'namespace'), readNames(request))
          : desk.removeGiven(readGiven(request));
      return removed.then((resources) => ({ resources }));
    }
    case 'POST /v1/resources/list':
      return desk.list(readList(bodyObject(body)));
    default:
      return undefined;
  }
}

function readGiven({ resources }: Record<string, unknown>): GivenResource[] {
  if (!Array.isArray(resources)) throw malformed('resources is no list');
  return resources.map((one: unknown) => {
    const { file, line, text, object } = isRecord(one) ? one : {};
    if (typeof file !== 'string' || typeof line !== 'number' || typeof text !== 'string' || !isRecord(object))
      throw malformed('one of the resources lacks file, line, text or object');
    return { file, line, text, object };
  });
}

function readNames({ names }: Record<string, unknown>): string[] {
  if (Array.isArray(names) && names.every((name) => typeof name === 'string')) return names;
  throw malformed('names is no list of names');
}

function readText(request: Record<string, unknown>, field: string): string {
  const value = request[field];
  if (typeof value === 'string') return value;
  throw malformed(`${field} is missing`);
}

function readList(request: Record<string, unknown>): ListRequest {
  const optional = (field: string): string | null => {
    const value = request[field] ?? null;
    return value === null ? null : readText(request, field);
  };
  return {
    kind: optional('kind'),
    namespace: optional('namespace'),
    name: optional('name'),
    after: optional('after'),
    objects: request.objects === true,
  };
}

function malformed(what: string): WeftError {
  return new WeftError('WEFT_API_BODY', what, { remedy: 'send what src/protocol/api/resources.ts describes' });
}
