import assert from 'node:assert/strict';
import test from 'node:test';
import { WeftError } from '#model/error.ts';
import type { DocumentKind } from './document-kind.ts';
import { errorAt, warningAt } from './finding.ts';
import { createResourceParser, isError, type Reading } from './resource-parser.ts';
import { fields, LABELS, list, type Schema, TEXT } from './schema.ts';

const CRATE: Schema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      properties: {
        fruit: { type: 'string', enum: ['apple', 'pear'], default: 'apple' },
        count: { type: 'integer', minimum: 1, maximum: 9 },
        weight: { 'x-kubernetes-int-or-string': true },
        notes: list(TEXT),
        extra: { type: 'object', additionalProperties: { type: 'object', properties: { a: TEXT } } },
        free: { type: 'object', properties: {}, 'x-kubernetes-preserve-unknown-fields': true },
        labels: LABELS,
        ...fields('ignored'),
      },
    },
  },
};

/** Two kinds of one group, and one of the core group whose schema is a file. */
const kinds: DocumentKind[] = [
  {
    kind: 'Crate',
    group: 'fruit.example',
    versions: ['v1', 'v1beta1'],
    namespaced: true,
    schema: { kind: 'built-in', schema: CRATE },
    unknownFields: 'error',
    fields: {},
    check: (object) => {
      const { spec } = object as { spec: { count?: number; fruit: string } };
      if (spec.count === 9) return [errorAt('WEFT_FIELD_CONFLICT', ['spec', 'count'], 'nine do not fit', 'write 8')];
      return spec.count === 8 ? [warningAt('WEFT_LIKELY_MISTAKE', ['spec', 'count'], 'eight are many', 'write 7')] : [];
    },
    read: (object, metadata) => ({ kind: 'Crate', metadata, spec: (object as { spec: object }).spec }) as never,
  },
  {
    kind: 'Depot',
    group: 'fruit.example',
    versions: ['v1'],
    namespaced: false,
    schema: { kind: 'built-in', schema: { type: 'object', properties: { spec: { type: 'object', properties: { a: TEXT } } } } },
    unknownFields: 'warning',
    fields: {},
    check: () => [],
    read: (_object, metadata) => ({ kind: 'Depot', metadata }),
  },
  {
    kind: 'Parcel',
    group: '',
    versions: ['v1', 'v2'],
    namespaced: true,
    schema: { kind: 'crd', file: 'parcels.yaml' },
    unknownFields: 'error',
    fields: {},
    check: () => [],
    read: (_object, metadata) => ({ kind: 'Parcel', metadata }),
  },
];

const PARCELS = `spec:
  versions:
    - { name: v1, schema: { openAPIV3Schema: { type: object, properties: { spec: { type: object, properties: { to: { type: string } } } } } } }
`;
const parser = createResourceParser(kinds, new Map([['parcels.yaml', PARCELS]]));

const crate = (spec: object, metadata: object = { name: 'c' }) => ({
  apiVersion: 'fruit.example/v1',
  kind: 'Crate',
  metadata,
  spec,
});

/** The outcome in one line, then `severity code field` of each problem. */
function outline(reading: Reading): string[] {
  const subject = reading.kind === 'foreign' ? reading.subject : (reading.name ?? 'nobody');
  return [
    `${reading.kind} ${subject}`,
    ...reading.problems.map(({ severity, code, path }) => `${severity} ${code} ${path.join('.')}`),
  ];
}

