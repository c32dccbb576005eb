import assert from 'node:assert/strict';
import test from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { type Derivation, defineDerivation, inOrder, type MeshReader } from './derivation.ts';
import { Engine } from './engine.ts';
import { DEFAULT_MESH_OPTIONS } from './mesh-options.ts';
import { type AnyTable, type Entry, entry, localNameOf, namespaceOf, tableOf } from './table.ts';
import { RESERVED_ADDRESSES, VipAllocator } from './vip-allocator.ts';

/** A little mesh of fruit: what a crate holds, who picks it by label, and what is written on it. */
type Crate = { namespace: string; labels: Readonly<Record<string, string>>; fruit: string };
type Order = { namespace: string; labels: Readonly<Record<string, string>> };

const CRATES = tableOf<Crate>()('crates', {
  by: { fruit: ({ fruit }) => [fruit], namespace: (_crate, key) => [namespaceOf(key)] },
  labels: ({ namespace, labels }) => ({ namespace, labels }),
});
const ORDERS = tableOf<Order>()('orders', { selector: (order) => order });
const QUESTIONS = tableOf<string>()('questions');
const ANSWERS = tableOf<readonly string[]>()('answers');
const LETTERS = tableOf<string>()('letters');

const crate = (fruit: string, labels: Crate['labels'] = {}, namespace = 'shop'): Crate => ({ namespace, labels, fruit });

/** An engine with one derivation that answers each question by `ask`; `runs` lists what ran since it was last emptied. */
function answering(ask: (question: string, mesh: MeshReader<typeof CRATES | typeof ORDERS>) => readonly string[]) {
  const runs: string[] = [];
  const answers = defineDerivation({
    name: 'answer',
    each: QUESTIONS,
    reads: [CRATES, ORDERS],
    writes: [ANSWERS],
    derive: ({ key, value }, mesh) => [entry(ANSWERS, key, ask(value, mesh))],
  });
  return { engine: engineOf([answers], [ANSWERS], runs), runs };
}

function engineOf(
  derivations: readonly Derivation[],
  outputs: readonly AnyTable[],
  runs: string[] = [],
  allocator = new VipAllocator(),
): Engine {
  const observe = (derivation: string, key: string) => runs.push(`${derivation} ${key}`);
  return new Engine({ derivations, outputs, options: DEFAULT_MESH_OPTIONS, allocator, observe });
}

type Mesh = MeshReader<typeof CRATES | typeof ORDERS>;
type Lookup = {
  name: string;
  ask: (mesh: Mesh) => readonly string[];
  /** Each change, whether the answer may be another one because of it, and the answer then. */
  changes: { name: string; put: [string, Crate | null]; runs: boolean; want: string[] }[];
};

const fruits = (crates: readonly Crate[]) => crates.map(({ fruit }) => fruit);

