import { isDeepStrictEqual } from 'node:util';
import type { Condition } from '#control-plane/index/index-delta.ts';
import { CONTROLLER_NAME } from '#control-plane/mesh/well-known.ts';
import type { OwnStatus } from '#control-plane/resources/cluster-kind.ts';
import { compareText } from '#control-plane/resources/metadata.ts';
import { isRecord } from '#control-plane/resources/stand-in.ts';

/** Fixed by the Gateway API: what a status has an entry for each of, how they are called in it and in the spec, and how many it takes. */
const REFERENCES = {
  parents: { list: 'parents', ref: 'parentRef', refs: 'parentRefs', max: 32 },
  ancestors: { list: 'ancestors', ref: 'ancestorRef', refs: 'targetRefs', max: 16 },
} as const;

/** What is known of an object whose status is to say something. */
export type Subject = {
  own: OwnStatus;
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

/**
 * The status that an object is to have, all of it; null: it says already what it should, or there is no room for it. What others wrote
 * stays as it is and where it is, and the time of a condition moves only with its status.
 */
export function statusToWrite(subject: Subject, conditions: readonly Condition[], now: string): Record<string, unknown> | null {
  const status = isRecord(subject.status) ? subject.status : {};
  const { form } = subject.own;
  const next =
    form === 'parents' || form === 'ancestors'
      ? withReferences(REFERENCES[form], subject, status, conditions, now)
      : withConditions(subject, status, conditions, now);
  return next === null || isDeepStrictEqual(next, status) ? null : next;
}

/** Of a status that is applied, what is ours. */
export function ownPart(own: OwnStatus, status: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { types, listenerTypes, fields = [] } = own;
  const oursOf = (list: unknown, ours: readonly string[]): Record<string, unknown>[] =>
    listOf(list).filter(({ type }) => ours.includes(String(type)));
  // Conditions of somebody else would become ours by being applied.
  const listeners = listOf(status.listeners).map((one) => ({ ...one, conditions: oursOf(one.conditions, listenerTypes ?? []) }));
  return {
    conditions: oursOf(status.conditions, types),
    // What is applied no more would be gone.
    ...Object.fromEntries(fields.flatMap((name) => (status[name] === undefined ? [] : [[name, status[name]]]))),
    ...(listenerTypes === undefined || listeners.length === 0 ? {} : { listeners }),
  };
}

function withConditions(
  { own, generation }: Subject,
  status: Record<string, unknown>,
  conditions: readonly Condition[],
  now: string,
): Record<string, unknown> | null {
  // Another controller may have taken it over; its conditions are of the same types.
  if (own.leaves === true && conditions.length === 0) return null;
  const before = listOf(status.conditions);
  const ofAll = conditions.filter(({ listener }) => listener === undefined);
  const merged = merge(before, ofAll, own.types, generation, now);
  if (merged.length === 0 && before.length === 0) return null;
  const listeners = withListeners(own, status, conditions, (old, wanted, types) => merge(old, wanted, types, generation, now));
  const observed = own.form === 'applied' || generation === null || conditions.length === 0 ? {} : observedOf(status, generation);
  return { ...status, ...observed, ...fieldsOf(ofAll), ...(listeners && { listeners }), conditions: merged };
}

/** Those that are spoken of, where they are, and new ones behind; null: of none anything is said, and what is there stays. */
function withListeners(
  { listenerTypes = [] }: OwnStatus,
  status: Readonly<Record<string, unknown>>,
  conditions: readonly Condition[],
  merged: (old: Record<string, unknown>[], wanted: readonly Condition[], types: readonly string[]) => Record<string, unknown>[],
): Record<string, unknown>[] | null {
  const spoken = conditions.filter(({ listener }) => listener !== undefined);
  if (spoken.length === 0) return null;
  // Never in the order of the spec: an API server keeps the places of what it has, and would differ for ever.
  const wanted = Map.groupBy(spoken, ({ listener }) => listener);
  const before = new Map(listOf(status.listeners).map((one) => [String(one.name), one]));
  const names = [...before.keys(), ...[...wanted.keys()].map(String).filter((name) => !before.has(name))];
  return names.flatMap((name) => {
    const said = wanted.get(name);
    if (said === undefined) return [];
    const old = before.get(name) ?? {};
    return [{ ...old, name, ...fieldsOf(said), conditions: merged(listOf(old.conditions), said, listenerTypes) }];
  });
}

function fieldsOf(conditions: readonly Condition[]): Record<string, unknown> {
  return Object.assign({}, ...conditions.map(({ fields }) => fields));
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

function withReferences(
  { list, ref, refs, max }: (typeof REFERENCES)[keyof typeof REFERENCES],
  subject: Subject,
  status: Record<string, unknown>,
  conditions: readonly Condition[],
  now: string,
): Record<string, unknown> | null {
  const before = listOf(status[list]);
  const wanted = new Map<string, { of: Record<string, unknown>; conditions: Condition[] }>();
  const named = new Set(conditions.flatMap(({ parents = [] }) => parents));
  for (const [at, of] of refsOf(subject.spec, refs).entries()) {
    // Those of other controllers are theirs to speak of.
    if (!named.has(at)) continue;
    const spoken = conditions.filter(({ parents }) => parents === undefined || parents.includes(at));
    if (spoken.length > 0) wanted.set(identityOf(of, subject.namespace), { of, conditions: spoken });
  }
  const entryOf = (key: string, old: Readonly<Record<string, unknown>> | null): Record<string, unknown> | null => {
    const one = wanted.get(key);
    wanted.delete(key);
    if (one === undefined) return null;
    const merged = merge(listOf(old?.conditions), one.conditions, null, subject.generation, now);
    return { [ref]: one.of, controllerName: CONTROLLER_NAME, conditions: merged };
  };
  const entries = before.flatMap((old) => {
    if (old.controllerName !== CONTROLLER_NAME) return [old];
    const of = old[ref];
    const key = isRecord(of) ? identityOf(of, subject.namespace) : '';
    return entryOf(key, old) ?? [];
  });
  for (const key of [...wanted.keys()].sort(compareText)) {
    const entry = entryOf(key, null);
    if (entry !== null) entries.push(entry);
  }
  if (entries.length === 0 && before.length === 0) return null;
  return entries.length > max ? null : { ...status, [list]: entries };
}

function refsOf(spec: unknown, name: string): Record<string, unknown>[] {
  return isRecord(spec) ? listOf(spec[name]) : [];
}

/** What tells references apart; an API server has written what its API means where nothing is. */
function identityOf(ref: Readonly<Record<string, unknown>>, own: string): string {
  const { group = '', kind = '', namespace = own, name, sectionName = '', port = '' } = ref;
  return [group, kind, namespace, name, sectionName, port].join('|');
}

function listOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}
