import { parse } from 'yaml';
import type { DocumentKind } from '#control-plane/resources/document-kind.ts';
import { METADATA_SCHEMA, type Schema, TEXT } from '#control-plane/resources/schema.ts';
import { compileSchemaCheck, type SchemaCheck } from '#control-plane/resources/schema-check.ts';
import { WeftError } from '#model/error.ts';

/** A schema to look things up in, and to check objects with. */
export type CompiledSchema = { schema: Schema; check: SchemaCheck };

/** The compiled schema of a kind in one of its versions. */
export type SchemaLookup = (definition: DocumentKind, version: string) => CompiledSchema;

type Crd = { spec: { versions: { name: string; schema: { openAPIV3Schema: Schema } }[] } };

/**
 * Schemas compiled on first use. `crds` holds the text of each file of config/crds by its name.
 * Errors: WEFT_CRD_MISSING when a file or version that Weft was built with is not there.
 */
export function createSchemaLookup(crds: ReadonlyMap<string, string>): SchemaLookup {
  const compiled = new Map<string, CompiledSchema>();
  return (definition, version) => {
    const key = `${definition.kind} ${version}`;
    const known = compiled.get(key);
    if (known !== undefined) return known;
    const schema = withMetadata(schemaOf(definition, version, crds));
    const entry = { schema, check: compileSchemaCheck(schema) };
    compiled.set(key, entry);
    return entry;
  };
}

function schemaOf({ schema }: DocumentKind, version: string, crds: ReadonlyMap<string, string>): Schema {
  if (schema.kind === 'built-in') return schema.schema;
  const text = crds.get(schema.file);
  const versions = text === undefined ? [] : crdOf(text).spec.versions;
  const found = versions.find(({ name }) => name === version);
  if (found !== undefined) return found.schema.openAPIV3Schema;
  throw new WeftError('WEFT_CRD_MISSING', `config/crds/${schema.file} does not define version ${version}`, {
    remedy: 'reinstall Weft: its folder config/crds is incomplete',
  });
}

/** The bundle has them as JSON, which is read a hundred times as fast as other YAML. */
function crdOf(text: string): Crd {
  return (text.startsWith('{') ? JSON.parse(text) : parse(text)) as Crd;
}

/** CRDs say nothing about metadata, and Istio's nothing about apiVersion and kind either. */
function withMetadata(schema: Schema): Schema {
  const properties = { ...schema.properties, apiVersion: TEXT, kind: TEXT, metadata: METADATA_SCHEMA };
  return { ...schema, type: 'object', properties };
}
