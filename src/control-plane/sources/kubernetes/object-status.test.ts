import assert from 'node:assert/strict';
import test from 'node:test';
import type { Condition } from '#control-plane/index/index-delta.ts';
import { KINDS } from '#control-plane/kinds/list.ts';
import { CONTROLLER_NAME } from '#control-plane/mesh/well-known.ts';
import type { OwnStatus } from '#control-plane/resources/cluster-kind.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import { ownPart, type Subject, statusToWrite } from './object-status.ts';

const NOW = '2026-01-01T00:00:00Z';
const EARLIER = '2025-01-01T00:00:00Z';

function condition(type: string, status: 'True' | 'False' = 'True', rest: Partial<Condition> = {}): Condition {
  const parents = type === 'Accepted' ? { parents: [0] } : {};
  return { resource: 'X a/b' as ResourceName, type, status, reason: type, message: 'said', ...parents, ...rest };
}

const OWN: Readonly<Record<string, OwnStatus>> = Object.fromEntries(
  KINDS.flatMap(({ kind, cluster }) => (cluster?.status === undefined ? [] : [[kind, cluster.status]])),
);

function ownOf(kind: string): OwnStatus {
  const own = OWN[kind];
  if (own === undefined) throw new Error(`${kind} has no status of ours`);
  return own;
}

function subject(kind: string, status: unknown, spec: unknown = {}, generation: number | null = 2): Subject {
  return { own: ownOf(kind), namespace: 'shop', generation, spec, status };
}

/** A list of a status. */
function list(status: Record<string, unknown> | null, field: 'parents' | 'conditions'): Record<string, unknown>[] {
  return (status?.[field] ?? []) as Record<string, unknown>[];
}

const PARENT = { group: '', kind: 'Service', name: 'reviews' };
const ROUTE = { parentRefs: [PARENT] };

function entryOf(controllerName: string, parentRef: object = PARENT): object {
  const conditions = [
    { type: 'Accepted', status: 'True', reason: 'Accepted', message: 'said', lastTransitionTime: EARLIER, observedGeneration: 2 },
  ];
  return { parentRef, controllerName, conditions };
}

test('K112: every condition names the generation it speaks of, and its time moves with its status only', () => {
  const first = statusToWrite(subject('AuthorizationPolicy', {}), [condition('ZtunnelAccepted')], EARLIER);
  assert.deepEqual(first, {
    conditions: [
      {
        type: 'ZtunnelAccepted',
        status: 'True',
        reason: 'ZtunnelAccepted',
        message: 'said',
        lastTransitionTime: EARLIER,
        observedGeneration: 2,
      },
    ],
  });
  const edited = statusToWrite(subject('AuthorizationPolicy', first, {}, 3), [condition('ZtunnelAccepted')], NOW);
  const [written] = list(edited, 'conditions');
  assert.deepEqual([written?.observedGeneration, written?.lastTransitionTime], [3, EARLIER]);
  const changed = statusToWrite(subject('AuthorizationPolicy', first, {}, 2), [condition('ZtunnelAccepted', 'False')], NOW);
  assert.equal(list(changed, 'conditions')[0]?.lastTransitionTime, NOW);
});

test('K111: a status that says what it should is not written', () => {
  for (const kind of ['AuthorizationPolicy', 'Service', 'Gateway']) {
    const type =
      { AuthorizationPolicy: 'WaypointAccepted', Service: 'istio.io/WaypointBound', Gateway: 'Programmed' }[kind] ?? '';
    const first = statusToWrite(subject(kind, {}), [condition(type)], EARLIER);
    assert.notEqual(first, null);
    assert.equal(statusToWrite(subject(kind, first), [condition(type)], NOW), null, kind);
    assert.equal(statusToWrite(subject(kind, {}), [], NOW), null, `${kind} without anything to say`);
  }
});

