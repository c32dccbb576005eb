import type { Metadata } from '#control-plane/resources/metadata.ts';

/**
 * Something Weft read, already validated: the interior never re-checks a value. What else it holds is known to its kind,
 * and to nobody else.
 */
export type Resource = { kind: string; metadata: Metadata };

/** `kind` is that of a document, or `Workload`: one that a node registered; no document describes it. */
export type ResourceIdentity = { kind: string; namespace: string; name: string };

declare const brand: unique symbol;

/** `Kind namespace/name`, or `Kind name` where there is no namespace: identity, and what a person reads. */
export type ResourceName = string & { readonly [brand]: 'ResourceName' };

/** The name of an identity. */
export function nameOf({ kind, namespace, name }: ResourceIdentity): ResourceName {
  return (namespace === '' ? `${kind} ${name}` : `${kind} ${namespace}/${name}`) as ResourceName;
}

/** The name of a resource. */
export function nameOfResource({ kind, metadata }: Resource): ResourceName {
  return nameOf({ kind, namespace: metadata.namespace, name: metadata.name });
}

/** The identity behind a name. */
export function identityOfName(name: ResourceName): ResourceIdentity {
  const [kind = '', key = ''] = name.split(' ');
  const [first = '', second] = key.split('/');
  const parts = second === undefined ? { namespace: '', name: first } : { namespace: first, name: second };
  return { kind, ...parts };
}
