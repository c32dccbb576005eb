import assert from 'node:assert/strict';
import test from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import type { KernelMaps } from '#model/kernel/maps.ts';
import { aService } from '#model/mesh/mesh-fixtures.testing.ts';
import { DNS } from '#model/settings/dns.ts';
import { memoryMaps } from '#node-agent/kernel/memory-kernel.testing.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { AnsweredNames } from './answered-names.ts';

const [ONE, TWO] = [parseIp('9.9.9.1'), parseIp('2001:db8::2')];
const ENTRY = aService('entry', [], {
  hostname: 'db.example.com',
  loadBalancing: { mode: 'passthrough', routingPreference: [], allowUnhealthy: true },
});
const CHANGE = new Map([['shop/db.example.com', ENTRY]]);

/** A node with workload `w` under number 7; `ports`: what the mesh knows of names. */
function setUp({ maps = memoryMaps(), clock = new SteppedClock() }: { maps?: KernelMaps; clock?: SteppedClock } = {}) {
  const ports = new Map([['db.example.com', [5432]]]);
  const ids = new Map([['w', 7]]);
  const confined = { is: true };
  const nowNs = (): bigint => BigInt(clock.monotonicMs()) * 1_000_000n;
  const names = new AnsweredNames({
    ...{ maps, nowNs, clock, log: SILENT_LOG, isConfined: () => confined.is },
    idOf: (uid) => ids.get(uid) ?? null,
    portsOf: (_, name) => new Set(ports.get(name) ?? []),
  });
  /** `number port address` of each permit that is not over. */
  const open = (): string[] =>
    maps.permits
      .entries()
      .filter(([, { untilNs }]) => untilNs > nowNs())
      .map(([{ sourceId, ip, port }]) => `${sourceId} ${port} ${ip}`)
      .sort();
  const told = (name: string, ip = ONE, ttlMs = 0): void => names.answered('w', name, [{ ip, ttlMs }]);
  return { names, maps, clock, ports, ids, confined, open, told };
}

test('B70: what is answered for a name that the mesh knows may be reached at once, by its ports, for as long as apps keep it', () => {
  const { names, open, told, clock } = setUp();
  told('db.example.com');
  told('db.example.com', TWO, 10 * DNS.permitMsMax);
  assert.deepEqual(open(), ['7 5432 2001:db8::2', '7 5432 9.9.9.1']);
  assert.deepEqual(
    [names.allows('w', ONE, 5432), names.allows('w', ONE, 80), names.allows('v', ONE, 5432)],
    [true, false, false],
  );
  clock.advance(DNS.permitMs);
  assert.deepEqual([open(), names.allows('w', ONE, 5432)], [['7 5432 2001:db8::2'], false]);
  clock.advance(DNS.permitMsMax);
  assert.deepEqual([open(), names.nameOf('w', TWO)], [[], null]);
});

test('B70: permits that are over make room', () => {
  const { told, maps, clock } = setUp();
  told('db.example.com');
  clock.advance(DNS.permitMs + DNS.permitSweepMs);
  assert.equal(maps.permits.entries().length, 0);
});

test('B70: what the mesh does not know opens nothing, and has a name; of who may go anywhere not even that', () => {
  const { names, open, told, confined, ids } = setUp();
  told('evil.org');
  assert.deepEqual([open(), names.nameOf('w', ONE)], [[], { name: 'evil.org', ports: new Set() }]);
  confined.is = false;
  told('evil.org', TWO);
  assert.equal(names.nameOf('w', TWO), null);
  ids.clear();
  told('db.example.com', TWO);
  assert.deepEqual(open(), [], 'nobody asked');
});

test('B70: an address of the machine itself, of a link or of many is opened by no name', () => {
  const { open, told } = setUp();
  for (const ip of ['127.0.0.1', '169.254.169.254', 'fe80::1', '224.0.0.1', '0.0.0.0', '::1'])
    told('db.example.com', parseIp(ip));
  assert.deepEqual(open(), []);
});

