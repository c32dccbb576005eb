import { Ajv, type ErrorObject } from 'ajv';
import formats from 'ajv-formats';
import { errorAt, type FieldPath, type Problem } from '#control-plane/resources/finding.ts';
import type { Schema } from '#control-plane/resources/schema.ts';
import { explainMismatch } from '#control-plane/resources/schema-message.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';

/** What does not fit a schema. */
export type SchemaMismatches = {
  /** Each names one wrong value. */
  values: Problem[];
  /** Each names an object that fits none of its permitted shapes; says little, so hand-written rules are asked first. */
  shapes: Problem[];
};

/** Fills in the defaults of `schema` and tells what in the object does not fit it. */
export type SchemaCheck = (object: unknown) => SchemaMismatches;

/**
 * What a start needs not wait for: that a schema is one is tested and not asked again (20 ms a kind), and V8 makes quick code of what the
 * library would otherwise rewrite first (as much again for a large schema).
 */
const AT_A_START = { validateSchema: false, meta: false, code: { optimize: false } } as const;

/** A checker for one schema; compiling takes some 5-50 ms, so it is done once per kind and version. */
export function compileSchemaCheck(schema: Schema): SchemaCheck {
  const ajv = new Ajv({ strict: false, allErrors: true, useDefaults: true, verbose: true, logger: false, ...AT_A_START });
  formats.default(ajv);
  // Kubernetes formats that only name the width of a number.
  for (const name of ['int32', 'int64', 'float', 'double', 'byte', 'password']) ajv.addFormat(name, true);
  const validate = ajv.compile(schema);
  return (object) => {
    // Kubernetes fills in all defaults before it checks anything; here the first pass fills them in on its way.
    if (validate(object) || validate(object)) return { values: [], shapes: [] };
    return sortMismatches(validate.errors ?? []);
  };
}

function sortMismatches(errors: readonly ErrorObject[]): SchemaMismatches {
  const values: Problem[] = [];
  const shapes: Problem[] = [];
  for (const error of errors) {
    // Mismatches of single alternatives: the alternative as a whole is reported once.
    if (/\/(anyOf|oneOf|not|allOf)\//.test(error.schemaPath)) continue;
    const problem = toProblem(error);
    const composite = ['anyOf', 'oneOf', 'not'].includes(error.keyword);
    if (!composite || error.parentSchema?.['x-kubernetes-int-or-string'] === true) values.push(problem);
    else shapes.push(problem);
  }
  return { values: values.slice(0, RESOURCE.mismatchesMax), shapes };
}

function toProblem(error: ErrorObject): Problem {
  const path = fromPointer(error.instancePath);
  const { at, message, remedy } = explainMismatch(error);
  return errorAt('WEFT_FIELD_INVALID', at === null ? path : [...path, at], message, remedy);
}

/** `/spec/rules/0/a~1b` as a path. Numbers are list indexes unless the schema says otherwise, which never matters for reading. */
function fromPointer(pointer: string): FieldPath {
  if (pointer === '') return [];
  return pointer
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step));
}