const lookups: Lookup[] = [
  {
    name: 'by key',
    ask: (mesh) => [mesh.get(CRATES, 'shop/a')?.fruit ?? 'none'],
    changes: [
      { name: 'another key', put: ['shop/b', crate('pear')], runs: false, want: ['none'] },
      { name: 'the key that was not there', put: ['shop/a', crate('plum')], runs: true, want: ['plum'] },
      { name: 'the same value again', put: ['shop/a', crate('plum')], runs: false, want: ['plum'] },
      { name: 'another value', put: ['shop/a', crate('fig')], runs: true, want: ['fig'] },
      { name: 'its end', put: ['shop/a', null], runs: true, want: ['none'] },
    ],
  },
  {
    name: 'keys by word',
    ask: (mesh) => mesh.keysBy(CRATES, 'namespace', 'shop').map(localNameOf),
    changes: [
      { name: 'another word', put: ['far/a', crate('pear', {}, 'far')], runs: false, want: [] },
      { name: 'a first one', put: ['shop/b', crate('pear')], runs: true, want: ['b'] },
      { name: 'one before it', put: ['shop/a', crate('pear')], runs: true, want: ['a', 'b'] },
      { name: 'another value under a key', put: ['shop/a', crate('fig')], runs: false, want: ['a', 'b'] },
      { name: 'its end', put: ['shop/a', null], runs: true, want: ['b'] },
    ],
  },
  {
    name: 'values by word',
    ask: (mesh) => mesh.valuesBy(CRATES, 'fruit', 'fig').map(({ namespace }) => namespace),
    changes: [
      { name: 'another word', put: ['shop/a', crate('pear')], runs: false, want: [] },
      { name: 'a first one', put: ['shop/b', crate('fig')], runs: true, want: ['shop'] },
      { name: 'one that comes to the word', put: ['shop/a', crate('fig', {}, 'far')], runs: true, want: ['far', 'shop'] },
      { name: 'another value under the word', put: ['shop/a', crate('fig', {}, 'near')], runs: true, want: ['near', 'shop'] },
      { name: 'one that leaves the word', put: ['shop/b', crate('pear')], runs: true, want: ['near'] },
    ],
  },
  {
    name: 'labelled by selector',
    ask: (mesh) => fruits(mesh.pickedBy(CRATES, 'shop', { ripe: 'yes', red: 'yes' })),
    changes: [
      { name: 'one with a part of the labels', put: ['shop/a', crate('pear', { ripe: 'yes' })], runs: false, want: [] },
      {
        name: 'one of another namespace',
        put: ['far/a', crate('pear', { ripe: 'yes', red: 'yes' }, 'far')],
        runs: false,
        want: [],
      },
      { name: 'one that is picked', put: ['shop/a', crate('pear', { ripe: 'yes', red: 'yes' })], runs: true, want: ['pear'] },
      { name: 'another value of it', put: ['shop/a', crate('fig', { ripe: 'yes', red: 'yes' })], runs: true, want: ['fig'] },
      { name: 'one without labels', put: ['shop/b', crate('plum')], runs: false, want: ['fig'] },
      { name: 'labels that are lost', put: ['shop/a', crate('fig', { red: 'yes' })], runs: true, want: [] },
    ],
  },
];

for (const { name, ask, changes } of lookups) {
  test(`a look-up ${name} runs again for exactly what changes its answer`, () => {
    const { engine, runs } = answering((_question, mesh) => ask(mesh));
    engine.put(QUESTIONS, 'q', 'what');
    engine.run();
    for (const { name: what, put, runs: expected, want } of changes) {
      runs.length = 0;
      engine.put(CRATES, put[0], put[1]);
      engine.run();
      assert.deepEqual(runs, expected ? ['answer q'] : [], what);
      assert.deepEqual(engine.all(ANSWERS).get('q'), want, what);
    }
  });
}

test('a look-up of selectors by labels runs again for exactly the selectors that pick them', () => {
  const labels = { ripe: 'yes', red: 'yes' };
  const { engine, runs } = answering((_question, mesh) =>
    mesh.picking(ORDERS, 'shop', labels).map((one) => one.labels.red ?? '-'),
  );
  engine.put(QUESTIONS, 'q', 'what');
  engine.run();
  const steps: { put: Order | null; key: string; runs: boolean; want: string[] }[] = [
    { key: 'b', put: { namespace: 'shop', labels: { ripe: 'yes' } }, runs: true, want: ['-'] },
    { key: 'a', put: { namespace: 'shop', labels }, runs: true, want: ['yes', '-'] },
    { key: 'c', put: { namespace: 'shop', labels: { ripe: 'no' } }, runs: false, want: ['yes', '-'] },
    { key: 'd', put: { namespace: 'far', labels }, runs: false, want: ['yes', '-'] },
    { key: 'e', put: { namespace: 'shop', labels: {} }, runs: false, want: ['yes', '-'] },
    { key: 'c', put: { namespace: 'shop', labels: { red: 'yes' } }, runs: true, want: ['yes', '-', 'yes'] },
    { key: 'a', put: null, runs: true, want: ['-', 'yes'] },
    { key: 'b', put: { namespace: 'far', labels }, runs: true, want: ['yes'] },
  ];
  for (const { key, put, runs: expected, want } of steps) {
    runs.length = 0;
    engine.put(ORDERS, key, put);
    engine.run();
    assert.deepEqual(runs, expected ? ['answer q'] : [], key);
    assert.deepEqual(engine.all(ANSWERS).get('q'), want, key);
  }
});

