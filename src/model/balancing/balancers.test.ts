import assert from 'node:assert/strict';
import test from 'node:test';
import { type HashTable, hashOf, isPrime, maglevOf, nextHash, ringOf } from './consistent-hash.ts';
import { endpointSet, pickRandom } from './least-request.ts';
import { RoundRobin } from './round-robin.ts';
import { warmth } from './warmup.ts';

type Named = { name: string; capacity: number; active: number };

function named(...capacities: number[]): Named[] {
  return capacities.map((capacity, at) => ({ name: `10.0.0.${at + 1}:80`, capacity, active: 0 }));
}

const shortly = (picked: (Named | null)[]): string => picked.map((one) => one?.name.slice(7, 8) ?? '-').join('');

const turns: { name: string; capacities: number[]; start: number; want: string }[] = [
  { name: 'a rotation', capacities: [1, 1, 1], start: 0, want: '231231' },
  { name: 'from anywhere', capacities: [1, 1, 1], start: 0.99, want: '123123' },
  { name: 'weights 2:4 are 1:2 in every three picks', capacities: [2, 4], start: 0, want: '212212' },
  { name: 'as evenly as can be', capacities: [5, 1, 1], start: 0, want: '1121311' },
  { name: 'a weight of 0 is never taken', capacities: [0, 1], start: 0, want: '222' },
];
for (const { name, capacities, start, want } of turns)
  test(`W47 round robin: ${name}`, () => {
    const set = endpointSet(named(...capacities));
    const robin = new RoundRobin<Named>();
    assert.equal(shortly(Array.from(want, () => robin.pick(set, () => start))), want);
  });

test('W47 round robin: who is left keeps its turn, and nobody is taken where there is nobody', () => {
  const all = named(1, 1, 1);
  const robin = new RoundRobin<Named>();
  assert.equal(
    robin.pick(endpointSet<Named>([]), () => 0),
    null,
  );
  assert.equal(shortly([robin.pick(endpointSet(all), () => 0), robin.pick(endpointSet(all.slice(1)), () => 0)]), '22');
});

test('random: in proportion to the weights', () => {
  const set = endpointSet(named(1, 3));
  assert.equal(shortly([0, 0.24, 0.25, 0.99].map((draw) => pickRandom(set, () => draw))), '1122');
  assert.equal(
    pickRandom(endpointSet(named(0)), () => 0.5),
    null,
  );
});

const KEYS = 20_000;
const nameOf = ({ name }: Named): string => name;
const hashed = (table: HashTable, seed = 0): number[] =>
  Array.from({ length: KEYS }, (_, key) => table.at(hashOf(`user-${key}`, seed)));

const tables = {
  ring: (all: Named[]) => ringOf(endpointSet(all), 1_024, nameOf),
  maglev: (all: Named[]) => maglevOf(endpointSet(all), 65_537, nameOf),
};
for (const [kind, of] of Object.entries(tables)) {
  test(`W48 ${kind}: keys are spread by weight, the same in every process and in any order of endpoints`, () => {
    const all = named(1, 1, 2, 1);
    const owners = hashed(of(all)).map((at) => all[at]?.name);
    const share = (name: string): number => owners.filter((one) => one === name).length / KEYS;
    // A ring is less even than a Maglev table: a place more or less matters.
    const tolerance = kind === 'ring' ? 0.06 : 0.01;
    for (const [at, { name }] of all.entries())
      assert.ok(Math.abs(share(name) - (at === 2 ? 0.4 : 0.2)) < tolerance, `${name}: ${share(name)}`);
    const turned = all.toReversed();
    if (kind === 'ring')
      assert.deepEqual(
        hashed(of(turned)).map((at) => turned[at]?.name),
        owners,
      );
  });

  test(`W48 ${kind}: of an endpoint that leaves the keys move, and hardly any other`, () => {
    const all = named(1, 1, 1, 1, 1);
    const before = hashed(of(all)).map((at) => all[at]?.name);
    const left = all.slice(0, -1);
    const after = hashed(of(left)).map((at) => left[at]?.name);
    const moved = before.filter((name, key) => name !== after[key]);
    const others = moved.filter((name) => name !== all[4]?.name).length;
    assert.ok(Math.abs(moved.length / KEYS - 0.2) < 0.09, `${moved.length}`);
    assert.ok(others / KEYS < (kind === 'ring' ? 1e-9 : 0.07), `${others} of others`);
  });

  test(`W48 ${kind}: nobody, one, and more endpoints than places`, () => {
    assert.equal(of([]).at(5), -1);
    assert.deepEqual(new Set(hashed(of(named(7)))), new Set([0]));
    const many = named(...Array<number>(3_000).fill(1));
    assert.ok(new Set(hashed(of(many))).size > 2_000);
  });
}

test('a further choice for the same key goes elsewhere, and is the same again', () => {
  const table = ringOf(endpointSet(named(1, 1, 1)), 1_024, nameOf);
  const further = (key: number): number => table.at(nextHash(hashOf(`user-${key}`)));
  const elsewhere = Array.from({ length: 1_000 }, (_, key) => further(key) !== table.at(hashOf(`user-${key}`))).filter(
    Boolean,
  ).length;
  assert.ok(Math.abs(elsewhere / 1_000 - 2 / 3) < 0.08, `${elsewhere}`);
  assert.equal(further(7), further(7));
});

test('sizes of tables are primes', () => {
  assert.deepEqual([1, 2, 4, 9, 65_537, 65_536, 4_999_999].map(isPrime), [false, true, false, false, true, false, true]);
});

test('W53 with a warm-up of 60 s an endpoint has a tenth of its weight, half of it after 30 s, all after 60 s', () => {
  const minute = { durationMs: 60_000, minPercent: 10, aggression: 1 };
  assert.deepEqual(
    [0, 1, 6, 30, 45, 60, 90].map((s) => warmth(s * 1_000, minute)),
    [0.1, 0.1, 0.1, 0.5, 0.75, 1, 1],
  );
  assert.equal(warmth(15_000, { ...minute, aggression: 2 }), 0.5);
  // As old as a second at least.
  assert.equal(warmth(0, { durationMs: 4_000, minPercent: 0, aggression: 1 }), 0.25);
  assert.equal(warmth(0, { ...minute, minPercent: 100 }), 1);
});