test('K115: what is ours comes and goes; a condition of somebody else stays byte for byte', () => {
  const foreign = { type: 'example.com/Seen', status: 'True', reason: 'R', message: '', lastTransitionTime: EARLIER, extra: 1 };
  const bySelector = statusToWrite(
    subject('AuthorizationPolicy', { conditions: [foreign] }),
    [condition('ZtunnelAccepted')],
    NOW,
  );
  const byTarget = statusToWrite(subject('AuthorizationPolicy', bySelector), [condition('WaypointAccepted')], NOW);
  assert.deepEqual(
    list(byTarget, 'conditions').map(({ type }) => type),
    ['example.com/Seen', 'WaypointAccepted'],
  );
  assert.deepEqual(list(byTarget, 'conditions')[0], foreign);
  const nothing = statusToWrite(subject('AuthorizationPolicy', byTarget), [], NOW);
  assert.deepEqual(nothing?.conditions, [foreign]);
});

test("K107, K108: other controllers' entries of a route stay as they are and where they are, ours is replaced in place", () => {
  const others = [entryOf('a.example/one'), entryOf('b.example/two', { name: 'gateway' })];
  const first = statusToWrite(subject('HTTPRoute', { parents: others }, ROUTE), [condition('Accepted')], NOW);
  const parents = list(first, 'parents');
  assert.deepEqual(parents.slice(0, 2), others);
  assert.deepEqual([parents[2]?.controllerName, parents[2]?.parentRef], [CONTROLLER_NAME, PARENT]);
  const moved = [parents[0], parents[2], parents[1]];
  const again = statusToWrite(subject('HTTPRoute', { parents: moved }, ROUTE), [condition('Accepted', 'False')], NOW);
  assert.deepEqual(
    list(again, 'parents').map(({ controllerName }) => controllerName),
    ['a.example/one', CONTROLLER_NAME, 'b.example/two'],
  );
});

test('K109: with the reference our entry goes, and no other; a route of other parents gets none', () => {
  const parents = [entryOf(CONTROLLER_NAME), entryOf('a.example/one', { name: 'gateway' })];
  const gone = statusToWrite(subject('HTTPRoute', { parents }, { parentRefs: [{ name: 'gateway' }] }), [], NOW);
  assert.deepEqual(gone?.parents, parents.slice(1));
  assert.equal(statusToWrite(subject('HTTPRoute', {}, { parentRefs: [{ name: 'gateway' }] }), [], NOW), null);
});

test('each parent gets what is said of it, and what is said of all; one that nothing is said of is not ours', () => {
  const spec = { parentRefs: [PARENT, { ...PARENT, name: 'nobody' }, { name: 'gateway' }] };
  const apart = [
    condition('Accepted', 'True', { parents: [0] }),
    condition('Accepted', 'False', { parents: [1] }),
    condition('ResolvedRefs'),
  ];
  const told = list(statusToWrite(subject('HTTPRoute', {}, spec), apart, NOW), 'parents');
  assert.deepEqual(
    told.map(({ parentRef, conditions }) => [
      (parentRef as { name: string }).name,
      (conditions as Record<string, unknown>[]).map(({ type, status }) => `${type}=${status}`).join(),
    ]),
    [
      ['nobody', 'Accepted=False,ResolvedRefs=True'],
      ['reviews', 'Accepted=True,ResolvedRefs=True'],
    ],
  );
});

test('K107: a policy of the Gateway API has an entry of ours for each backend, beside those of other controllers', () => {
  const own = ownOf('XBackendTrafficPolicy');
  const spec = { targetRefs: [PARENT, { group: 'example.com', kind: 'Backend', name: 'theirs' }] };
  const theirs = { ancestorRef: { name: 'gateway' }, controllerName: 'a.example/one', conditions: [] };
  const accepted = condition('Accepted', 'True', { parents: [0] });
  const first = statusToWrite(subject('XBackendTrafficPolicy', { ancestors: [theirs] }, spec), [accepted], NOW);
  const [kept, ours] = (first?.ancestors ?? []) as Record<string, unknown>[];
  assert.deepEqual([kept, ours?.ancestorRef, ours?.controllerName], [theirs, PARENT, CONTROLLER_NAME]);
  assert.equal(statusToWrite(subject('XBackendTrafficPolicy', first, spec), [accepted], NOW), null);
  assert.deepEqual(statusToWrite(subject('XBackendTrafficPolicy', first, spec), [], NOW)?.ancestors, [theirs]);
  assert.deepEqual(own.refused(spec), [{ type: 'Accepted', reason: 'Invalid', parents: [0] }]);
});