test('labels that were looked up in one table are none of the others’ business', () => {
  const runs: string[] = [];
  const offers = tableOf<Order>()('offers', { selector: (offer) => offer });
  const labels = { ripe: 'yes' };
  const both = defineDerivation({
    name: 'both',
    each: QUESTIONS,
    reads: [ORDERS, offers],
    writes: [ANSWERS],
    derive({ key, value }, mesh) {
      const orders = mesh.picking(ORDERS, 'shop', labels).length;
      const offered = value === 'both' ? mesh.picking(offers, 'shop', labels).length : 0;
      return [entry(ANSWERS, key, [`${orders} ${offered}`])];
    },
  });
  const engine = engineOf([both], [ANSWERS], runs);
  const offer = (key: string) => {
    runs.length = 0;
    engine.put(offers, key, { namespace: 'shop', labels });
    engine.run();
    return [runs.length, ...(engine.all(ANSWERS).get('q') ?? [])];
  };
  engine.put(QUESTIONS, 'q', 'both');
  engine.run();
  assert.deepEqual(offer('a'), [1, '0 1']);
  engine.put(QUESTIONS, 'q', 'orders');
  engine.run();
  assert.deepEqual(offer('b'), [0, '0 0']);
});

test('what is no longer looked up is forgotten, what still is stays remembered', () => {
  const { engine, runs } = answering((question, mesh) => question.split(' ').map((key) => mesh.get(CRATES, key)?.fruit ?? '-'));
  let fruit = 0;
  for (const [question, touched, expected] of [
    ['a b c', 'b', true],
    ['b a', 'c', false],
    ['b a', 'a', true],
    ['c c b', 'a', false],
    ['c c b', 'c', true],
    ['b', 'c', false],
    ['b', 'b', true],
  ] as const) {
    engine.put(QUESTIONS, 'q', question);
    engine.run();
    runs.length = 0;
    engine.put(CRATES, touched, crate(`fruit ${fruit++}`));
    engine.run();
    assert.equal(runs.length, expected ? 1 : 0, `${question}, ${touched}`);
  }
  engine.put(QUESTIONS, 'q', null);
  engine.run();
  runs.length = 0;
  engine.put(CRATES, 'b', null);
  engine.run();
  assert.deepEqual(runs, [], 'a subject that is gone reads nothing');
});

test('an unrelated change derives nothing, and a change without effect stops where it has none', () => {
  const runs: string[] = [];
  const shout = defineDerivation({
    name: 'shout',
    each: QUESTIONS,
    reads: [],
    writes: [LETTERS],
    derive: ({ key, value }) => [entry(LETTERS, key, value.toUpperCase())],
  });
  const echo = defineDerivation({
    name: 'echo',
    each: LETTERS,
    reads: [CRATES],
    writes: [ANSWERS],
    derive: ({ key, value }) => [entry(ANSWERS, key, [value])],
  });
  const engine = engineOf([echo, shout], [ANSWERS], runs);
  engine.put(QUESTIONS, 'a', 'x');
  engine.put(QUESTIONS, 'b', 'y');
  engine.run();
  assert.deepEqual(runs, ['shout a', 'shout b', 'echo a', 'echo b']);
  runs.length = 0;
  engine.put(CRATES, 'shop/a', crate('pear'));
  engine.run();
  assert.deepEqual(runs, []);
  engine.put(QUESTIONS, 'a', 'X');
  engine.run();
  assert.deepEqual(runs, ['shout a'], 'the same letters: the echo need not run');
  assert.deepEqual([...engine.takeChanges(ANSWERS).keys()], ['a', 'b']);
  engine.put(QUESTIONS, 'a', 'z');
  engine.put(QUESTIONS, 'a', 'x');
  engine.run();
  assert.deepEqual(engine.takeChanges(ANSWERS), new Map(), 'there and back is no change');
});

