import assert from 'node:assert/strict';
import test from 'node:test';
import { COMMON_FIELDS, type FieldTable, ignoredFields, treatmentOf } from '#control-plane/resources/field-table.ts';
import { createSchemaLookup } from '#control-plane/resources/resource-schemas.ts';
import type { Schema } from '#control-plane/resources/schema.ts';
import { readCrds } from '#platform/files/crds.ts';
import { findingsOf } from './documents.testing.ts';
import { CRD_FILES, KINDS } from './list.ts';

const schemas = createSchemaLookup(await readCrds(CRD_FILES));

/** Paths of everything that can be written by a schema: branches without names, too. */
function* pathsOf(schema: Schema, at = ''): Generator<string> {
  if (schema.items !== undefined) return yield* pathsOf(schema.items, `${at}[]`);
  if (typeof schema.additionalProperties === 'object') yield* pathsOf(schema.additionalProperties, `${at}.*`);
  const named = Object.entries(schema.properties ?? {});
  for (const [name, field] of named) yield* pathsOf(field, at === '' ? name : `${at}.${name}`);
  if (named.length === 0 && typeof schema.additionalProperties !== 'object') yield at;
}

/** Fields of which nobody has said what becomes of them: enforced is said of each name, the rest of whole branches. */
function silentFields(schema: Schema, table: FieldTable): string[] {
  return [...pathsOf(schema)].filter((path) => {
    const found = treatmentOf(path, table);
    if (found === null) return true;
    const { at, treatment } = found;
    return treatment.is === 'enforced' && !Object.hasOwn(COMMON_FIELDS, at) && !/^(\[\]|\.\*)*$/.test(path.slice(at.length));
  });
}

for (const kind of KINDS) {
  for (const version of kind.versions) {
    const { schema } = schemas(kind, version);
    test(`F16: of every field of ${kind.kind} ${version} is said what becomes of it`, () =>
      assert.deepEqual(silentFields(schema, kind.fields), []));
    test(`F16: the table of ${kind.kind} names no field that ${version} does not have`, () => {
      const paths = [...pathsOf(schema)];
      const has = (at: string) => paths.some((path) => path === at || path.startsWith(`${at}.`) || path.startsWith(`${at}[]`));
      assert.deepEqual(
        Object.keys(kind.fields).filter((at) => !has(at)),
        [],
      );
    });
  }
  for (const [at, treatment] of Object.entries(kind.fields)) {
    if (treatment.is !== 'ignored') continue;
    test(`F16: ${kind.kind} ${at} is told, but not for what it would be without`, () => {
      const found = ignoredFields(documentWith(at, 'something'), kind.fields);
      assert.deepEqual(
        found.map(({ code, severity, message }) => [code, severity, message]),
        [['WEFT_FIELD_IGNORED', 'warning', treatment.why]],
      );
      for (const value of treatment.harmless ?? []) assert.deepEqual(ignoredFields(documentWith(at, value), kind.fields), []);
    });
  }
}

/** The smallest document in which a field has a value. */
function documentWith(path: string, value: unknown): unknown {
  let document = value;
  for (const step of path.split('.').toReversed()) {
    if (step.endsWith('[]')) document = [document];
    document = { [step.replace('[]', '')]: document };
  }
  return document;
}

test('F16: a field that is not in the table is found', () => {
  const schema = { properties: { spec: { properties: { a: {}, b: { properties: { c: {} } } } } } };
  assert.deepEqual(silentFields(schema, { 'spec.a': { is: 'enforced' } }), ['spec.b.c']);
  assert.deepEqual(silentFields(schema, { 'spec.a': { is: 'enforced' }, 'spec.b': { is: 'enforced' } }), ['spec.b.c']);
  assert.deepEqual(silentFields(schema, { spec: { is: 'elsewhere', why: '' } }), []);
});

const PORT = 'selector: { a: b }, ports: [{ port: 53 }]';
const LISTENER = 'name: mesh, port: 15008, protocol: HBONE';
const told: { name: string; kind: string; spec: string; at: string[]; head?: string }[] = [
  {
    name: 'an alias that selects',
    kind: 'Service',
    spec: '{ type: ExternalName, externalName: a.example, selector: { a: b } }',
    at: ['spec.selector'],
  },
  { name: 'a node port', kind: 'Service', spec: `{ type: NodePort, ${PORT} }`, at: ['spec.type'] },
  {
    name: 'one number under TCP and SCTP',
    kind: 'Service',
    spec: '{ selector: { a: b }, ports: [{ name: t, port: 53 }, { name: u, port: 53, protocol: SCTP }] }',
    at: ['spec.ports[1].protocol'],
  },
  {
    name: 'an unknown distribution',
    kind: 'Service',
    spec: `{ trafficDistribution: PreferNear, ${PORT} }`,
    at: ['spec.trafficDistribution'],
  },
  {
    name: 'the same as an annotation',
    kind: 'Service',
    spec: `{ ${PORT} }`,
    head: 'annotations: { networking.istio.io/traffic-distribution: near }',
    at: ['metadata.annotations["networking.istio.io/traffic-distribution"]'],
  },
  {
    name: 'one family that is not named',
    kind: 'Service',
    spec: `{ ipFamilyPolicy: SingleStack, ${PORT} }`,
    at: ['spec.ipFamilyPolicy'],
  },
  {
    name: 'two families of which one is named',
    kind: 'Service',
    spec: `{ ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv4], ${PORT} }`,
    at: ['spec.ipFamilyPolicy'],
  },
  {
    name: 'a family that is named',
    kind: 'Service',
    spec: `{ ipFamilyPolicy: SingleStack, ipFamilies: [IPv6], ${PORT} }`,
    at: [],
  },
  {
    name: 'what an API server fills in',
    kind: 'Service',
    spec: `{ type: ClusterIP, clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1], ipFamilies: [IPv4], ipFamilyPolicy: SingleStack, internalTrafficPolicy: Cluster, sessionAffinity: ClientIP, sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } }, ${PORT} }`,
    at: [],
  },
  {
    name: 'hostname and kinds of a listener',
    kind: 'Gateway',
    spec: `{ gatewayClassName: weft-waypoint, listeners: [{ ${LISTENER}, hostname: a.example, allowedRoutes: { kinds: [{ kind: GRPCRoute }] } }] }`,
    at: ['spec.listeners[0].hostname', 'spec.listeners[0].allowedRoutes.kinds'],
  },
  {
    name: 'addresses of a waypoint',
    kind: 'Gateway',
    spec: `{ gatewayClassName: istio-waypoint, addresses: [{ value: 10.0.0.1 }], listeners: [{ ${LISTENER} }] }`,
    at: ['spec.addresses'],
  },
  {
    name: 'the Gateway of another controller',
    kind: 'Gateway',
    spec: `{ gatewayClassName: other, addresses: [{ value: 10.0.0.1 }], listeners: [{ ${LISTENER} }] }`,
    at: [],
  },
];
for (const { name, kind, spec, at, head } of told) {
  test(`F16: ${name}: ${at.length === 0 ? 'nothing is told' : 'told, and taken'}`, () =>
    assert.deepEqual(
      findingsOf(kind, spec, head),
      at.map((path) => `warning WEFT_FIELD_IGNORED ${path}`),
    ));
}

test('F16: a route without parents is told', () =>
  assert.deepEqual(findingsOf('HTTPRoute', '{ rules: [{ backendRefs: [{ name: a, port: 80 }] }] }'), [
    'warning WEFT_LIKELY_MISTAKE spec.parentRefs',
  ]));
