import { isDeepStrictEqual } from 'node:util';
import type { Condition } from '#control-plane/index/index-delta.ts';
import { compareText } from '#control-plane/resources/metadata.ts';
import { isRecord } from '#control-plane/resources/stand-in.ts';

/** Fixed by the Gateway API: who wrote an entry of `status.parents`. */
export const CONTROLLER_NAME = 'weft.dev/mesh-controller';
/** Fixed by the Gateway API: entries of `status.parents`. */
const PARENTS_MAX = 32;

/** What is known of an object whose status is to say something. */
export type Subject = {
  kind: string;
  namespace: string;
  /** null of kinds whose objects have none (Service). */
  generation: number | null;
  spec: unknown;
  status: unknown;
};

/** A condition as it stands in a status. */
export type WrittenCondition = {
  type: string;
  status: string;
  reason: string;
  message: string;
  lastTransitionTime: string;
  observedGeneration?: number;
};

/** Conditions of ours by kind. Of a Gateway they are ours only while its class is. */
const OWN_TYPES: Readonly<Record<string, readonly string[]>> = {
  Service: ['istio.io/WaypointBound'],
  WorkloadEntry: ['istio.io/WaypointBound'],
  Gateway: ['Accepted', 'Programmed'],
  AuthorizationPolicy: ['ZtunnelAccepted', 'weft.dev/NodeProxyAccepted', 'WaypointAccepted'],
  PeerAuthentication: ['ZtunnelAccepted', 'weft.dev/NodeProxyAccepted'],
};
const ROUTES: readonly string[] = ['HTTPRoute', 'TCPRoute'];

/** Whether something of ours is written into the status of such objects. */
export function hasStatus(kind: string): boolean {
  return ROUTES.includes(kind) || kind in OWN_TYPES;
}

/** Whether conditions of several writers are kept apart by the API server, so that ours can be applied without reading theirs. */
export function isApplied(kind: string): boolean {
  return kind === 'Service' || kind === 'Gateway';
}

/**
 * The status that an object is to have, all of it; null: it says already what it should, or there is no room for it. What others wrote
 * stays as it is and where it is, and the time of a condition moves only with its status.
 */
export function statusToWrite(subject: Subject, conditions: readonly Condition[], now: string): Record<string, unknown> | null {
  const status = isRecord(subject.status) ? subject.status : {};
  const next = ROUTES.includes(subject.kind)
    ? withParents(subject, status, conditions, now)
    : withConditions(subject, status, conditions, now);
  return next === null || isDeepStrictEqual(next, status) ? null : next;
}

/** Of a status that is applied, what is ours. */
export function ownPart(kind: string, status: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const own = OWN_TYPES[kind] ?? [];
  return { conditions: listOf(status.conditions).filter(({ type }) => own.includes(String(type))) };
}

function withConditions(
  { kind, generation }: Subject,
  status: Record<string, unknown>,
  conditions: readonly Condition[],
  now: string,
): Record<string, unknown> | null {
  // Another controller may have taken a Gateway over; its conditions are of the same types.
  if (kind === 'Gateway' && conditions.length === 0) return null;
  const before = listOf(status.conditions);
  const own = OWN_TYPES[kind] ?? [];
  const merged = merge(before, conditions, own, generation, now);
  if (merged.length === 0 && before.length === 0) return null;
  const observed = kind === 'Gateway' || generation === null || conditions.length === 0 ? {} : observedOf(status, generation);
  return { ...status, ...observed, conditions: merged };
}

/** Istio's kinds tell it beside the conditions, too; as text where it was one. */
function observedOf({ observedGeneration }: Record<string, unknown>, generation: number): object {
  if (observedGeneration === undefined) return {};
  return { observedGeneration: typeof observedGeneration === 'string' ? String(generation) : generation };
}

/** Ours replaced in place, new ones behind, those of ours that hold no more taken out; all others untouched. */
function merge(
  before: readonly Record<string, unknown>[],
  wanted: readonly Condition[],
  own: readonly string[] | null,
  generation: number | null,
  now: string,
): Record<string, unknown>[] {
  const left = new Map(wanted.map((condition) => [condition.type, condition]));
  const merged: Record<string, unknown>[] = [];
  for (const old of before) {
    const type = String(old.type);
    const condition = left.get(type);
    if (condition !== undefined) merged.push(written(condition, old, generation, now));
    else if (own !== null && !own.includes(type)) merged.push(old);
    left.delete(type);
  }
  for (const condition of left.values()) merged.push(written(condition, null, generation, now));
  return merged;
}

function written(
  { type, status, reason, message }: Condition,
  old: Readonly<Record<string, unknown>> | null,
  generation: number | null,
  now: string,
): WrittenCondition {
  const since =
    old !== null && old.status === status && typeof old.lastTransitionTime === 'string' ? old.lastTransitionTime : now;
  return {
    type,
    status,
    reason,
    message,
    lastTransitionTime: since,
    ...(generation === null ? {} : { observedGeneration: generation }),
  };
}

function withParents(
  subject: Subject,
  status: Record<string, unknown>,
  conditions: readonly Condition[],
  now: string,
): Record<string, unknown> | null {
  const before = listOf(status.parents);
  const wanted = new Map<string, { parentRef: Record<string, unknown>; conditions: Condition[] }>();
  for (const [at, parentRef] of parentRefsOf(subject.spec).entries()) {
    const spoken = conditions.filter(({ parents }) => parents === undefined || parents.includes(at));
    if (spoken.length > 0 && (conditions.some(({ parents }) => parents !== undefined) || isServiceRef(parentRef)))
      wanted.set(identityOf(parentRef, subject.namespace), { parentRef, conditions: spoken });
  }
  const entryOf = (key: string, old: Readonly<Record<string, unknown>> | null): Record<string, unknown> | null => {
    const one = wanted.get(key);
    wanted.delete(key);
    if (one === undefined) return null;
    const merged = merge(listOf(old?.conditions), one.conditions, null, subject.generation, now);
    return { parentRef: one.parentRef, controllerName: CONTROLLER_NAME, conditions: merged };
  };
  const parents = before.flatMap((old) => {
    if (old.controllerName !== CONTROLLER_NAME) return [old];
    const key = isRecord(old.parentRef) ? identityOf(old.parentRef, subject.namespace) : '';
    return entryOf(key, old) ?? [];
  });
  for (const key of [...wanted.keys()].sort(compareText)) {
    const entry = entryOf(key, null);
    if (entry !== null) parents.push(entry);
  }
  if (parents.length === 0 && before.length === 0) return null;
  return parents.length > PARENTS_MAX ? null : { ...status, parents };
}

function parentRefsOf(spec: unknown): Record<string, unknown>[] {
  return isRecord(spec) ? listOf(spec.parentRefs) : [];
}

function isServiceRef({ group, kind }: Readonly<Record<string, unknown>>): boolean {
  return kind === 'Service' && (group === '' || group === undefined);
}

/** What tells references apart, with what the API means where nothing is written. */
function identityOf(ref: Readonly<Record<string, unknown>>, own: string): string {
  const { group = 'gateway.networking.k8s.io', kind = 'Gateway', namespace = own, name, sectionName = '', port = '' } = ref;
  return [group, kind, namespace, name, sectionName, port].join('|');
}

function listOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}
