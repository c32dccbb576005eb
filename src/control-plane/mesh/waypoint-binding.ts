import type { MeshReader } from '#control-plane/index/derivation.ts';
import type { Condition, GatewayKey } from '#control-plane/index/index-delta.ts';
import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import { AUTO_SERVICES } from '#control-plane/mesh/auto-waypoints.ts';
import { namespaceLabels as labelsOfNamespace, NAMESPACES } from '#control-plane/mesh/namespaces.ts';
import { SERVICE_BINDINGS } from '#control-plane/mesh/services.ts';
import { type GatewayInfo, gatewayNamesIn, ownAddress, refusedAddress, WAYPOINTS } from '#control-plane/mesh/waypoints.ts';
import { LABEL } from '#control-plane/mesh/well-known.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { selectorMatches } from '#control-plane/resources/label-selector.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import type { GatewayAddress } from '#model/mesh/service.ts';

/** The tables that binding reads. */
export const BINDING_TABLES = [NAMESPACES, WAYPOINTS, AUTO_SERVICES] as const;
/** What binding looks up. */
export type BindingMesh = MeshReader<(typeof BINDING_TABLES)[number]>;

/** The binding of one service or workload with these labels. */
export function bindingOf(kind: 'service' | 'workload', namespace: string, labels: Labels, mesh: BindingMesh): Binding {
  const namespaceLabels = labelsOfNamespace(mesh, namespace);
  const request = waypointRequestOf(labels, namespace, namespaceLabels);
  if (request === null) return UNBOUND;
  const gateway = mesh.get(WAYPOINTS, `${request.namespace}/${request.name}`);
  const gatewayNames = gateway === null ? gatewayNamesIn(mesh, request.namespace) : [];
  return bindWaypoint({ request, kind, namespace, namespaceLabels, gateway, gatewayNames }, mesh.options);
}

/** The waypoint that labels ask for. `explicit`: on the object itself, not on its namespace. */
export type WaypointRequest = { namespace: string; name: string; explicit: boolean };

/** How one object is bound, and what to say about it. */
export type Binding = {
  /** The waypoint that serves it; null when none does (or when its traffic is refused). */
  gateway: GatewayKey | null;
  /** Where its traffic is sent; null: straight to it. */
  address: GatewayAddress | null;
  condition: { status: 'True' | 'False'; reason: string; message: string } | null;
  problem: Problem | null;
};

/** No waypoint was asked for. */
export const UNBOUND: Binding = { gateway: null, address: null, condition: null, problem: null };

/** The object's own labels come first; `none` there stops the namespace's from applying. */
export function waypointRequestOf(labels: Labels, namespace: string, namespaceLabels: Labels): WaypointRequest | null {
  const explicit = labels[LABEL.useWaypoint] !== undefined;
  const source = explicit ? labels : namespaceLabels;
  const name = source[LABEL.useWaypoint];
  if (name === undefined || name === '' || name === 'none') return null;
  return { namespace: source[LABEL.useWaypointNamespace] || namespace, name, explicit };
}

/** One object that asks for a waypoint, and what it asks for. */
type BindingFacts = {
  request: WaypointRequest;
  kind: 'service' | 'workload';
  namespace: string;
  namespaceLabels: Labels;
  gateway: GatewayInfo | null;
  /** Gateways of the namespace that is asked for one, to suggest a name. */
  gatewayNames: readonly string[];
};

/**
 * Binds an object to the waypoint it asks for. A waypoint that is missing, not ready or not willing is never
 * passed by: the traffic is sent where it will be refused.
 */
