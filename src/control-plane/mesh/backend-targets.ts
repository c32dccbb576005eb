import type { OwnStatus } from '#control-plane/resources/cluster-kind.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { fieldOf } from '#control-plane/resources/stand-in.ts';

/** What the Gateway API calls a backend, and the mesh has, with the group of each. */
const GROUP_OF = { Service: '', ServiceEntry: 'networking.istio.io' } as const;

/** What a policy about backends is about, in its own namespace. */
export type BackendTarget = {
  kind: keyof typeof GROUP_OF;
  name: string;
  /** Its place in `targetRefs`. */
  at: number;
};

/** Whether it is one of ours; others are for the controllers that have them. */
export function isBackendTarget(kind: unknown, group: unknown): kind is BackendTarget['kind'] {
  return (kind === 'Service' || kind === 'ServiceEntry') && GROUP_OF[kind] === group;
}

/** Tells of targets that are none of ours. */
export function checkBackendTargets(targetRefs: readonly { group: string; kind: string }[]): Problem[] {
  return targetRefs.flatMap(({ kind, group }, at): Problem[] => {
    if (isBackendTarget(kind, group)) return [];
    const message = `waypoints have no backends of kind ${kind} in group "${group}", so nothing is in force of the policy for it`;
    return [warningAt('WEFT_NOT_ENFORCED', ['spec', 'targetRefs', at], message, 'name a Service or a ServiceEntry')];
  });
}

/** The targets of ours in a spec that was not checked. */
export function readableTargets(spec: unknown): (BackendTarget & { section: string | null })[] {
  const refs = fieldOf(spec, 'targetRefs');
  const list: unknown[] = Array.isArray(refs) ? refs : [];
  return list.flatMap((ref, at) => {
    const [kind, name, section] = [fieldOf(ref, 'kind'), fieldOf(ref, 'name'), fieldOf(ref, 'sectionName')];
    if (!isBackendTarget(kind, fieldOf(ref, 'group') ?? '') || typeof name !== 'string') return [];
    return [{ kind, name, at, section: typeof section === 'string' ? section : null }];
  });
}

/** An entry for each target that is ours, however little else of a policy is right. */
export const BACKEND_STATUS: OwnStatus = {
  form: 'ancestors',
  types: [],
  refused: (spec) => [{ type: 'Accepted', reason: 'Invalid', parents: readableTargets(spec).map(({ at }) => at) }],
};
