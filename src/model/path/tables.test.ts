import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type IpAddress, parseIp } from '#model/address/ip.ts';
import { ADDRESS_FLAG, SERVICE_FLAG } from '#model/kernel/abi.ts';
import { aMesh, aService, aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { gatewayName, type Service } from '#model/mesh/service.ts';
import { IdTable } from './ids.ts';
import { addressEntry, frontendsOfVip, localWaypoints } from './tables.ts';

const cart = aService('cart', ['240.0.0.1', 'fd99::1']);
const near = aWorkload('near', ['10.0.0.1', 'fd00::1'], { services: endpointOf(cart) });
const far = aWorkload('far', ['10.0.1.1'], { node: 'two', services: endpointOf(cart, 9090) });
const NEAR_ID = 70;
const VIP4 = parseIp('240.0.0.1');

function view(mesh: MeshState) {
  const location = { node: 'one', clusterId: 'Kubernetes', network: '', locality: { region: '', zone: '', subzone: '' } };
  const isLocal = (uid: string): boolean => uid.endsWith('/near');
  const enrolledAt = (ip: IpAddress) => {
    const record = mesh.workloadByIp(ip);
    return record !== null && isLocal(record.uid) ? { id: NEAR_ID, record, isInClear: false } : null;
  };
  return { mesh, ids: new IdTable(), isLocal, enrolledAt, enrolledAs: () => null, location, datagramsClear: false };
}

test('a local workload nothing restricts is open to plain text; a DENY or ALLOW closes it', () => {
  const mesh = aMesh([near, far], [cart]);
  assert.equal(
    addressEntry(parseIp('10.0.0.1'), view(mesh))?.flags,
    ADDRESS_FLAG.local | ADDRESS_FLAG.hbone | ADDRESS_FLAG.plaintextOpen,
  );
  assert.equal(addressEntry(parseIp('10.0.1.1'), view(mesh))?.flags, ADDRESS_FLAG.hbone);
  mesh.apply({
    workloads: new Map(),
    services: new Map(),
    policies: new Map([
      ['shop/p', { name: 'p', namespace: 'shop', scope: 'namespace', action: 'allow', rules: [], dryRun: false }],
    ]),
  });
  assert.equal(addressEntry(parseIp('10.0.0.1'), view(mesh))?.flags, ADDRESS_FLAG.local | ADDRESS_FLAG.hbone);
});

test('an address that is enrolled here is the enrolment’s, and closed while the mesh has no record of it', () => {
  const mesh = aMesh([near, far], [cart]);
  assert.equal(addressEntry(parseIp('10.0.0.1'), view(mesh))?.id, NEAR_ID);
  for (const enrolledAt of [
    () => ({ id: 71, record: null, isInClear: false }),
    () => ({ id: 72, record: near, isInClear: false }),
  ]) {
    const entry = addressEntry(parseIp('10.0.1.1'), { ...view(mesh), enrolledAt });
    const { id, record } = enrolledAt();
    const open = ADDRESS_FLAG.hbone | ADDRESS_FLAG.plaintextOpen;
    assert.deepEqual(entry, { id, flags: ADDRESS_FLAG.local | (record === null ? 0 : open), waypointId: 0 });
  }
});

test('B69: an address whose workload lets plain text past policy is open, with policies and without a record', () => {
  const mesh = aMesh([near], [cart]);
  const policy = { name: 'p', namespace: 'shop', scope: 'namespace', action: 'allow', rules: [], dryRun: false } as const;
  mesh.apply({ workloads: new Map(), services: new Map(), policies: new Map([['shop/p', policy]]) });
  for (const record of [null, near]) {
    const enrolledAt = () => ({ id: 71, record, isInClear: true });
    const { flags = 0 } = addressEntry(parseIp('10.0.0.1'), { ...view(mesh), enrolledAt }) ?? {};
    assert.equal(flags & ADDRESS_FLAG.plaintextOpen, ADDRESS_FLAG.plaintextOpen);
  }
});

test('an address of no workload has no entry', () => assert.equal(addressEntry(parseIp('8.8.8.8'), view(aMesh([near]))), null));

test('B72: of a mesh that is followed in parts an address is nobody’s once that is answered, unless it is a VIP', () => {
  const of = (text: string, isAnswered: () => boolean) =>
    addressEntry(parseIp(text), { ...view(aMesh([near], [cart])), isAnswered });
  assert.equal(
    of('8.8.8.8', () => false),
    null,
  );
  assert.deepEqual(
    of('8.8.8.8', () => true),
    { id: 0, flags: ADDRESS_FLAG.outside, waypointId: 0 },
  );
  assert.equal(
    of('240.0.0.1', () => true),
    null,
  );
});

test('B72: an endpoint that somebody wrote goes by the agent until it is answered whose its address is, a pod does not', () => {
  const uid = 'k/ServiceEntry/shop/legacy/10.0.2.2';
  const written = aWorkload('written', ['10.0.2.2'], { uid, tunnelProtocol: 'none' });
  const pod = aWorkload('pod', ['10.0.2.3'], { tunnelProtocol: 'none' });
  const flagsOf = (text: string, isAnswered?: () => boolean) =>
    addressEntry(parseIp(text), { ...view(aMesh([written, pod])), ...(isAnswered === undefined ? {} : { isAnswered }) })?.flags;
  assert.deepEqual(
    [flagsOf('10.0.2.2'), flagsOf('10.0.2.2', () => false), flagsOf('10.0.2.2', () => true)],
    [0, ADDRESS_FLAG.hbone, 0],
  );
  assert.equal(
    flagsOf('10.0.2.3', () => false),
    0,
  );
});

test('a VIP has its ports with slots of its own family, and an entry that says it exists', () => {
  const entries = frontendsOfVip(VIP4, view(aMesh([near, far], [cart])));
  assert.deepEqual(
    entries.map(({ port, slots }) => [port, slots.map(({ ip, port: target }) => `${ip}:${target}`)]),
    [
      [0, []],
      [80, ['10.0.0.1:8080', '10.0.1.1:9090']],
    ],
  );
  const [, six] = frontendsOfVip(parseIp('fd99::1'), view(aMesh([near, far], [cart])));
  assert.deepEqual(
    six?.slots.map(({ ip }) => ip),
    ['fd00::1'],
  );
});

test('a waypoint replaces the slots; where it runs on this node the kernel may go straight to it', () => {
  const gate = aService('gate', ['240.0.0.9']);
  const address = { kind: 'hostname' as const, namespace: 'shop', hostname: gate.hostname, hbonePort: 15008 };
  const gateWorkload = aWorkload('near', ['10.0.0.9'], { services: endpointOf(gate), nativeTunnel: true });
  const tables = view(aMesh([gateWorkload, far], [{ ...cart, waypoint: address }, gate]));
  const [, entry] = frontendsOfVip(VIP4, tables);
  assert.deepEqual(entry?.slots, []);
  assert.ok(entry && entry.waypointId > 0);
  assert.deepEqual(localWaypoints(tables).get(entry.waypointId), { ip4: '10.0.0.9', ip6: null });
  tables.mesh.apply({
    workloads: new Map([[gateWorkload.uid, { ...gateWorkload, nativeTunnel: false }]]),
    services: new Map(),
    policies: new Map(),
  });
  assert.equal(localWaypoints(tables).size, 0, 'one behind its agent takes tunnels only');
});

test('of a service with a canary the kernel is told both waypoints, and which share the second one gets', () => {
  const address = (name: string) => ({ kind: 'hostname' as const, namespace: 'shop', hostname: name, hbonePort: 15008 });
  const stable = { ...cart, waypoint: address('gate') };
  const entryOf = (service: Service) => frontendsOfVip(VIP4, tables(service))[1];
  const ids = new IdTable(1);
  const tables = (service: Service) => ({ ...view(aMesh([far], [service])), ids });
  const alone = entryOf(stable);
  assert.deepEqual(entryOf({ ...stable, canary: { waypoint: address('next'), weight: 0 } }), alone, 'nobody is sent there');
  const both = entryOf({ ...stable, canary: { waypoint: address('next'), weight: 30 } });
  assert.deepEqual([both?.flags, both?.waypointId], [SERVICE_FLAG.split, alone?.waypointId]);
  assert.deepEqual(both?.splits, [{ setId: ids.of('waypoint', 'shop/next'), backendCount: 30 }]);
  const [first, second] = tables({ ...stable, canary: { waypoint: address('next'), weight: 0 } }).mesh.boundWaypoints();
  assert.deepEqual(
    [first, second].map((one) => one && gatewayName(one)),
    ['shop/gate', 'shop/next'],
    'either may be on this node',
  );
});

test('a VIP that means different services to different clients is left to the agent', () => {
  const other = { ...cart, namespace: 'other', hostname: 'cart.other', canonical: false };
  for (const entry of frontendsOfVip(VIP4, view(aMesh([near], [cart, other]))))
    assert.equal(entry.flags & ~SERVICE_FLAG.mesh, SERVICE_FLAG.agent);
});

test('numbers are never given twice', () => {
  const ids = new IdTable(40);
  ids.restore('workload', 'a', 50);
  assert.deepEqual([ids.of('workload', 'a'), ids.of('workload', 'b'), ids.of('workload', 'b')], [50, 51, 51]);
  ids.forget('workload', 'b');
  assert.equal(ids.nameOf(51), null);
  assert.equal(ids.of('workload', 'b'), 52);
  assert.deepEqual([ids.renew('workload', 'b'), ids.of('workload', 'b'), ids.nameOf(52), ids.last], [53, 53, null, 53]);
});
