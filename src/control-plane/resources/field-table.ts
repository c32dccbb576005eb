import type { FieldPath, Problem } from '#control-plane/resources/finding.ts';
import { warningAt } from '#control-plane/resources/finding.ts';

/** Why a field, or one of its values, has no effect, and the smallest edit that helps. */
export type Silence = { why: string; remedy: string };

/** What is done with a field. */
export type Treatment =
  /** It is put into effect. `except`: values of it that are not. */
  | { is: 'enforced'; except?: Readonly<Record<string, Silence>> }
  /** The rules of its kind, or what is derived from it, tell what becomes of it. */
  | { is: 'refused'; why: string }
  /** Told at each use, but for values that ask for nothing else than what happens without the field. */
  | ({ is: 'ignored'; harmless?: readonly unknown[] } & Silence)
  /** Other programs act on it; it says nothing about what a mesh does. Never told. */
  | { is: 'elsewhere'; why: string };

/**
 * Fields of a kind by path: names joined with `.`, `[]` for the items of a list, `*` for keys that are free.
 * What is not enforced holds for everything below it.
 */
export type FieldTable = Readonly<Record<string, Treatment>>;

/** A field that is put into effect. */
export const ENFORCED: Treatment = { is: 'enforced' };

/** Several fields below `prefix`, named with spaces between, under one treatment. */
export function eachField(prefix: string, names: string, treatment: Treatment = ENFORCED): Record<string, Treatment> {
  return Object.fromEntries(names.split(/\s+/).map((name) => [`${prefix}${name}`, treatment]));
}

/** What holds for every kind, in one place: what is not the author's word about the mesh is not told. */
export const COMMON_FIELDS: FieldTable = {
  ...eachField('', 'apiVersion kind'),
  ...eachField('metadata.', 'name namespace labels creationTimestamp deletionTimestamp ownerReferences'),
  ...eachField(
    'metadata.',
    'generateName uid resourceVersion generation selfLink finalizers deletionGracePeriodSeconds managedFields',
    {
      is: 'elsewhere',
      why: 'the books of an API server, which it writes itself',
    },
  ),
  'metadata.annotations': {
    is: 'elsewhere',
    why: 'they belong to whom their prefix names; those of Istio that Weft knows are in force',
  },
  status: { is: 'elsewhere', why: 'controllers write it, no author does; addresses of Pods and Gateways are read from it' },
};

/** The treatment of a field: that of the nearest path at or above it; null: nobody has said. */
export function treatmentOf(path: string, table: FieldTable): { at: string; treatment: Treatment } | null {
  for (let at = path; at !== ''; at = shorter(at)) {
    const treatment = Object.hasOwn(table, at) ? table[at] : Object.hasOwn(COMMON_FIELDS, at) ? COMMON_FIELDS[at] : undefined;
    if (treatment !== undefined) return { at, treatment };
  }
  return null;
}

/** A path without its last step. */
function shorter(path: string): string {
  return path.endsWith('[]') ? path.slice(0, -2) : path.slice(0, Math.max(path.lastIndexOf('.'), 0));
}

/** What a document says that nothing comes of, field by field: accepted, and told. */
export function ignoredFields(document: unknown, table: FieldTable): Problem[] {
  const problems: Problem[] = [];
  walk(document, [], '', table, problems);
  return problems;
}

function walk(value: unknown, path: FieldPath, at: string, table: FieldTable, problems: Problem[]): void {
  if (value === undefined || value === null) return;
  const treatment = Object.hasOwn(table, at) ? table[at] : undefined;
  if (treatment !== undefined && treatment.is !== 'enforced') {
    if (treatment.is === 'ignored' && !isHarmless(value, treatment.harmless ?? [])) problems.push(told(path, treatment));
    return;
  }
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) walk(item, [...path, index], `${at}[]`, table, problems);
  } else if (typeof value === 'object') {
    // Common fields have no findings of this kind.
    for (const [name, field] of Object.entries(value)) {
      if (at !== '' || name === 'spec') walk(field, [...path, name], at === '' ? name : `${at}.${name}`, table, problems);
    }
  } else {
    const silence = treatment?.except?.[String(value)];
    if (silence !== undefined) problems.push(told(path, silence));
  }
}

/** Compared as they are written: the values are small. */
function isHarmless(value: unknown, harmless: readonly unknown[]): boolean {
  return harmless.some((one) => JSON.stringify(one) === JSON.stringify(value));
}

function told(path: FieldPath, { why, remedy }: Silence): Problem {
  return warningAt('WEFT_FIELD_IGNORED', path, why, remedy);
}
