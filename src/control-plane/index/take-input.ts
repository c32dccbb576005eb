import { type Endpoint, endpointOfEntry, endpointOfPod } from '#control-plane/index/endpoint.ts';
import type { IndexState } from '#control-plane/index/index-state.ts';
import { namespaceOf } from '#control-plane/index/mesh-inputs.ts';
import { LABEL } from '#control-plane/index/well-known.ts';
import type { AuthorizationPolicyResource } from '#control-plane/resources/kinds/authorization-policy.ts';
import type { GatewayResource } from '#control-plane/resources/kinds/gateway.ts';
import type { HttpRouteResource } from '#control-plane/resources/kinds/http-route.ts';
import type { NamespaceResource } from '#control-plane/resources/kinds/namespace.ts';
import type { PeerAuthenticationResource } from '#control-plane/resources/kinds/peer-authentication.ts';
import type { ServiceResource } from '#control-plane/resources/kinds/service.ts';
import { identityOfName, keyOf, type Resource, type ResourceName } from '#control-plane/resources/resource.ts';
import { unreachable } from '#model/error.ts';

/** Takes a new or changed resource and marks what must be derived again because of it. */
export function takeResource(resource: Resource, state: IndexState): void {
  const key = keyOf(resource);
  switch (resource.kind) {
    case 'Namespace':
      takeNamespace(resource.metadata.name, resource, state);
      break;
    case 'Service':
      takeService(key, resource, state);
      break;
    case 'Pod':
      takeEndpoint(podUid(key, state), endpointOfPod(resource, state.options), state);
      break;
    case 'WorkloadEntry':
      takeEndpoint(entryUid(key, state), endpointOfEntry(resource, state.options), state);
      break;
    case 'AuthorizationPolicy':
      takeAuthorization(key, resource, state);
      break;
    case 'PeerAuthentication':
      takePeerAuthentication(key, resource, state);
      break;
    case 'Gateway':
      takeGateway(key, resource, state);
      break;
    case 'HTTPRoute':
      takeRoute(key, resource, state);
      break;
    default:
      unreachable(resource);
  }
}

/** Takes note that a resource is gone. */
export function dropResource(resourceName: ResourceName, state: IndexState): void {
  const { kind, namespace, name } = identityOfName(resourceName);
  const key = `${namespace}/${name}`;
  switch (kind) {
    case 'Namespace':
      takeNamespace(name, null, state);
      break;
    case 'Service':
      takeService(key, null, state);
      break;
    case 'Pod':
      takeEndpoint(podUid(key, state), null, state);
      break;
    case 'WorkloadEntry':
      takeEndpoint(entryUid(key, state), null, state);
      break;
    case 'AuthorizationPolicy':
      takeAuthorization(key, null, state);
      break;
    case 'PeerAuthentication':
      takePeerAuthentication(key, null, state);
      break;
    case 'Gateway':
      takeGateway(key, null, state);
      break;
    case 'HTTPRoute':
      takeRoute(key, null, state);
      break;
    case 'Workload':
      break;
    default:
      unreachable(kind);
  }
}

function podUid(key: string, { options }: IndexState): string {
  return `${options.clusterId}//Pod/${key}`;
}

function entryUid(key: string, { options }: IndexState): string {
  return `${options.clusterId}/networking.istio.io/WorkloadEntry/${key}`;
}

function takeNamespace(name: string, resource: NamespaceResource | null, { inputs, invalidation }: IndexState): void {
  if (resource === null) inputs.namespaces.delete(name);
  else inputs.namespaces.set(name, resource);
  invalidation.markAll('service', inputs.serviceKeysIn(name));
  invalidation.markAll('workload', inputs.endpointLabels.inNamespace(name));
}

function takeService(key: string, resource: ServiceResource | null, state: IndexState): void {
  const { inputs, invalidation, allocator } = state;
  const before = inputs.userServices.get(key);
  allocator.unreserve(before?.addresses ?? []);
  invalidation.markAll('service', allocator.reserve(resource?.addresses ?? []));
  const claims = [...(before?.addresses ?? []), ...(resource?.addresses ?? [])];
  inputs.addressClaims.set(key, resource?.addresses ?? []);
  for (const address of claims) invalidation.markAll('service', inputs.addressClaims.ownersOf(address));
  replaceService(key, () => inputs.userServices.set(key, resource), state);
  // The name of a Gateway's service may have become taken or free.
  invalidation.mark('gateway', key);
}