test('a list that others have filled is left alone', () => {
  const parents = Array.from({ length: 32 }, (_, at) => entryOf('a.example/one', { name: `g${at}` }));
  assert.equal(statusToWrite(subject('HTTPRoute', { parents }, ROUTE), [condition('Accepted')], NOW), null);
});

test('K114: a gateway of another class is never touched; of one of ours only our conditions are applied', () => {
  const theirs = {
    conditions: [{ type: 'Accepted', status: 'True', reason: 'Theirs', message: '', lastTransitionTime: EARLIER }],
  };
  assert.equal(statusToWrite(subject('Gateway', theirs), [], NOW), null);
  const status = statusToWrite(subject('Gateway', { ...theirs, addresses: [1] }), [condition('Programmed')], NOW) ?? {};
  const types = (ownPart(ownOf('Gateway'), { ...status }).conditions as Record<string, unknown>[]).map(({ type }) => type);
  assert.deepEqual(types, ['Programmed']);
});

const MESH = { name: 'mesh', supportedKinds: [{ kind: 'HTTPRoute' }], attachedRoutes: 2 };

test('K112: listeners are told one by one, with the generation; where nothing is said of them they stay as they are', () => {
  const said = [
    condition('Programmed', 'True', { fields: { addresses: [{ value: '10.0.0.1' }] } }),
    condition('ResolvedRefs', 'True', { listener: 'mesh', fields: { supportedKinds: MESH.supportedKinds } }),
    condition('Programmed', 'True', { listener: 'mesh', fields: { attachedRoutes: 2 } }),
  ];
  const first = statusToWrite(subject('Gateway', {}), said, EARLIER) ?? {};
  const [listener = {}] = first.listeners as Record<string, unknown>[];
  assert.deepEqual({ ...listener, conditions: undefined }, { ...MESH, conditions: undefined });
  assert.deepEqual(
    list(listener, 'conditions').map(({ type, observedGeneration }) => [type, observedGeneration]),
    [
      ['ResolvedRefs', 2],
      ['Programmed', 2],
    ],
  );
  assert.deepEqual(first.addresses, [{ value: '10.0.0.1' }]);
  assert.deepEqual(
    list(first, 'conditions').map(({ type }) => type),
    ['Programmed'],
    'those of a listener are none of the Gateway',
  );
  assert.equal(statusToWrite(subject('Gateway', first), said, NOW), null, 'K111');
  const pending = statusToWrite(subject('Gateway', first), [condition('Programmed', 'False')], NOW) ?? {};
  assert.deepEqual([pending.addresses, pending.listeners], [first.addresses, first.listeners]);
  const applied = ownPart(ownOf('Gateway'), pending);
  assert.deepEqual([applied.addresses, applied.listeners], [first.addresses, first.listeners], 'else they would be taken back');
});

test('a listener that is no more goes, others keep their places, and conditions of somebody else are not applied', () => {
  const theirs = { type: 'example.com/Seen', status: 'True', reason: 'R', message: '', lastTransitionTime: EARLIER };
  const names = ['b', 'gone', 'a'];
  const listeners = names.map((name) => ({ name, attachedRoutes: 0, conditions: [theirs] }));
  const said = [condition('Programmed'), ...['a', 'b', 'c'].map((listener) => condition('Programmed', 'True', { listener }))];
  const status = statusToWrite(subject('Gateway', { listeners }), said, NOW) ?? {};
  const written = status.listeners as { name: string; conditions: { type: string }[] }[];
  assert.deepEqual(
    written.map(({ name }) => name),
    ['b', 'a', 'c'],
  );
  assert.deepEqual(
    written[0]?.conditions.map(({ type }) => type),
    ['example.com/Seen', 'Programmed'],
  );
  const own = ownPart(ownOf('Gateway'), status).listeners as typeof written;
  assert.deepEqual(
    own[0]?.conditions.map(({ type }) => type),
    ['Programmed'],
  );
});
