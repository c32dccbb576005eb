import assert from 'node:assert/strict';
import test from 'node:test';
import { DEFAULT_MESH_OPTIONS } from '#control-plane/index/mesh-options.ts';
import { type Entry, entry } from '#control-plane/index/table.ts';
import { readMetadata } from '#control-plane/resources/metadata.ts';
import { nameOf } from '#control-plane/resources/resource.ts';
import { ask } from './ask.testing.ts';
import { NAMESPACES } from './namespaces.ts';
import { SERVICE_BINDINGS } from './services.ts';
import {
  BINDING_TABLES,
  type Binding,
  bindingOf,
  hasWaypoint,
  isWaypoint,
  waypointCondition,
  waypointRequestOf,
} from './waypoint-binding.ts';
import { type GatewayInfo, isRun, ownAddress, refusedAddress, WAYPOINTS } from './waypoints.ts';

const USE = 'istio.io/use-waypoint';
const USE_NAMESPACE = 'istio.io/use-waypoint-namespace';

const requests: {
  name: string;
  own: Record<string, string>;
  space: Record<string, string>;
  want: ReturnType<typeof waypointRequestOf>;
}[] = [
  { name: 'nobody asks', own: {}, space: {}, want: null },
  { name: 'the object asks', own: { [USE]: 'w' }, space: {}, want: { namespace: 'shop', name: 'w', explicit: true } },
  { name: 'its namespace asks', own: {}, space: { [USE]: 'w' }, want: { namespace: 'shop', name: 'w', explicit: false } },
  {
    name: 'the object is heard first',
    own: { [USE]: 'own' },
    space: { [USE]: 'w' },
    want: { namespace: 'shop', name: 'own', explicit: true },
  },
  { name: 'none at the object stops the namespace', own: { [USE]: 'none' }, space: { [USE]: 'w' }, want: null },
  { name: 'an empty text at the object does too', own: { [USE]: '' }, space: { [USE]: 'w' }, want: null },
  { name: 'none at the namespace', own: {}, space: { [USE]: 'none' }, want: null },
  {
    name: 'a waypoint of another namespace',
    own: { [USE]: 'w', [USE_NAMESPACE]: 'far' },
    space: {},
    want: { namespace: 'far', name: 'w', explicit: true },
  },
  {
    name: 'the other namespace counts only where the waypoint is named',
    own: { [USE]: 'w' },
    space: { [USE]: 'x', [USE_NAMESPACE]: 'far' },
    want: { namespace: 'shop', name: 'w', explicit: true },
  },
  {
    name: 'a namespace that names a waypoint of another one',
    own: {},
    space: { [USE]: 'w', [USE_NAMESPACE]: 'far' },
    want: { namespace: 'far', name: 'w', explicit: false },
  },
];
for (const { name, own, space, want } of requests) {
  test(`request: ${name}`, () => assert.deepEqual(waypointRequestOf(own, 'shop', space), want));
}

function waypoint(more: Partial<GatewayInfo> = {}): Entry {
  const namespace = more.namespace ?? 'shop';
  const name = more.name ?? 'w';
  const info: GatewayInfo = {
    key: `${namespace}/${name}`,
    namespace,
    name,
    className: 'weft-waypoint',
    managed: true,
    automatic: false,
    activated: false,
    serviceAccount: 'w',
    traffic: 'service',
    allowed: { kind: 'same' },
    address: ownAddress(namespace, name, DEFAULT_MESH_OPTIONS),
    state: { kind: 'ready' },
    ...more,
  };
  return entry(WAYPOINTS, info.key, info);
}

function space(labels: Record<string, string>, name = 'shop'): Entry {
  return entry(NAMESPACES, name, { kind: 'Namespace', metadata: readMetadata({ name, labels }, false) });
}

/** `gateway address condition problem`, each `-` when there is none. */
function outline({ gateway, address, condition, problem }: Binding): string {
  const where = address?.kind === 'hostname' ? address.hostname : (address?.address ?? '-');
  const said = condition === null ? '-' : `${condition.status}/${condition.reason}`;
  return `${gateway ?? '-'} ${where} ${said} ${problem?.path.join('.') ?? '-'}`;
}

const OWN = 'w.shop.svc.cluster.local';
const LABEL_PATH = 'metadata.labels.istio.io/use-waypoint';

