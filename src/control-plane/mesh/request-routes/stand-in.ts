import type { ParentRef } from '#control-plane/mesh/route-parents.ts';
import { fieldOf, isRecord, readableMetadata, type StandIn } from '#control-plane/resources/stand-in.ts';
import type { RequestRouteResource } from './documents.ts';

/**
 * What stands for a route that cannot be used: a rule without backends, which answers 500 to whatever no other route of the
 * same parents takes. Null for a route without filters: then it only distributes, and the service itself answers.
 */
export function standInForRoute(kind: RequestRouteResource['kind'], document: unknown, name: string): StandIn | null {
  const spec = fieldOf(document, 'spec');
  const rules = fieldOf(spec, 'rules');
  // Rules that are no list may have held anything.
  if (Array.isArray(rules) && !rules.some(hasFilters)) return null;
  const metadata = readableMetadata(document, name);
  const parents = readableParents(fieldOf(spec, 'parentRefs'), metadata.namespace);
  if (parents.length === 0) return null;
  const nothing = { requestTimeoutMs: null, backendTimeoutMs: null, retry: null, session: null };
  const rule = { name: 'unusable', matches: [], filters: [], backends: [], ...nothing };
  const resource: RequestRouteResource = { kind, metadata, parents, hostnames: [], rules: [rule] };
  const where = parents.map((parent) => `${parent.kind} ${parent.namespace}/${parent.name}`).join(', ');
  return { resource, effect: `requests to ${where} that no other route takes are answered 500` };
}

/** Filters of the rule itself, or of one of its backends. */
function hasFilters(rule: unknown): boolean {
  if (fieldOf(rule, 'filters') !== undefined) return true;
  const backends = fieldOf(rule, 'backendRefs');
  return Array.isArray(backends) && backends.some((backend) => fieldOf(backend, 'filters') !== undefined);
}

/** Ports and sections are left out: a route for one port may have been meant for any. */
function readableParents(refs: unknown, own: string): ParentRef[] {
  const list: unknown[] = Array.isArray(refs) ? refs : [];
  return list.flatMap((ref) => {
    if (!isRecord(ref) || typeof ref.name !== 'string') return [];
    const { group, kind, namespace, name } = ref;
    const parent: ParentRef = {
      group: typeof group === 'string' ? group : '',
      kind: typeof kind === 'string' ? kind : 'Service',
      namespace: typeof namespace === 'string' ? namespace : own,
      name,
      sectionName: null,
      port: null,
    };
    return [parent];
  });
}