export function bindWaypoint(facts: BindingFacts, options: MeshOptions): Binding {
  const { request, kind, gateway } = facts;
  const key = `${request.namespace}/${request.name}`;
  if (gateway === null) {
    // A waypoint takes service traffic unless it says otherwise, so a namespace's label leaves its workloads alone.
    if (kind === 'workload' && !request.explicit) return UNBOUND;
    const message = `Gateway ${key} does not exist${didYouMean(request.name, facts.gatewayNames)}; traffic is refused`;
    return withheld(request, key, ownAddress(request.namespace, request.name, options), 'WaypointIsNotReady', message);
  }
  if (gateway.traffic !== 'all' && gateway.traffic !== kind) return wrongTraffic(facts, gateway);
  if (!isAllowed(gateway, facts)) {
    const message = `Gateway ${key} does not accept namespace ${facts.namespace}; traffic is refused`;
    const address = refusedAddress(request.namespace, request.name, 'attachment-denied');
    return { ...withheld(request, key, address, 'AttachmentDenied', message), gateway: null };
  }
  if (gateway.state.kind === 'unusable') {
    const address = refusedAddress(request.namespace, request.name, 'unusable');
    const message = `Gateway ${key} cannot be used: ${gateway.state.why}; traffic is refused`;
    return { ...withheld(request, key, address, 'WaypointIsNotReady', message), gateway: null };
  }
  if (gateway.state.kind === 'not-ready') {
    const message = `Gateway ${key} is not ready: ${gateway.state.why}; traffic is refused until it is`;
    // Normal for the first moments of a waypoint: a condition, but nothing for its author to mend.
    return { ...withheld(request, key, gateway.address, 'WaypointIsNotReady', message), problem: null };
  }
  const message = `bound to Gateway ${key}`;
  return {
    gateway: key,
    address: gateway.address,
    condition: { status: 'True', reason: 'WaypointAccepted', message },
    problem: null,
  };
}

function withheld(request: WaypointRequest, key: GatewayKey, address: GatewayAddress, reason: string, message: string): Binding {
  const problem = warningAt('WEFT_WAYPOINT_UNUSABLE', pathOf(request), message, remedyOf(reason));
  return { gateway: key, address, condition: { status: 'False', reason, message }, problem };
}

function remedyOf(reason: string): string {
  return reason === 'AttachmentDenied'
    ? 'set allowedRoutes.namespaces.from: All (or a Selector) on the HBONE listener of the Gateway'
    : `create the Gateway, correct the label ${LABEL.useWaypoint}, or set it to none`;
}

/** The waypoint says that it does not take this traffic, so it goes past it, visibly. */
function wrongTraffic({ request, kind }: BindingFacts, { key, traffic }: GatewayInfo): Binding {
  if (kind === 'workload' && !request.explicit) return UNBOUND;
  const message = `Gateway ${key} is a waypoint for ${traffic} traffic, not for ${kind} traffic; it is not used here`;
  const remedy = `label the Gateway ${LABEL.waypointFor}: all, or remove the label ${LABEL.useWaypoint}`;
  return {
    ...UNBOUND,
    condition: { status: 'False', reason: 'UnsupportedTrafficType', message },
    problem: warningAt('WEFT_WAYPOINT_UNUSABLE', pathOf(request), message, remedy),
  };
}

function pathOf({ explicit }: WaypointRequest): FieldPath {
  return explicit ? ['metadata', 'labels', LABEL.useWaypoint] : ['metadata'];
}

/** Whether a Gateway takes traffic of a namespace. */
export function isAllowed(
  gateway: Pick<GatewayInfo, 'allowed' | 'namespace'>,
  { namespace, namespaceLabels }: { namespace: string; namespaceLabels: Labels },
): boolean {
  const { allowed } = gateway;
  switch (allowed.kind) {
    case 'all':
      return true;
    case 'none':
      return false;
    case 'same':
      return namespace === gateway.namespace;
    case 'selector':
      return selectorMatches(allowed.selector, { 'kubernetes.io/metadata.name': namespace, ...namespaceLabels });
  }
}

/** Whether Weft runs a waypoint for the Gateway. */
export function isWaypoint(mesh: MeshReader<typeof WAYPOINTS>, gateway: string): boolean {
  return mesh.get(WAYPOINTS, gateway)?.managed === true;
}

/** Whether traffic of the service goes through a waypoint that Weft runs. */
export function hasWaypoint(mesh: MeshReader<typeof SERVICE_BINDINGS | typeof WAYPOINTS>, service: string): boolean {
  const binding = mesh.get(SERVICE_BINDINGS, service);
  return binding !== null && isWaypoint(mesh, binding.gateway);
}

/** The condition that Services and WorkloadEntries show. */
export function waypointCondition(resource: ResourceName, { condition }: Binding): Condition[] {
  return condition === null ? [] : [{ resource, type: 'istio.io/WaypointBound', ...condition }];
}