/** Runs `replace`, then marks everything that the service of this name concerns. */
export function replaceService(key: string, replace: () => void, { inputs, invalidation }: IndexState): void {
  const namespace = namespaceOf(key);
  const before = inputs.service(key);
  replace();
  const after = inputs.service(key);
  const selector = after === null || after.externalName ? null : after.selector;
  for (const one of [before?.selector ?? null, selector])
    invalidation.markAll('workload', inputs.endpointLabels.matching(namespace, one));
  inputs.serviceSelectors.set(key, namespace, selector);
  invalidation.mark('service', key);
  invalidation.publish(`service ${key}`);
  if ((before === null) !== (after === null)) invalidation.publish(`service-names ${namespace}`);
}

/** `endpoint` null: it is gone, or has no address. */
export function takeEndpoint(uid: string, endpoint: Endpoint | null, { inputs, invalidation, allocator }: IndexState): void {
  const before = inputs.endpoints.get(uid) ?? null;
  if (endpoint === null) {
    inputs.endpoints.delete(uid);
    inputs.endpointLabels.delete(uid);
  } else {
    inputs.endpoints.set(uid, endpoint);
    inputs.endpointLabels.set(uid, endpoint.namespace, endpoint.labels);
  }
  allocator.unreserve(before?.addresses ?? []);
  invalidation.markAll('service', allocator.reserve(endpoint?.addresses ?? []));
  invalidation.mark('workload', uid);
  for (const one of [before, endpoint]) {
    const gateway = one?.labels[LABEL.gatewayName];
    if (one !== null && gateway !== undefined) invalidation.mark('gateway', `${one.namespace}/${gateway}`);
  }
}

function takeAuthorization(key: string, resource: AuthorizationPolicyResource | null, state: IndexState): void {
  const { inputs, invalidation } = state;
  const before = inputs.authorizations.get(key);
  inputs.authorizations.set(key, resource);
  invalidation.mark('authorization', key);
  for (const policy of [before, resource]) invalidation.markAll('workload', workloadsSelectedBy(policy, state));
  inputs.policySelectors.set(key, namespaceOf(key), nodeSelectorOf(resource));
}

/** The selector by which nodes attach a policy to single workloads; null when they do not. */
function nodeSelectorOf(policy: AuthorizationPolicyResource | null): AuthorizationPolicyResource['selector'] {
  if (policy === null || policy.targets.length > 0) return null;
  return policy.action === 'ALLOW' || policy.action === 'DENY' ? policy.selector : null;
}

function workloadsSelectedBy(policy: AuthorizationPolicyResource | null, { inputs, options }: IndexState): string[] {
  const selector = nodeSelectorOf(policy);
  if (policy === null || selector === null) return [];
  const { namespace } = policy.metadata;
  if (namespace === options.rootNamespace) return inputs.endpointLabels.matchingAnywhere(selector);
  return inputs.endpointLabels.matching(namespace, selector);
}

function takePeerAuthentication(key: string, resource: PeerAuthenticationResource | null, state: IndexState): void {
  const { inputs, invalidation, options } = state;
  const namespace = namespaceOf(key);
  const versions = [inputs.peers.get(key), resource].filter((one) => one !== null);
  inputs.peers.set(key, resource);
  const wholeScope = versions.some(({ selector }) => selector === null);
  const everywhere = wholeScope && namespace === options.rootNamespace;
  invalidation.mark('peer', key);
  if (wholeScope) invalidation.markAll('peer', everywhere ? inputs.peers.keys() : inputs.peers.keysIn(namespace));
  if (everywhere) invalidation.markAll('workload', inputs.endpoints.keys());
  else if (wholeScope) invalidation.markAll('workload', inputs.endpointLabels.inNamespace(namespace));
  else for (const { selector } of versions) invalidation.markAll('workload', inputs.endpointLabels.matching(namespace, selector));
}

function takeGateway(key: string, resource: GatewayResource | null, { inputs, invalidation }: IndexState): void {
  const existed = inputs.gateways.get(key) !== null;
  inputs.gateways.set(key, resource);
  invalidation.mark('gateway', key);
  if (existed !== (resource !== null)) invalidation.publish(`gateway-names ${namespaceOf(key)}`);
}

function takeRoute(key: string, resource: HttpRouteResource | null, { inputs, invalidation }: IndexState): void {
  inputs.routes.set(key, resource);
  invalidation.mark('route', key);
}
