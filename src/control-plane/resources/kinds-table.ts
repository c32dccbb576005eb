import type { KindDefinition } from '#control-plane/resources/kind-definition.ts';
import { authorizationPolicyKind } from '#control-plane/resources/readers/authorization-policy.ts';
import { gatewayKind } from '#control-plane/resources/readers/gateway.ts';
import { httpRouteKind } from '#control-plane/resources/readers/http-route.ts';
import { namespaceKind } from '#control-plane/resources/readers/namespace.ts';
import { peerAuthenticationKind } from '#control-plane/resources/readers/peer-authentication.ts';
import { podKind } from '#control-plane/resources/readers/pod.ts';
import { serviceKind } from '#control-plane/resources/readers/service.ts';
import { workloadEntryKind } from '#control-plane/resources/readers/workload-entry.ts';

/** Every kind of resource that Weft reads. */
export const KINDS: readonly KindDefinition[] = [
  serviceKind,
  podKind,
  namespaceKind,
  workloadEntryKind,
  authorizationPolicyKind,
  peerAuthenticationKind,
  gatewayKind,
  httpRouteKind,
];

/** Files of `config/crds` that hold the schemas of kinds without a built-in one. */
export const CRD_FILES: readonly string[] = KINDS.flatMap(({ schema }) => (schema.kind === 'crd' ? [schema.file] : []));
