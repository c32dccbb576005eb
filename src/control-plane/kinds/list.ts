import type { KindDefinition, MeshDefinitions } from '#control-plane/index/kind-definition.ts';
import { autoServices, madeGateways, neededGateways } from '#control-plane/mesh/auto-waypoints.ts';
import { registeredEndpoints } from '#control-plane/mesh/registered-endpoints.ts';
import { waypointGuards } from '#control-plane/mesh/waypoint-guards.ts';
import { workloads } from '#control-plane/mesh/workloads.ts';
import { authorizationPolicyKind } from './authorization-policy/kind.ts';
import { backendTlsPolicyKind } from './backend-tls-policy/kind.ts';
import { configMapKind } from './config-map/kind.ts';
import { destinationRuleKind } from './destination-rule/kind.ts';
import { gatewayKind } from './gateway/kind.ts';
import { gatewayClassKind } from './gateway-class/kind.ts';
import { grpcRouteKind } from './grpc-route/kind.ts';
import { httpRouteKind } from './http-route/kind.ts';
import { namespaceKind } from './namespace/kind.ts';
import { nodeKind } from './node/kind.ts';
import { peerAuthenticationKind } from './peer-authentication/kind.ts';
import { podKind } from './pod/kind.ts';
import { referenceGrantKind } from './reference-grant/kind.ts';
import { requestAuthenticationKind } from './request-authentication/kind.ts';
import { serviceKind } from './service/kind.ts';
import { serviceEntryKind } from './service-entry/kind.ts';
import { tcpRouteKind } from './tcp-route/kind.ts';
import { telemetryKind } from './telemetry/kind.ts';
import { tlsRouteKind } from './tls-route/kind.ts';
import { trafficPolicyKind } from './traffic-policy/kind.ts';
import { udpRouteKind } from './udp-route/kind.ts';
import { virtualServiceKind } from './virtual-service/kind.ts';
import { workloadEntryKind } from './workload-entry/kind.ts';
import { backendPolicyKind } from './x-backend-traffic-policy/kind.ts';

/** Every kind of resource that Weft reads. */
export const KINDS: readonly KindDefinition[] = [
  serviceKind,
  podKind,
  namespaceKind,
  nodeKind,
  workloadEntryKind,
  authorizationPolicyKind,
  peerAuthenticationKind,
  requestAuthenticationKind,
  gatewayClassKind,
  gatewayKind,
  httpRouteKind,
  grpcRouteKind,
  tcpRouteKind,
  tlsRouteKind,
  udpRouteKind,
  referenceGrantKind,
  trafficPolicyKind,
  backendPolicyKind,
  backendTlsPolicyKind,
  telemetryKind,
  serviceEntryKind,
  virtualServiceKind,
  destinationRuleKind,
  configMapKind,
];

/** What the index is told: the kinds, and what belongs to no kind alone. */
export const MESH: MeshDefinitions = {
  kinds: KINDS,
  derivations: [registeredEndpoints, autoServices, neededGateways, madeGateways, waypointGuards, workloads],
};

/** Files of `config/crds` that hold the schemas of kinds without a built-in one. */
export const CRD_FILES: readonly string[] = KINDS.flatMap(({ schema }) => (schema.kind === 'crd' ? [schema.file] : []));
