import type { FieldPath, Problem, Severity } from '#control-plane/resources/finding.ts';
import { nearestName } from '#control-plane/resources/nearest-name.ts';
import type { Schema } from '#control-plane/resources/schema.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';

/**
 * Fields that the schema does not have, anywhere but in the status, which no author writes. A field that nobody reads is worse than none:
 * a misspelt restriction leaves the resource wider than its author believes.
 */
export function findUnknownFields(value: unknown, schema: Schema, severity: Severity): Problem[] {
  const problems: Problem[] = [];
  walk(value, schema, [], (path, known) => {
    if (path[0] !== 'status') problems.push(unknownField(path, known, severity));
  });
  return problems;
}

type Report = (path: FieldPath, known: readonly string[]) => void;

function walk(value: unknown, schema: Schema, path: FieldPath, report: Report): void {
  if (Array.isArray(value)) {
    const { items } = schema;
    if (items !== undefined) for (const [at, item] of value.entries()) walk(item, items, [...path, at], report);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  const { properties = {}, additionalProperties } = schema;
  const closed = schema.properties !== undefined && additionalProperties === undefined;
  for (const [name, field] of Object.entries(value)) {
    const known = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (known !== undefined) walk(field, known, [...path, name], report);
    else if (typeof additionalProperties === 'object') walk(field, additionalProperties, [...path, name], report);
    else if (closed && schema['x-kubernetes-preserve-unknown-fields'] !== true) {
      report([...path, name], Object.keys(properties));
    }
  }
}

function unknownField(path: FieldPath, known: readonly string[], severity: Severity): Problem {
  const name = String(path.at(-1));
  const nearest = nearestName(name, known);
  const names = known.slice(0, RESOURCE.namesMax).join(', ') + (known.length > RESOURCE.namesMax ? ', …' : '');
  return {
    code: 'WEFT_FIELD_UNKNOWN',
    severity,
    path,
    message: `field "${name}" is unknown here${nearest === null ? '' : `, did you mean "${nearest}"?`}`,
    remedy: nearest === null ? `remove it, or use one of: ${names}` : `write ${nearest}`,
  };
}
