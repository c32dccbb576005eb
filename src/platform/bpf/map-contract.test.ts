import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from '#model/address/ip.ts';
import { chars, ip, scalar, struct, u16, u32 } from '#model/kernel/layout.ts';
import type { MapDefinition, Table } from '#model/kernel/maps.ts';
import { MemoryMap } from '#node-agent/kernel/memory-kernel.testing.ts';
import { createMap, pinMap, temporaryBpffs, withoutBpf } from './kernel-calls.testing.ts';
import { openPinnedMap } from './map.ts';

type Definition<K, V> = MapDefinition<K, V, 'hash' | 'array' | 'lru'>;
type Closable<K, V> = Table<K, V> & { close(): void };

const KEY = struct('key', { ip, port: u16, pad0: u16 });
const VALUE = struct('value', { id: u32, name: chars(8), pad0: u32 });
const HASH = { kind: 'hash', entriesMax: 3, key: KEY, value: VALUE } as const;
const LRU = { ...HASH, kind: 'lru', entriesMax: 512 } as const;
const ARRAY = { kind: 'array', entriesMax: 2, key: scalar('index', u32), value: VALUE } as const;

const at = (address: string, port = 80) => ({ ip: parseIp(address), port });
const [A, B, C, D] = [at('10.0.0.1'), at('fd00::1'), at('10.0.0.1', 81), at('10.0.0.4')];
const one = { id: 1, name: 'one' };
const two = { id: 2, name: 'two' };

/** Both kinds of maps that the agent runs on; what holds for one must hold for the other. */
const WORLDS = [
  {
    world: 'in memory',
    skip: false as const,
    open: <K, V>(definition: Definition<K, V>): Closable<K, V> => new MemoryMap('m', definition),
  },
  {
    world: 'in the kernel',
    skip: withoutBpf,
    open: <K, V>(definition: Definition<K, V>): Closable<K, V> => createMap('m', definition),
  },
];

const full = { code: 'WEFT_BPF_MAP', message: /E2BIG/ };
const sorted = <T>(entries: T[]): T[] => entries.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));

for (const { world, skip, open } of WORLDS) {
  describe(`a map ${world}`, { skip }, () => {
    function withMap<K, V>(definition: Definition<K, V>, check: (map: Closable<K, V>) => void): void {
      const map = open(definition);
      try {
        check(map);
      } finally {
        map.close();
      }
    }

    test('what is missing is null, and deleting it is no error', () =>
      withMap(HASH, (map) => {
        assert.equal(map.get(A), null);
        assert.equal(map.delete(A), false);
        assert.deepEqual(map.entries(), []);
      }));

    test('what was set is there until it is deleted; setting it again replaces it', () =>
      withMap(HASH, (map) => {
        map.set(A, one);
        map.set(B, two);
        assert.deepEqual([map.get(A), map.get(B), map.get(C)], [one, two, null]);
        map.set(A, two);
        assert.deepEqual(map.get(A), two);
        assert.equal(map.delete(A), true);
        assert.deepEqual([map.get(A), map.entries()], [null, [[B, two]]]);
      }));

    for (const [kind, definition] of Object.entries({ hash: HASH, LRU }))
      test(`what was taken out of a ${kind} was read, and is gone`, () =>
        withMap(definition, (map) => {
          map.set(A, one);
          map.set(B, two);
          assert.deepEqual([map.take(A), map.take(A), map.get(A), map.take(B)], [one, null, null, two]);
        }));

    test('nothing is taken out of an array', () =>
      withMap(ARRAY, (map) => assert.throws(() => map.take(0), { code: 'WEFT_BPF_MAP', message: /cannot read/ })));

    test('values are copies: changing the object that was set or read changes nothing', () =>
      withMap(HASH, (map) => {
        const value = { ...one };
        map.set(A, value);
        value.id = 9;
        const read = map.get(A);
        if (read !== null) read.name = 'changed';
        assert.deepEqual(map.get(A), one);
      }));

    test('entries are all of them', () =>
      withMap(HASH, (map) => {
        for (const key of [A, B, C]) map.set(key, one);
        assert.deepEqual(sorted(map.entries()), sorted([A, B, C].map((key) => [key, one])));
      }));

    test('a full hash refuses a new key, takes a known one, and has room again after a delete', () =>
      withMap(HASH, (map) => {
        for (const key of [A, B, C]) map.set(key, one);
        assert.throws(() => map.set(D, one), full);
        map.set(A, two);
        map.delete(B);
        map.set(D, two);
        assert.deepEqual(
          sorted(map.entries()),
          sorted([
            [A, two],
            [C, one],
            [D, two],
          ]),
        );
      }));

    test('a full LRU refuses nothing: it forgets old entries and keeps the newest', () =>
      withMap(LRU, (map) => {
        const key = (index: number) => at(`10.1.${index >> 8}.${index & 255}`);
        for (let index = 0; index < 3 * LRU.entriesMax; index++) {
          map.set(key(index), { id: index, name: '' });
          assert.equal(map.get(key(index))?.id, index);
        }
        const kept = map.entries().length;
        assert.ok(kept > 0 && kept <= LRU.entriesMax, `${kept} entries`);
        assert.equal(map.get(key(0)), null);
        assert.equal(map.delete(key(3 * LRU.entriesMax - 1)), true);
      }));

    test('an array has all of its entries from the start, zero, and never more or fewer', () =>
      withMap(ARRAY, (map) => {
        assert.deepEqual(map.entries(), [
          [0, { id: 0, name: '' }],
          [1, { id: 0, name: '' }],
        ]);
        map.set(1, one);
        assert.deepEqual([map.get(0)?.id, map.get(1)?.id, map.get(2)], [0, 1, null]);
        assert.throws(() => map.set(2, one), full);
        assert.throws(() => map.delete(1), { code: 'WEFT_BPF_MAP', message: /EINVAL/ });
      }));

    test('a value that does not fit its field is refused and nothing is written', () =>
      withMap(HASH, (map) => {
        assert.throws(() => map.set(A, { id: 2 ** 32, name: '' }), RangeError);
        assert.throws(() => map.set(A, { id: 1, name: 'too long' }), RangeError);
        assert.throws(() => map.get({ ...A, port: 65_536 }), RangeError);
        assert.deepEqual(map.entries(), []);
      }));

    test('a closed map throws at every use: its descriptor may be another map by now', () => {
      const map = open(HASH);
      map.close();
      for (const use of [() => map.get(A), () => map.set(A, one), () => map.delete(A), () => map.entries(), () => map.close()])
        assert.throws(use, /used after it was closed/);
    });
  });
}

