import type { AuthorizationPolicyResource } from '#control-plane/resources/kinds/authorization-policy.ts';
import type { GatewayResource } from '#control-plane/resources/kinds/gateway.ts';
import type { HttpRouteResource } from '#control-plane/resources/kinds/http-route.ts';
import type { NamespaceResource } from '#control-plane/resources/kinds/namespace.ts';
import type { PeerAuthenticationResource } from '#control-plane/resources/kinds/peer-authentication.ts';
import type { PodResource } from '#control-plane/resources/kinds/pod.ts';
import type { ServiceResource } from '#control-plane/resources/kinds/service.ts';
import type { WorkloadEntryResource } from '#control-plane/resources/kinds/workload-entry.ts';

/** Everything Weft reads, already validated: the interior never re-checks a value. */
export type Resource =
  | ServiceResource
  | PodResource
  | NamespaceResource
  | WorkloadEntryResource
  | AuthorizationPolicyResource
  | PeerAuthenticationResource
  | GatewayResource
  | HttpRouteResource;

/** Kinds that Weft reads. */
export type ResourceKind = Resource['kind'];

/** `Workload`: one that a node registered; no document describes it. */
export type ResourceIdentity = { kind: ResourceKind | 'Workload'; namespace: string; name: string };

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
  return { kind: kind as ResourceIdentity['kind'], ...parts };
}

/** `<namespace>/<name>`: identity among resources of one kind. */
export function keyOf({ metadata }: Resource): string {
  return `${metadata.namespace}/${metadata.name}`;
}