test('of several that speak under one key the lowest rank counts, then the lowest key, whoever came first', () => {
  const claim = defineDerivation({
    name: 'claim',
    each: QUESTIONS,
    reads: [],
    writes: [LETTERS],
    derive({ value }) {
      const [rank = '0', word = ''] = value.split(' ');
      return word === '' ? [] : [entry(LETTERS, 'k', word, Number(rank))];
    },
  });
  const engine = engineOf([claim], [LETTERS]);
  const steps: [key: string, value: string | null, want: string | undefined][] = [
    ['b', '1 b', 'b'],
    ['c', '1 c', 'b'],
    ['a', '1 a', 'a'],
    ['d', '0 d', 'd'],
    ['d', '2 d', 'a'],
    ['a', '1', 'b'],
    ['b', null, 'c'],
    ['c', null, 'd'],
    ['d', null, undefined],
  ];
  for (const [key, value, want] of steps) {
    engine.put(QUESTIONS, key, value);
    engine.run();
    assert.equal(engine.all(LETTERS).get('k'), want, `${key} says ${value}`);
  }
  engine.put(QUESTIONS, 'a', '0 same');
  engine.run();
  engine.takeChanges(LETTERS);
  engine.put(QUESTIONS, 'a', null);
  engine.put(QUESTIONS, 'b', '0 same');
  engine.run();
  assert.deepEqual(engine.takeChanges(LETTERS), new Map(), 'another speaker, the same word: gone and back in one run');
});

test('what is no longer said is taken back, also when the subject goes', () => {
  const spell = defineDerivation({
    name: 'spell',
    each: QUESTIONS,
    reads: [],
    writes: [LETTERS, ANSWERS],
    derive({ key, value }): Entry<typeof LETTERS | typeof ANSWERS>[] {
      return [...[...value].map((letter) => entry(LETTERS, `${key}${letter}`, letter)), entry(ANSWERS, key, [value])];
    },
  });
  const engine = engineOf([spell], [LETTERS, ANSWERS]);
  engine.put(QUESTIONS, 'q', 'abc');
  engine.run();
  assert.deepEqual([...engine.all(LETTERS).keys()], ['qa', 'qb', 'qc']);
  engine.takeChanges(LETTERS);
  engine.put(QUESTIONS, 'q', 'bcd');
  engine.run();
  assert.deepEqual(
    engine.takeChanges(LETTERS),
    new Map([
      ['qa', null],
      ['qd', 'd'],
    ]),
  );
  engine.put(QUESTIONS, 'q', null);
  engine.run();
  assert.equal(engine.all(LETTERS).size + engine.all(ANSWERS).size, 0);
});

test('derivations run after what they read, in whatever order they are listed', () => {
  const step = (name: string, each: AnyTable, reads: AnyTable[], writes: AnyTable[]): Derivation => ({
    name,
    each,
    reads,
    writes,
    derive: () => [],
  });
  const first = step('first', QUESTIONS, [], [CRATES]);
  const second = step('second', QUESTIONS, [CRATES], [ORDERS]);
  const third = step('third', ORDERS, [], [ANSWERS]);
  for (const list of [
    [first, second, third],
    [third, second, first],
    [second, third, first],
  ])
    assert.deepEqual(
      inOrder(list).map(({ name }) => name),
      ['first', 'second', 'third'],
    );
  assert.throws(() => inOrder([first, second, step('back', ORDERS, [], [CRATES])]), /read one another: .*second.*back/);
  assert.throws(() => inOrder([step('self', QUESTIONS, [], [QUESTIONS])]), /self/);
});