const bindings: {
  name: string;
  entries: Entry[];
  kind?: 'service' | 'workload';
  labels?: Record<string, string>;
  namespace?: string;
  want: string;
}[] = [
  { name: 'nobody asks', entries: [waypoint()], labels: {}, want: '- - - -' },
  { name: 'a ready waypoint', entries: [waypoint()], want: `shop/w ${OWN} True/WaypointAccepted -` },
  {
    name: 'one that is not ready is not passed by, and nothing is wrong with that yet',
    entries: [waypoint({ state: { kind: 'not-ready', why: 'soon' } })],
    want: `shop/w ${OWN} False/WaypointIsNotReady -`,
  },
  {
    name: 'one that can never work refuses',
    entries: [waypoint({ state: { kind: 'unusable', why: 'no listener' } })],
    want: `- w.shop.unusable.invalid False/WaypointIsNotReady ${LABEL_PATH}`,
  },
  { name: 'one that is not there', entries: [], want: `shop/w ${OWN} False/WaypointIsNotReady ${LABEL_PATH}` },
  {
    name: 'one that is not there, asked for by the namespace',
    entries: [space({ [USE]: 'w' })],
    labels: {},
    want: `shop/w ${OWN} False/WaypointIsNotReady metadata`,
  },
  {
    name: 'the same for a workload: the namespace means its services',
    entries: [space({ [USE]: 'w' })],
    kind: 'workload',
    labels: {},
    want: '- - - -',
  },
  {
    name: 'a workload that asks itself for one that is not there',
    entries: [],
    kind: 'workload',
    want: `shop/w ${OWN} False/WaypointIsNotReady ${LABEL_PATH}`,
  },
  {
    name: 'a workload at a waypoint for services: past it, and told so',
    entries: [waypoint()],
    kind: 'workload',
    want: `- - False/UnsupportedTrafficType ${LABEL_PATH}`,
  },
  {
    name: 'the same by the namespace: nothing to tell',
    entries: [waypoint(), space({ [USE]: 'w' })],
    kind: 'workload',
    labels: {},
    want: '- - - -',
  },
  {
    name: 'a service at a waypoint for workloads',
    entries: [waypoint({ traffic: 'workload' })],
    want: `- - False/UnsupportedTrafficType ${LABEL_PATH}`,
  },
  {
    name: 'a waypoint for nothing',
    entries: [waypoint({ traffic: 'none' })],
    want: `- - False/UnsupportedTrafficType ${LABEL_PATH}`,
  },
  {
    name: 'a waypoint for all, asked by a workload',
    entries: [waypoint({ traffic: 'all' })],
    kind: 'workload',
    want: `shop/w ${OWN} True/WaypointAccepted -`,
  },
  {
    name: 'one of another namespace that accepts only its own',
    entries: [waypoint({ namespace: 'far' })],
    labels: { [USE]: 'w', [USE_NAMESPACE]: 'far' },
    want: `- w.far.attachment-denied.invalid False/AttachmentDenied ${LABEL_PATH}`,
  },
  {
    name: 'one of another namespace that accepts all',
    entries: [waypoint({ namespace: 'far', allowed: { kind: 'all' } })],
    labels: { [USE]: 'w', [USE_NAMESPACE]: 'far' },
    want: 'far/w w.far.svc.cluster.local True/WaypointAccepted -',
  },
  {
    name: 'one that accepts nobody',
    entries: [waypoint({ allowed: { kind: 'none' } })],
    want: `- w.shop.attachment-denied.invalid False/AttachmentDenied ${LABEL_PATH}`,
  },
  {
    name: 'one that picks namespaces by label, and this one is picked',
    entries: [
      waypoint({ allowed: { kind: 'selector', selector: { matchLabels: { team: 'a' }, matchExpressions: [] } } }),
      space({ team: 'a' }),
    ],
    want: `shop/w ${OWN} True/WaypointAccepted -`,
  },
  {
    name: 'one that picks namespaces by label, and this one is not',
    entries: [waypoint({ allowed: { kind: 'selector', selector: { matchLabels: { team: 'a' }, matchExpressions: [] } } })],
    want: `- w.shop.attachment-denied.invalid False/AttachmentDenied ${LABEL_PATH}`,
  },
  {
    name: 'one that picks namespaces by name: every namespace has that label',
    entries: [
      waypoint({
        allowed: { kind: 'selector', selector: { matchLabels: { 'kubernetes.io/metadata.name': 'shop' }, matchExpressions: [] } },
      }),
    ],
    want: `shop/w ${OWN} True/WaypointAccepted -`,
  },
  {
    name: 'who is not accepted is told that before anything about its state',
    entries: [waypoint({ allowed: { kind: 'none' }, state: { kind: 'unusable', why: 'x' } })],
    want: `- w.shop.attachment-denied.invalid False/AttachmentDenied ${LABEL_PATH}`,
  },
];
for (const { name, entries, kind = 'service', labels = { [USE]: 'w' }, namespace = 'shop', want } of bindings) {
  test(`binding: ${name}`, () => {
    assert.equal(outline(ask(entries, [...BINDING_TABLES], (mesh) => bindingOf(kind, namespace, labels, mesh))), want);
  });
}

