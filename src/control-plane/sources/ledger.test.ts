import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { errorAt, fileOrigin, findingOf, formatOrigin } from '#control-plane/resources/finding.ts';
import { nameOf, nameOfResource, type Resource, type ResourceName } from '#control-plane/resources/resource.ts';
import { ResourceLedger } from './ledger.ts';
import type { Entry, Reading } from './ledger-unit.ts';

/** A namespace stands for every resource: the ledger looks at names and at whether two are equal, nothing else. */
function namespace(name: string, version: number): Resource {
  const metadata = {
    name,
    namespace: '',
    labels: { version: String(version) },
    annotations: {},
    createdAtMs: null,
    deleting: false,
  };
  return { kind: 'Namespace', metadata } as Resource;
}

const named = (name: string): ResourceName => nameOf({ kind: 'Namespace', namespace: '', name });

type Said = { name: string; version: number } | { name: string; broken: true } | { unknown: true };

/** What a unit says: a good version of a resource, a broken one, or something that cannot be told. */
function reading(unit: string, said: readonly Said[]): Reading {
  const entries = said.map((one, at): Entry => {
    const origin = fileOrigin(unit, { line: at + 1, column: 1 });
    if ('version' in one) return { name: named(one.name), resource: namespace(one.name, one.version), origin, findings: [] };
    const name = 'name' in one ? named(one.name) : null;
    const finding = findingOf(errorAt('WEFT_FIELD_INVALID', [], 'bad', 'mend'), name ?? '', origin);
    return { name, resource: null, origin, findings: [finding] };
  });
  return { entries, findings: entries.flatMap(({ findings }) => findings) };
}

function take(ledger: ResourceLedger, units: Readonly<Record<string, readonly Said[] | null>>) {
  return ledger.take(new Map(Object.entries(units).map(([unit, said]) => [unit, said === null ? null : reading(unit, said)])));
}

/** `name:version@unit` of every resource in force. */
function outline(ledger: ResourceLedger): string {
  return ledger
    .resources()
    .map((one) => `${one.metadata.name}:${one.metadata.labels.version}@${ledger.unitOf(nameOfResource(one))}`)
    .sort()
    .join(' ');
}

test('a unit that changes is told alone, however many others say the same things', () => {
  const ledger = new ResourceLedger();
  take(ledger, { a: [{ name: 'x', version: 1 }], b: [{ name: 'y', version: 1 }] });
  const { upserted, removed } = take(ledger, { b: [{ name: 'y', version: 2 }] });
  assert.deepEqual([upserted.map(nameOfResource), removed, outline(ledger)], [[named('y')], [], 'x:1@a y:2@b']);
});

test('a resource that moves to another unit in one change is neither removed nor told', () => {
  const ledger = new ResourceLedger();
  take(ledger, { a: [{ name: 'x', version: 1 }] });
  assert.deepEqual(take(ledger, { a: [], b: [{ name: 'x', version: 1 }] }), { upserted: [], removed: [] });
  assert.equal(outline(ledger), 'x:1@b');
});

test('moved to another unit and broken on the way, the last version stays', () => {
  const ledger = new ResourceLedger();
  take(ledger, { a: [{ name: 'x', version: 1 }] });
  assert.deepEqual(take(ledger, { a: [], b: [{ name: 'x', broken: true }] }), { upserted: [], removed: [] });
  assert.equal(outline(ledger), 'x:1@b');
});

test('of three that claim one name each but the first is told, with the place of the first', () => {
  const ledger = new ResourceLedger();
  const twice: Said[] = [
    { name: 'x', version: 2 },
    { name: 'x', version: 3 },
  ];
  take(ledger, { b: twice, a: [{ name: 'x', version: 1 }] });
  assert.deepEqual(
    ledger.findings().map(({ origin, message }) => `${formatOrigin(origin)} ${message}`),
    [
      'b:1:1 already described at a:1; the document here is ignored',
      'b:2:1 already described at a:1; the document here is ignored',
    ],
  );
  take(ledger, { a: null });
  assert.deepEqual([outline(ledger), ledger.findings().length], ['x:2@b', 1]);
});

test('the finding of a broken entry goes with its unit', () => {
  const ledger = new ResourceLedger();
  take(ledger, { a: [{ name: 'x', broken: true }] });
  assert.equal(ledger.findings().length, 1);
  take(ledger, { a: null });
  assert.deepEqual(ledger.findings(), []);
});

test('while an entry cannot be told, nothing that its unit provided is removed; a good version elsewhere beats it', () => {
  const ledger = new ResourceLedger();
  take(ledger, { b: [{ name: 'x', version: 1 }] });
  take(ledger, { b: [{ unknown: true }] });
  assert.equal(outline(ledger), 'x:1@b');
  take(ledger, { a: [{ name: 'x', version: 2 }] });
  assert.equal(outline(ledger), 'x:2@a');
  take(ledger, { a: null });
  assert.equal(outline(ledger), 'x:1@b', 'what was kept is still there to fall back on');
  take(ledger, { b: [] });
  assert.equal(outline(ledger), '');
});

test('after any history the changes told add up to what is in force', () => {
  fc.assert(
    fc.property(fc.array(changeOf(sayings(true)), { maxLength: 12 }), (changes) => {
      const ledger = new ResourceLedger();
      const told = new Map<ResourceName, Resource>();
      for (const change of changes) {
        const { upserted, removed } = take(ledger, change);
        for (const name of removed) assert.ok(told.delete(name), `${name} was removed but never told`);
        for (const resource of upserted) told.set(nameOfResource(resource), resource);
      }
      assert.deepEqual(new Map(ledger.resources().map((one) => [nameOfResource(one), one])), told);
    }),
  );
});

test('where nothing is broken, any order of changes equals reading the last state at once', () => {
  fc.assert(
    fc.property(fc.array(changeOf(sayings(false)), { maxLength: 12 }), (changes) => {
      const ledger = new ResourceLedger();
      for (const change of changes) take(ledger, change);
      const last = new ResourceLedger();
      take(last, Object.assign({}, ...changes));
      const places = (of: ResourceLedger) =>
        of
          .findings()
          .map(({ origin, message }) => `${formatOrigin(origin)} ${message}`)
          .sort();
      assert.deepEqual([outline(ledger), places(ledger)], [outline(last), places(last)]);
    }),
  );
});

/** Few names and few versions, so that units meet. */
function sayings(withBroken: boolean): fc.Arbitrary<Said[] | null> {
  const good = fc.record({ name: fc.constantFrom('x', 'y', 'z'), version: fc.nat(2) }, { noNullPrototype: true });
  const broken = fc.constantFrom<Said>({ name: 'x', broken: true }, { name: 'y', broken: true }, { unknown: true });
  const said: fc.Arbitrary<Said> = withBroken ? fc.oneof(good, broken) : good;
  return fc.option(fc.array(said, { maxLength: 3 }), { nil: null });
}

function changeOf(said: fc.Arbitrary<Said[] | null>): fc.Arbitrary<Record<string, Said[] | null>> {
  return fc.dictionary(fc.constantFrom('a', 'b', 'c'), said, { maxKeys: 2, noNullPrototype: true });
}
