import assert from 'node:assert/strict';
import test from 'node:test';
import { nameOf } from '#control-plane/resources/resource.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { type NextStep, nextSlice, nextStep, passing, type Waiting } from './reading-order.ts';

const MUCH = RESOURCE.readAtOnceCharactersMax + 1;
const NOTHING: Waiting = {
  ...{ isFirst: false, hasPassed: false, news: false, urgent: false, bulk: false, characters: 0, begun: 'none' },
};
const steps: { name: string; waiting: Partial<Waiting>; want: NextStep }[] = [
  { name: 'nothing is told: nothing is done', waiting: {}, want: 'none' },
  { name: 'what is told is begun with', waiting: { news: true, bulk: true, characters: 1 }, want: 'begin' },
  { name: 'so is that nothing but files that cannot be read are others', waiting: { news: true }, want: 'begin' },
  {
    name: 'what is little is not divided, whatever is urgent of it',
    waiting: { news: true, urgent: true, bulk: true, characters: MUCH - 1 },
    want: 'begin',
  },
  {
    name: 'what is urgent goes ahead of much else',
    waiting: { news: true, urgent: true, bulk: true, characters: MUCH },
    want: 'pass',
  },
  {
    name: 'of much that all is urgent nothing is ahead',
    waiting: { news: true, urgent: true, characters: MUCH },
    want: 'begin',
  },
  {
    name: 'the first look is never divided',
    waiting: { isFirst: true, news: true, urgent: true, bulk: true, characters: MUCH },
    want: 'begin',
  },
  {
    name: 'what is urgent does not wait for what is read elsewhere',
    waiting: { news: true, urgent: true, characters: 1, begun: 'elsewhere' },
    want: 'pass',
  },
  {
    name: 'also twice in a row',
    waiting: { hasPassed: true, news: true, urgent: true, characters: 1, begun: 'elsewhere' },
    want: 'pass',
  },
  { name: 'all else does', waiting: { news: true, bulk: true, characters: 1, begun: 'elsewhere' }, want: 'none' },
  {
    name: 'what is urgent goes ahead of what is ready',
    waiting: { news: true, urgent: true, characters: 1, begun: 'ready' },
    want: 'pass',
  },
  {
    name: 'and then a slice of that goes first',
    waiting: { hasPassed: true, news: true, urgent: true, characters: 1, begun: 'ready' },
    want: 'slice',
  },
  { name: 'what was begun is finished before more is begun', waiting: { news: true, bulk: true, begun: 'ready' }, want: 'slice' },
];

for (const { name, waiting, want } of steps) {
  test(name, () => {
    assert.equal(nextStep({ ...NOTHING, ...waiting }), want);
  });
}

const HALF = RESOURCE.readAtOnceCharactersMax / 2;
const slices: { name: string; steady: Record<string, number | null>; dropping: Record<string, number | null>; want: string[] }[] =
  [
    { name: 'all that is little is one slice', steady: { a: HALF }, dropping: { b: HALF }, want: ['a', 'b'] },
    { name: 'a slice holds what fits', steady: { a: HALF, b: HALF, c: 1 }, dropping: { d: null }, want: ['a', 'b'] },
    { name: 'and one file at least', steady: { a: MUCH, b: 1 }, dropping: {}, want: ['a'] },
    { name: 'what drops something comes last', steady: { a: HALF, b: HALF }, dropping: { c: 1 }, want: ['a', 'b'] },
    { name: 'and together', steady: {}, dropping: { a: MUCH, b: MUCH, c: null }, want: ['a', 'b', 'c'] },
    { name: 'files that are gone count for nothing', steady: { a: null }, dropping: { b: HALF, c: HALF }, want: ['a', 'b', 'c'] },
  ];

for (const { name, steady, dropping, want } of slices) {
  test(name, () => {
    const texts = (files: Record<string, number | null>) =>
      new Map(Object.entries(files).map(([path, size]) => [path, size === null ? null : { text: 'x'.repeat(size) }]));
    assert.deepEqual([...nextSlice({ steady: texts(steady), dropping: texts(dropping) }).keys()], want);
  });
}

/** path → names that it drops, and its text. */
type Urgent = Record<string, [drops: string[], text: string]>;
const passes: { name: string; files: Urgent; others: string[]; want: string[] }[] = [
  { name: 'what drops nothing passes', files: { a: [[], 'x'] }, others: ['x'], want: ['a'] },
  { name: 'what is gone for good passes', files: { a: [['x'], ''] }, others: ['name: y'], want: ['a'] },
  { name: 'what may have moved to a file that waits does not', files: { a: [['x'], ''] }, others: ['name: x'], want: [] },
  { name: 'what moved among those that pass does', files: { a: [['x'], ''], b: [[], 'name: x'] }, others: [], want: ['a', 'b'] },
  {
    name: 'but not when where it moved to has to wait',
    files: { a: [['x'], ''], b: [['z'], 'name: x'], c: [[], ''] },
    others: ['name: z'],
    want: ['c'],
  },
];

for (const { name, files, others, want } of passes) {
  test(name, () => {
    const urgent = Object.entries(files).map(([path, [drops, text]]) => {
      const names = drops.map((one) => nameOf({ kind: 'AuthorizationPolicy', namespace: 'shop', name: one }));
      return [path, { drops: names, text }] as const;
    });
    assert.deepEqual([...passing(new Map(urgent), others)], want);
  });
}

test('what drops more than there is time to look for does not pass', () => {
  const others = ['x'.repeat(RESOURCE.soughtCharactersMax), ''];
  const drops = ['a', 'b'].map((name) => nameOf({ kind: 'Service', namespace: 'shop', name }));
  assert.deepEqual([...passing(new Map([['gone', { drops, text: '' }]]), others)], []);
});