test('B70: one address of two names is open for the ports of both, and of the one that is left', () => {
  const { names, open, told, ports } = setUp();
  ports.set('web.example.com', [443, 5432]);
  told('db.example.com');
  told('web.example.com');
  assert.deepEqual(open(), ['7 443 9.9.9.1', '7 5432 9.9.9.1']);
  ports.delete('web.example.com');
  names.changed(CHANGE, false);
  assert.deepEqual(open(), ['7 5432 9.9.9.1']);
});

test('B70: a ServiceEntry that comes opens what was answered before, one that goes closes it; other services are no reason to look', () => {
  const { names, open, told, ports } = setUp();
  told('new.example.com');
  ports.set('new.example.com', [443]);
  names.changed(new Map([['shop/cart', aService('cart', ['240.0.0.1'])]]), false);
  assert.deepEqual(open(), []);
  names.changed(CHANGE, false);
  assert.deepEqual(open(), ['7 443 9.9.9.1']);
  ports.clear();
  names.changed(new Map([['shop/db.example.com', null]]), false);
  assert.deepEqual(open(), []);
});

test('B70: an enrolment takes what it may reach along; the next one of its name begins with nothing', () => {
  const { names, open, told, ids } = setUp();
  told('db.example.com');
  names.ended('w', 7);
  assert.deepEqual([open(), names.allows('w', ONE, 5432)], [[], false]);
  told('db.example.com');
  ids.set('w', 8);
  assert.deepEqual(names.allows('w', TWO, 5432), false);
  told('db.example.com', TWO);
  assert.deepEqual(open(), ['8 5432 2001:db8::2']);
});

test('B70: the next agent goes on with the permits of this one, and judges them by the mesh once it knows it', () => {
  const first = setUp();
  first.ports.set('web.example.com', [443]);
  first.told('db.example.com');
  first.told('web.example.com', TWO);
  first.names.stop();
  const next = setUp({ maps: first.maps, clock: first.clock });
  next.ports.clear();
  next.names.enrolled('w', false);
  assert.deepEqual([next.open().length, next.names.allows('w', ONE, 5432)], [2, true], 'as before');
  next.ports.set('db.example.com', [5432]);
  next.names.changed(new Map(), true);
  assert.deepEqual(next.open(), ['7 5432 9.9.9.1']);
  const third = setUp({ maps: first.maps, clock: first.clock });
  third.names.ended('w', 7);
  assert.deepEqual(third.open(), [], 'whoever left meanwhile leaves nothing');
});

test('B70: one that was replaced writes nothing, and what it wrote last goes when it is over', () => {
  const { names, open, told, maps } = setUp();
  told('db.example.com');
  const next = setUp({ maps: memoryMaps() });
  next.maps.permits.set({ sourceId: 9, ip: ONE, port: 1 }, { untilNs: 1n, name: 'x' });
  next.clock.advance(DNS.permitMsMax);
  assert.equal(next.maps.permits.entries().length, 0);
  names.stop();
  told('db.example.com', TWO);
  names.changed(CHANGE, true);
  names.ended('w', 7);
  assert.deepEqual([open(), maps.permits.entries().length], [['7 5432 9.9.9.1'], 1]);
});

test('B70: one workload is remembered so many addresses, the oldest giving way; a full table opens nothing', () => {
  const { open, names, maps } = setUp();
  const all = Array.from({ length: DNS.permitAddressesMax + 5 }, (_, at) =>
    parseIp(`9.${at >> 16}.${(at >> 8) & 255}.${at & 255}`),
  );
  for (const ip of all) names.answered('w', 'db.example.com', [{ ip, ttlMs: 0 }]);
  assert.equal(open().length, DNS.permitAddressesMax);
  assert.deepEqual(
    [all[4], all[5]].map((ip) => ip !== undefined && names.allows('w', ip, 5432)),
    [false, true],
  );
  maps.permits.set = () => {
    throw new Error('E2BIG');
  };
  names.answered('w', 'db.example.com', [{ ip: TWO, ttlMs: 0 }]);
  assert.ok(!open().includes(`7 5432 ${TWO}`));
});