const heads: { name: string; object: unknown; want: string[] }[] = [
  { name: 'a text', object: 'x', want: ['rejected nobody', 'error WEFT_RESOURCE_SHAPE '] },
  { name: 'nothing', object: null, want: ['rejected nobody', 'error WEFT_RESOURCE_SHAPE '] },
  { name: 'a list', object: [crate({})], want: ['rejected nobody', 'error WEFT_RESOURCE_SHAPE '] },
  { name: 'no apiVersion', object: { kind: 'Crate' }, want: ['rejected nobody', 'error WEFT_RESOURCE_SHAPE apiVersion'] },
  { name: 'no kind', object: { apiVersion: 'v1' }, want: ['rejected nobody', 'error WEFT_RESOURCE_SHAPE kind'] },
  {
    name: 'no metadata',
    object: { apiVersion: 'fruit.example/v1', kind: 'Crate', spec: {} },
    want: ['rejected nobody', 'error WEFT_RESOURCE_SHAPE metadata.name'],
  },
  {
    name: 'an empty name: too short, and no name',
    object: crate({}, { name: '' }),
    want: ['rejected nobody', 'error WEFT_FIELD_INVALID metadata.name', 'error WEFT_FIELD_INVALID metadata.name'],
  },
  {
    name: 'a name that is a number',
    object: crate({}, { name: 7 }),
    want: ['rejected nobody', 'error WEFT_FIELD_INVALID metadata.name'],
  },
  {
    name: 'a namespace that is a number',
    object: crate({}, { name: 'c', namespace: 7 }),
    want: ['rejected nobody', 'error WEFT_FIELD_INVALID metadata.namespace'],
  },
  {
    name: 'a namespace with a dot',
    object: crate({}, { name: 'c', namespace: 'a.b' }),
    want: ['rejected Crate a.b/c', 'error WEFT_FIELD_INVALID metadata.namespace'],
  },
  { name: 'no namespace', object: crate({}), want: ['resource Crate default/c'] },
  { name: 'an empty namespace', object: crate({}, { name: 'c', namespace: '' }), want: ['resource Crate default/c'] },
  { name: 'a namespace', object: crate({}, { name: 'c', namespace: 'shop' }), want: ['resource Crate shop/c'] },
  {
    name: 'the older version',
    object: { ...crate({}), apiVersion: 'fruit.example/v1beta1' },
    want: ['resource Crate default/c'],
  },
  {
    name: 'a version that is none',
    object: { ...crate({}), apiVersion: 'fruit.example/v2' },
    want: ['rejected Crate default/c', 'error WEFT_VERSION_UNKNOWN apiVersion'],
  },
  {
    name: 'a kind that lies in no namespace',
    object: { apiVersion: 'fruit.example/v1', kind: 'Depot', metadata: { name: 'd', namespace: 'shop' } },
    want: ['resource Depot d'],
  },
  {
    name: 'a kind of somebody else',
    object: { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' } },
    want: ['foreign Deployment d', 'warning WEFT_KIND_UNKNOWN kind'],
  },
  {
    name: 'a kind misspelt',
    object: { ...crate({}), kind: 'Crat' },
    want: ['rejected nobody', 'warning WEFT_KIND_UNKNOWN kind'],
  },
  {
    name: 'a group misspelt',
    object: { ...crate({}), apiVersion: 'fruits.example/v1' },
    want: ['rejected nobody', 'warning WEFT_KIND_UNKNOWN apiVersion'],
  },
  {
    name: 'the same kind of another group',
    object: { ...crate({}), apiVersion: 'wine.example/v1' },
    want: ['foreign Crate c', 'warning WEFT_KIND_UNKNOWN kind'],
  },
];
for (const { name, object, want } of heads) test(`head: ${name}`, () => assert.deepEqual(outline(parser.read(object)), want));

const bodies: { name: string; spec: object; want: string[] }[] = [
  { name: 'nothing', spec: {}, want: ['resource'] },
  { name: 'a value that is not allowed', spec: { fruit: 'plum' }, want: ['rejected', 'error WEFT_FIELD_INVALID spec.fruit'] },
  { name: 'a number that is too small', spec: { count: 0 }, want: ['rejected', 'error WEFT_FIELD_INVALID spec.count'] },
  { name: 'a text for a number', spec: { count: '3' }, want: ['rejected', 'error WEFT_FIELD_INVALID spec.count'] },
  { name: 'a text for a list', spec: { notes: 'a' }, want: ['rejected', 'error WEFT_FIELD_INVALID spec.notes'] },
  { name: 'a list with a number', spec: { notes: ['a', 1] }, want: ['rejected', 'error WEFT_FIELD_INVALID spec.notes.1'] },
  { name: 'a label that is too odd', spec: { labels: { a: '-' } }, want: ['rejected', 'error WEFT_FIELD_INVALID spec.labels.a'] },
  { name: 'a field misspelt', spec: { furit: 'pear' }, want: ['rejected', 'error WEFT_FIELD_UNKNOWN spec.furit'] },
  {
    name: 'a field misspelt below any key',
    spec: { extra: { x: { b: 'c' } } },
    want: ['rejected', 'error WEFT_FIELD_UNKNOWN spec.extra.x.b'],
  },
  { name: 'any field where all are kept', spec: { free: { whatever: 1 } }, want: ['resource'] },
  { name: 'a field of no interest', spec: { ignored: { deep: [1] } }, want: ['resource'] },
  { name: 'a rule between fields', spec: { count: 9 }, want: ['rejected', 'error WEFT_FIELD_CONFLICT spec.count'] },
  { name: 'a rule that warns', spec: { count: 8 }, want: ['resource', 'warning WEFT_LIKELY_MISTAKE spec.count'] },
  {
    name: 'two things at once, unknown fields first',
    spec: { furit: 1, count: 0 },
    want: ['rejected', 'error WEFT_FIELD_UNKNOWN spec.furit', 'error WEFT_FIELD_INVALID spec.count'],
  },
  {
    name: 'rules are not asked about what does not fit the schema',
    spec: { count: 99 },
    want: ['rejected', 'error WEFT_FIELD_INVALID spec.count'],
  },
];
for (const { name, spec, want } of bodies) {
  test(`body: ${name}`, () => {
    const [head = '', ...problems] = outline(parser.read(crate(spec)));
    assert.deepEqual([head.split(' ')[0], ...problems], want);
  });
}

test('a kind that is read in part warns of fields it does not know, and is taken', () => {
  const depot = { apiVersion: 'fruit.example/v1', kind: 'Depot', metadata: { name: 'd' }, spec: { b: 1 } };
  assert.deepEqual(outline(parser.read(depot)), ['resource Depot d', 'warning WEFT_FIELD_UNKNOWN spec.b']);
});

test('nobody writes a status: fields it does not know are no mistake', () => {
  const written = { ...crate({}), status: { anything: 1 } };
  assert.deepEqual(outline(createResourceParser(withStatus(), new Map()).read(written)), ['resource Crate default/c']);
});

/** The first kind with a status in its schema. */
function withStatus(): DocumentKind[] {
  const [first] = kinds;
  assert.ok(first !== undefined);
  const properties = { ...CRATE.properties, status: { type: 'object', properties: { known: TEXT } } };
  return [{ ...first, schema: { kind: 'built-in', schema: { ...CRATE, properties } } }];
}

test('defaults are filled in before anything is read', () => {
  const reading = parser.read(crate({}));
  assert.ok(reading.kind === 'resource');
  assert.deepEqual((reading.resource as unknown as { spec: object }).spec, { fruit: 'apple' });
});

test('a schema can be a file, one per version', () => {
  const parcel = (version: string, spec: object) => ({ apiVersion: version, kind: 'Parcel', metadata: { name: 'p' }, spec });
  assert.deepEqual(outline(parser.read(parcel('v1', { to: 'a' }))), ['resource Parcel default/p']);
  assert.deepEqual(outline(parser.read(parcel('v1', { to: 1 }))), [
    'rejected Parcel default/p',
    'error WEFT_FIELD_INVALID spec.to',
  ]);
  assert.throws(
    () => parser.read(parcel('v2', {})),
    (error: unknown) => error instanceof WeftError && error.code === 'WEFT_CRD_MISSING' && /version v2/.test(error.message),
  );
  assert.throws(
    () => createResourceParser(kinds, new Map()).read(parcel('v1', {})),
    (error: unknown) => error instanceof WeftError && error.code === 'WEFT_CRD_MISSING',
  );
});

const sentences: { name: string; spec: object; says: RegExp; remedy: RegExp }[] = [
  { name: 'an empty value', spec: { fruit: null }, says: /must be a text, is empty/, remedy: /write a text/ },
  { name: 'a number for a text', spec: { notes: [1.5] }, says: /must be a text, is the number 1.5/, remedy: /"1.5"/ },
  { name: 'a truth for a text', spec: { notes: [true] }, says: /must be a text, is true/, remedy: /"true"/ },
  { name: 'an object for a text', spec: { notes: [{}] }, says: /must be a text, is an object/, remedy: /write a text/ },
  { name: 'a list for a number', spec: { count: [] }, says: /must be a whole number, is a list/, remedy: /whole number/ },
  { name: 'a fraction', spec: { count: 1.5 }, says: /must be a whole number, is the number 1.5/, remedy: /whole number/ },
  { name: 'a near value', spec: { fruit: 'aple' }, says: /"aple" is not one of apple, pear/, remedy: /^did you mean apple\?$/ },
  { name: 'a far value', spec: { fruit: 'x' }, says: /"x" is not one of apple, pear/, remedy: /^write one of apple, pear$/ },
  { name: 'a number that is too large', spec: { count: 10 }, says: /10 must be <= 9/, remedy: /limit of 9/ },
  { name: 'a field that is near another', spec: { frut: 'a' }, says: /did you mean "fruit"/, remedy: /^write fruit$/ },
  {
    name: 'a field that is near none',
    spec: { zzzzzz: 1 },
    says: /"zzzzzz" is unknown here$/,
    remedy: /^remove it, or use one of: fruit,/,
  },
  {
    name: 'a long value is cut',
    spec: { fruit: 'x'.repeat(100) },
    says: /^"x{76}… is not one of/,
    remedy: /write one of/,
  },
];
for (const { name, spec, says, remedy } of sentences) {
  test(`sentence: ${name}`, () => {
    const [problem] = parser.read(crate(spec)).problems;
    assert.match(problem?.message ?? '', says);
    assert.match(problem?.remedy ?? '', remedy);
  });
}

test('an error rejects, a warning does not', () => {
  assert.equal(isError(errorAt('WEFT_FIELD_INVALID', [], '', '')), true);
  assert.equal(isError(warningAt('WEFT_FIELD_INVALID', [], '', '')), false);
});