describe('memory and kernel', { skip: withoutBpf }, () => {
  test('answer any sequence of uses alike', () => {
    const key = fc.constantFrom(A, B, C, D);
    const use = fc.oneof(
      fc.record({ verb: fc.constant('set' as const), key, value: fc.constantFrom(one, two) }),
      fc.record({ verb: fc.constantFrom('get' as const, 'delete' as const), key }),
    );
    fc.assert(
      fc.property(fc.array(use, { maxLength: 40 }), (uses) => {
        const maps = WORLDS.map(({ open }) => open(HASH));
        const answers = maps.map((map) =>
          uses.map((step) => {
            try {
              return step.verb === 'set' ? map.set(step.key, step.value) : map[step.verb](step.key);
            } catch (error) {
              return (error as Error).message;
            }
          }),
        );
        const left = maps.map((map) => sorted(map.entries()));
        for (const map of maps) map.close();
        assert.deepEqual([answers[0], left[0]], [answers[1], left[1]]);
      }),
      { numRuns: 50 },
    );
  });
});

describe('a pinned map', { skip: withoutBpf }, () => {
  const bpffs = withoutBpf === false ? temporaryBpffs() : null;
  const pin = join(bpffs?.path ?? '', 'm');
  after(() => bpffs?.remove());

  test('is the same map for whoever opens it, and outlives the one who made it', () => {
    const made = createMap('m', HASH);
    pinMap(made, pin);
    made.set(A, one);
    made.close();
    const opened = openPinnedMap(pin, HASH);
    assert.deepEqual(opened.get(A), one);
    opened.close();
  });

  test('of other sizes is refused as another version, before anything is read', () => {
    for (const other of [
      { ...HASH, value: struct('shorter', { id: u32 }) },
      { ...HASH, key: struct('longer', { ip, port: u32, more: u32 }) },
    ])
      assert.throws(() => openPinnedMap(pin, other), { code: 'WEFT_BPF_PIN', message: /entries of 20 \+ 16 bytes, not/ });
  });

  test('that is not there says so', () => {
    assert.throws(() => openPinnedMap(`${pin}-missing`, HASH), { code: 'WEFT_BPF_PIN', message: /ENOENT/ });
  });
});