test('a name that is nearly right is suggested, from the namespace that was asked for', () => {
  const entries = [waypoint({ name: 'way' }), waypoint({ name: 'wax', namespace: 'far' })];
  const { problem } = ask(entries, [...BINDING_TABLES], (mesh) => bindingOf('service', 'shop', { [USE]: 'wayy' }, mesh));
  assert.match(problem?.message ?? '', /Gateway shop\/wayy does not exist \(did you mean way\?\); traffic is refused/);
});

test('the cluster domain is part of the address', () => {
  const options = { clusterDomain: 'example.org' };
  const address = ask([], [...BINDING_TABLES], (mesh) => bindingOf('service', 'shop', { [USE]: 'w' }, mesh).address, options);
  assert.deepEqual(address, { kind: 'hostname', namespace: 'shop', hostname: 'w.shop.svc.example.org', hbonePort: 15_008 });
  assert.equal(refusedAddress('shop', 'w', 'unusable').kind, 'hostname');
});

test('a binding becomes the condition of its object, or none', () => {
  const name = nameOf({ kind: 'Service', namespace: 'shop', name: 'a' });
  const condition = { status: 'True' as const, reason: 'r', message: 'm' };
  const binding = { gateway: null, address: null, problem: null };
  assert.deepEqual(waypointCondition(name, { ...binding, condition: null }), []);
  assert.deepEqual(waypointCondition(name, { ...binding, condition }), [
    { resource: name, type: 'istio.io/WaypointBound', ...condition },
  ]);
});

const served: { name: string; entries: Entry[]; want: boolean }[] = [
  { name: 'a service without binding', entries: [waypoint()], want: false },
  {
    name: 'bound to a waypoint of ours',
    entries: [
      waypoint(),
      entry(SERVICE_BINDINGS, 'shop/a', {
        gateway: 'shop/w',
        canary: null,
        hostname: 'a.shop',
        owner: nameOf({ kind: 'Service', namespace: 'shop', name: 'a' }),
      }),
    ],
    want: true,
  },
  {
    name: 'bound to a Gateway of others',
    entries: [
      waypoint({ managed: false }),
      entry(SERVICE_BINDINGS, 'shop/a', {
        gateway: 'shop/w',
        canary: null,
        hostname: 'a.shop',
        owner: nameOf({ kind: 'Service', namespace: 'shop', name: 'a' }),
      }),
    ],
    want: false,
  },
  {
    name: 'bound to what is not there',
    entries: [
      entry(SERVICE_BINDINGS, 'shop/a', {
        gateway: 'shop/w',
        canary: null,
        hostname: 'a.shop',
        owner: nameOf({ kind: 'Service', namespace: 'shop', name: 'a' }),
      }),
    ],
    want: false,
  },
];
for (const { name, entries, want } of served) {
  test(`has a waypoint: ${name}`, () => {
    assert.equal(
      ask(entries, [SERVICE_BINDINGS, WAYPOINTS], (mesh) => hasWaypoint(mesh, 'shop/a')),
      want,
    );
  });
}

test('only what Weft runs, and can run, is run', () => {
  const info = (more: Partial<GatewayInfo>) => waypoint(more).value as GatewayInfo;
  assert.equal(isRun(null), false);
  assert.equal(isRun(info({})), true);
  assert.equal(isRun(info({ state: { kind: 'not-ready', why: '' } })), true);
  assert.equal(isRun(info({ state: { kind: 'unusable', why: '' } })), false);
  assert.equal(isRun(info({ managed: false })), false);
  assert.equal(
    ask([waypoint({ managed: false })], [WAYPOINTS], (mesh) => isWaypoint(mesh, 'shop/w')),
    false,
  );
});
