import type { GatewayKey } from '#control-plane/index/index-delta.ts';
import { AUTO_GATEWAY, AUTO_SERVICES, isInForce, type NeedKind } from '#control-plane/mesh/auto-waypoints.ts';
import { namespaceLabels as labelsOfNamespace, namespaceAnnotations } from '#control-plane/mesh/namespaces.ts';
import { isGenerated, type ServiceResource } from '#control-plane/mesh/services.ts';
import {
  type Binding,
  type BindingMesh,
  bindingOf,
  bindWaypoint,
  isAllowed,
  UNBOUND,
  waypointRequestOf,
} from '#control-plane/mesh/waypoint-binding.ts';
import { type GatewayInfo, gatewayNamesIn, ownAddress, WAYPOINTS } from '#control-plane/mesh/waypoints.ts';
import { ANNOTATION, LABEL, WAYPOINT_CLASSES } from '#control-plane/mesh/well-known.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import type { GatewayAddress, Service } from '#model/mesh/service.ts';

/** How a service is bound: it may have a second waypoint, on trial, that gets `weight` of a hundred new connections. */
export type ServiceBinding = Binding & {
  readonly canary: { readonly gateway: GatewayKey; readonly address: GatewayAddress; readonly weight: number } | null;
};

const UNBOUND_SERVICE: ServiceBinding = { ...UNBOUND, canary: null };

/** The binding of a service: an alias has none, and what a mesh controller made has none. */
export function bindingOfService(service: ServiceResource, mesh: BindingMesh): ServiceBinding {
  if (service.externalName !== null || isGenerated(service)) return UNBOUND_SERVICE;
  const { namespace, name } = service.metadata;
  const auto = mesh.get(AUTO_SERVICES, `${namespace}/${name}`);
  return auto === null
    ? bindingByLabels(service.metadata, mesh)
    : { ...automaticBinding(auto.kind, namespace, mesh), canary: null };
}

/** The same as workload discovery has it. */
export function waypointsIn({
  address,
  canary,
}: Pick<ServiceBinding, 'address' | 'canary'>): Pick<Service, 'waypoint' | 'canary'> {
  return { waypoint: address, ...(canary && { canary: { waypoint: canary.address, weight: canary.weight } }) };
}

type Labelled = Pick<Metadata, 'namespace' | 'labels' | 'annotations'>;

/** The binding that labels ask for, of a Service or of the hosts of a ServiceEntry. */
export function bindingByLabels(metadata: Labelled, mesh: BindingMesh): ServiceBinding {
  const { namespace, labels } = metadata;
  const binding = bindingOf('service', namespace, labels, mesh);
  const asked = canaryRequestOf(metadata, mesh);
  if (asked === null) return { ...binding, canary: null };
  const stable = binding.gateway === null ? null : mesh.get(WAYPOINTS, binding.gateway);
  // Nothing to be said of a share of what is refused, or goes past all waypoints: that is told already.
  if (asked.kind === 'asked' && stable === null) return { ...binding, canary: null };
  const found = asked.kind === 'asked' ? canaryOf(asked, metadata, stable, mesh) : asked;
  return found.kind === 'found' ? withCanary(binding, found) : withoutCanary(binding, found);
}

/** A canary that labels ask for. `path`: where it is written, as far as that is the object itself. */
type CanaryRequest = { kind: 'asked'; namespace: string; name: string; weight: string; path: FieldPath; weightPath: FieldPath };
type Found = { kind: 'found'; canary: NonNullable<ServiceBinding['canary']>; why: string | null };
type Unused = { kind: 'unused'; path: FieldPath; name: string; why: string; remedy: string };

/** It is read where the waypoint itself is named, and nowhere else: whoever names another one names its canary, too. */
function canaryRequestOf({ namespace, labels, annotations }: Labelled, mesh: BindingMesh): CanaryRequest | Unused | null {
  const ofNamespace = labelsOfNamespace(mesh, namespace);
  const isOwn = labels[LABEL.useWaypoint] !== undefined;
  const own = labels[LABEL.useWaypointCanary];
  if (own && (!isOwn || waypointRequestOf(labels, namespace, ofNamespace) === null)) {
    const why = `the label counts only beside ${LABEL.useWaypoint} on the same object`;
    const remedy = `write ${LABEL.useWaypoint}: <gateway> there, too`;
    return { kind: 'unused', path: ['metadata', 'labels', LABEL.useWaypointCanary], name: own, why, remedy };
  }
  const source = isOwn ? { labels, annotations } : { labels: ofNamespace, annotations: namespaceAnnotations(mesh, namespace) };
  const name = source.labels[LABEL.useWaypointCanary];
  if (!name || waypointRequestOf(labels, namespace, ofNamespace) === null) return null;
  return {
    kind: 'asked',
    name,
    namespace: source.labels[LABEL.useWaypointCanaryNamespace] || namespace,
    weight: source.annotations[ANNOTATION.useWaypointCanaryWeight] ?? '0',
    path: isOwn ? ['metadata', 'labels', LABEL.useWaypointCanary] : ['metadata'],
    weightPath: isOwn ? ['metadata', 'annotations', ANNOTATION.useWaypointCanaryWeight] : ['metadata'],
  };
}