test('nothing can be read past the tracked reader', () => {
  const sneaky = defineDerivation({
    name: 'sneaky',
    each: QUESTIONS,
    reads: [CRATES],
    writes: [ANSWERS],
    derive: ({ key }, mesh) => {
      // @ts-expect-error a table that is not named cannot be read
      mesh.get(ORDERS, key);
      return [];
    },
  });
  const engine = engineOf([sneaky], []);
  engine.put(QUESTIONS, 'q', 'x');
  assert.throws(() => engine.run(), /derivation sneaky reads orders without saying so/);
  // @ts-expect-error a way that the table does not have
  const wrongWay = (mesh: Mesh) => mesh.valuesBy(CRATES, 'colour', 'red');
  // @ts-expect-error a value of another table
  const wrongValue = () => entry(ANSWERS, 'k', crate('pear'));
  assert.ok(typeof wrongWay === 'function' && typeof wrongValue === 'function');
});

test('a reader is frozen, and of no use once its derivation has returned', () => {
  const kept: Mesh[] = [];
  const { engine } = answering((_question, mesh) => {
    kept.push(mesh);
    return fruits(mesh.valuesBy(CRATES, 'fruit', 'fig'));
  });
  engine.put(QUESTIONS, 'q', 'what');
  engine.run();
  const [mesh] = kept;
  assert.ok(mesh !== undefined && Object.isFrozen(mesh));
  assert.throws(() => Object.assign(mesh, { get: () => null }), TypeError);
  for (const late of [
    () => mesh.get(CRATES, 'shop/a'),
    () => mesh.keysBy(CRATES, 'fruit', 'fig'),
    () => mesh.valuesBy(CRATES, 'fruit', 'fig'),
    () => mesh.pickedBy(CRATES, 'shop', {}),
    () => mesh.picking(ORDERS, 'shop', {}),
    () => mesh.allocate([4]),
  ])
    assert.throws(late, /derivation answer reads after it has returned/);
});

test('a table that was not named cannot be written', () => {
  const stray = defineDerivation({
    name: 'stray',
    each: QUESTIONS,
    reads: [],
    // @ts-expect-error an entry of a table that is not named
    writes: [ANSWERS],
    derive: ({ key }) => [entry(LETTERS, key, 'x')],
  });
  const engine = engineOf([stray], []);
  engine.put(QUESTIONS, 'q', 'x');
  assert.throws(() => engine.run(), /derivation stray writes letters without saying so/);
});

test('an allocated address is held while it is asked for, and given up when somebody reserves it', () => {
  const runs: string[] = [];
  const lease = defineDerivation({
    name: 'lease',
    each: QUESTIONS,
    reads: [RESERVED_ADDRESSES],
    writes: [ANSWERS],
    derive: ({ key, value }, mesh) => [entry(ANSWERS, key, value === 'want' ? mesh.allocate([4]) : [])],
  });
  const allocator = new VipAllocator();
  const engine = engineOf([lease], [ANSWERS], runs, allocator);
  engine.put(QUESTIONS, 'q', 'want');
  engine.put(QUESTIONS, 'other', 'want');
  engine.run();
  const [first = ''] = engine.all(ANSWERS).get('q') ?? [];
  assert.match(first, /^240\.240\./);
  assert.deepEqual(engine.holders(), new Set(['other', 'q']));
  runs.length = 0;
  engine.put(RESERVED_ADDRESSES, parseIp('240.240.255.1'), true);
  engine.run();
  assert.deepEqual(runs, [], 'nobody looked at that address');
  engine.put(RESERVED_ADDRESSES, parseIp(first), true);
  engine.run();
  assert.deepEqual(runs, ['lease q']);
  const [second] = engine.all(ANSWERS).get('q') ?? [];
  assert.notEqual(second, first);
  engine.put(RESERVED_ADDRESSES, parseIp(first), null);
  engine.run();
  assert.equal(engine.all(ANSWERS).get('q')?.[0], second, 'what it has now stays');
  engine.put(QUESTIONS, 'q', 'no more');
  engine.put(QUESTIONS, 'other', null);
  engine.run();
  assert.deepEqual(engine.holders(), new Set());
  assert.deepEqual(allocator.takeChange(), new Map(), 'the addresses are free again');
});

test('the namespace and the name of a key', () => {
  assert.deepEqual([namespaceOf('shop/a'), localNameOf('shop/a')], ['shop', 'a']);
});
