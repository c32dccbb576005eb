import { errorAt, type FieldPath, type Problem } from './finding.ts';

/** What a policy names as what it is about. */
export type AttachedTo = { group?: string; kind: string; namespace?: string };

/** What policies of a kind may be about. */
export type Attachment = {
  /** What they are called where they may not be about another namespace. */
  what: string;
  /** Of each kind the groups by which it is named; the first is the usual one. */
  groups: Readonly<Record<string, readonly string[]>>;
  /** Says that they cannot be about such a kind. */
  refused(kind: string): string;
  remedy: string;
};

/** Whether a policy in namespace `own` may be about this: what is said of others' namespaces would be said over their heads. */
export function checkAttachment(
  { group = '', kind, namespace = '' }: AttachedTo,
  own: string | null | undefined,
  path: FieldPath,
  { what, groups, refused, remedy }: Attachment,
): Problem[] {
  const known = groups[kind];
  if (known === undefined) return [errorAt('WEFT_FIELD_INVALID', [...path, 'kind'], refused(kind), remedy)];
  if (!known.includes(group)) {
    const message = `${kind} is of group "${known[0]}", not "${group}"`;
    return [errorAt('WEFT_FIELD_CONFLICT', [...path, 'group'], message, `write group: "${known[0]}"`)];
  }
  if (namespace === '' || namespace === own) return [];
  const message = `a ${what} may not be about namespace ${namespace}`;
  return [errorAt('WEFT_FIELD_INVALID', [...path, 'namespace'], message, `remove namespace, and move the ${what} there`)];
}