/** One that has no instance yet stays bound: clients go to the waypoint until there is one, and those that it serves go on. */
function canaryOf(
  request: CanaryRequest,
  { namespace }: Labelled,
  stable: GatewayInfo | null,
  mesh: BindingMesh,
): Found | Unused {
  const key = `${request.namespace}/${request.name}`;
  const unused = (why: string, remedy: string, path = request.path): Unused => ({ kind: 'unused', path, name: key, why, remedy });
  if (!/^(\d{1,2}|100)$/.test(request.weight)) {
    const remedy = `write a whole number from 0 to 100 for the annotation ${ANNOTATION.useWaypointCanaryWeight}`;
    return unused(`"${request.weight}" is no weight`, remedy, request.weightPath);
  }
  if (key === stable?.key) return unused('it is the waypoint itself', 'name another Gateway, or remove the label');
  const gateway = mesh.get(WAYPOINTS, key);
  if (gateway === null) {
    const nearly = didYouMean(request.name, gatewayNamesIn(mesh, request.namespace));
    return unused(`it does not exist${nearly}`, 'create the Gateway, or correct the label');
  }
  // Whoever else runs it need not judge by what Weft tells its own.
  if (!gateway.managed || stable?.managed !== true)
    return unused('Weft runs only one of the two', `use one of the classes ${WAYPOINT_CLASSES.join(', ')} for both`);
  if (gateway.traffic !== 'service' && gateway.traffic !== 'all')
    return unused(`it is a waypoint for ${gateway.traffic} traffic`, `label the Gateway ${LABEL.waypointFor}: service`);
  if (!isAllowed(gateway, { namespace, namespaceLabels: labelsOfNamespace(mesh, namespace) })) {
    const remedy = 'set allowedRoutes.namespaces.from: All (or a Selector) on the HBONE listener of the Gateway';
    return unused(`it does not accept namespace ${namespace}`, remedy);
  }
  if (gateway.state.kind === 'unusable')
    return unused(`it cannot be used: ${gateway.state.why}`, 'see the status of the Gateway');
  const canary = { gateway: key, address: gateway.address, weight: Number(request.weight) };
  return { kind: 'found', canary, why: gateway.state.kind === 'ready' ? null : gateway.state.why };
}

function withCanary(binding: Binding, { canary, why }: Found): ServiceBinding {
  const share = `${canary.weight} % of new connections go to Gateway ${canary.gateway}`;
  return { ...saying(binding, why === null ? share : `${share} as soon as it is ready: ${why}`), canary };
}

/** Whoever asks for a canary relies on it: that all goes one way must not be found out later. */
function withoutCanary(binding: Binding, { path, name, why, remedy }: Unused): ServiceBinding {
  const message = `no connection goes to the canary waypoint ${name}: ${why}`;
  const told: Problem = warningAt('WEFT_NOT_ENFORCED', path, message, remedy);
  return { ...saying(binding, message), problem: binding.problem ?? told, canary: null };
}

function saying(binding: Binding, what: string): Binding {
  const { condition } = binding;
  return condition === null ? binding : { ...binding, condition: { ...condition, message: `${condition.message}; ${what}` } };
}

/**
 * The binding of a service that nobody gave a waypoint, and that needs one. What refuses requests closes it until they can be judged;
 * a route is not in force before, and then for good. A route of another namespace must not be able to close it.
 */
function automaticBinding(kind: NeedKind, namespace: string, mesh: BindingMesh): Binding {
  const key = `${namespace}/${AUTO_GATEWAY}`;
  const gateway = mesh.get(WAYPOINTS, key);
  const facts = {
    request: { namespace, name: AUTO_GATEWAY, explicit: false },
    ...{ kind: 'service' as const, namespace, namespaceLabels: labelsOfNamespace(mesh, namespace), gatewayNames: [] },
  };
  if (kind === 'consumer') {
    const ready = mesh.valuesBy(WAYPOINTS, 'namespace', namespace).find((one) => one.managed && one.state.kind === 'ready');
    const bound = ready === undefined ? UNBOUND : bindWaypoint({ ...facts, gateway: ready }, mesh.options);
    return bound.condition?.status === 'True' ? bound : UNBOUND;
  }
  if (gateway !== null && isInForce(gateway)) return bindWaypoint({ ...facts, gateway }, mesh.options);
  const message = `Gateway ${key} is being made for it`;
  const pending = { status: 'False' as const, reason: 'WaypointPending' };
  if (kind === 'route') return { ...UNBOUND, condition: { ...pending, message: `${message}; its routes are not in force yet` } };
  return {
    ...{ gateway: key, address: ownAddress(namespace, AUTO_GATEWAY, mesh.options), problem: null },
    condition: { ...pending, message: `${message}; traffic is refused until its policies can be enforced` },
  };
}
