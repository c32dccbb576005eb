import assert from 'node:assert/strict';
import test from 'node:test';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { readCrds } from '#platform/files/crds.ts';
import { createSchemaLookup } from './resource-schemas.ts';

const texts = await readCrds(CRD_FILES);

for (const definition of KINDS)
  for (const version of definition.versions)
    test(`the schema of ${definition.kind} ${version} is one, which nobody asks again at a start`, () => {
      const ajv = new Ajv({ strict: false, logger: false });
      const { schema } = createSchemaLookup(texts)(definition, version);
      assert.ok(ajv.validateSchema(schema), ajv.errorsText(ajv.errors));
    });

test('a schema is the same whether its file is YAML or JSON', () => {
  const json = new Map([...texts].map(([name, text]) => [name, JSON.stringify(parse(text))]));
  for (const definition of KINDS)
    for (const version of definition.versions)
      assert.deepEqual(
        createSchemaLookup(json)(definition, version).schema,
        createSchemaLookup(texts)(definition, version).schema,
        definition.kind,
      );
});
