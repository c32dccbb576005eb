import type { MeshReader } from '#control-plane/index/derivation.ts';
import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import { AUTO_GATEWAY, AUTO_SERVICES, type NeededService } from '#control-plane/mesh/auto-waypoints.ts';
import { ENTRY_HOSTS } from '#control-plane/mesh/service-entry-hosts.ts';
import { SERVICE_BINDINGS, SERVICES, serviceNamesIn } from '#control-plane/mesh/services.ts';
import { hasWaypoint } from '#control-plane/mesh/waypoint-binding.ts';
import { gatewayNamesIn, WAYPOINTS } from '#control-plane/mesh/waypoints.ts';
import { WAYPOINT_CLASSES } from '#control-plane/mesh/well-known.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';

/** What a policy is attached to, in its own namespace. */
export type PolicyTarget = { kind: 'Service' | 'ServiceEntry' | 'Gateway' | 'GatewayClass'; name: string };

/** What is looked up to say whether somebody enforces a policy. */
export const TARGET_READS = [SERVICES, SERVICE_BINDINGS, AUTO_SERVICES, ENTRY_HOSTS, WAYPOINTS] as const;
type PolicyMesh = MeshReader<(typeof TARGET_READS)[number]>;

/** `Service shop/reviews`, `Gateway shop/waypoint` or `GatewayClass weft-waypoint`. */
export function targetName({ kind, name }: PolicyTarget, namespace: string): string {
  return kind === 'GatewayClass' ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}

/** The services among targets: each needs a waypoint that enforces the policy. `refuses`: what it lets through is less than all. */
export function servicesOfTargets(targets: readonly PolicyTarget[], namespace: string, refuses: boolean): NeededService[] {
  const services = targets.filter(({ kind }) => kind === 'Service');
  return services.map(({ name }) => ({ namespace, name, kind: refuses ? 'policy' : 'route' }));
}

/** Why nobody enforces a policy for a target. */
export type TargetMiss = { reason: MissReason; message: string; remedy: string };
export type MissReason = 'TargetNotFound' | 'AncestorNotBound' | 'WaypointPending' | 'Invalid';

/** Null when somebody does. Each look-up is remembered, so the answer is given anew as soon as what is missing appears. */
export function whyNotEnforced(target: PolicyTarget, namespace: string, mesh: PolicyMesh): TargetMiss | null {
  const key = `${namespace}/${target.name}`;
  switch (target.kind) {
    case 'Service':
      return serviceMiss(key, target.name, namespace, mesh);
    case 'Gateway':
      return gatewayMiss(key, target.name, namespace, mesh);
    case 'GatewayClass':
      return classMiss(target.name, namespace, mesh.options);
    case 'ServiceEntry':
      return entryMiss(key, mesh);
  }
}

/** The ports of a target, which sections name; those of all hosts of an entry are the same. */
export function targetPorts(
  { kind, name }: PolicyTarget,
  namespace: string,
  mesh: PolicyMesh,
): readonly { name: string; port: number }[] {
  const key = `${namespace}/${name}`;
  if (kind === 'Service') return mesh.get(SERVICES, key)?.ports ?? [];
  return mesh.valuesBy(ENTRY_HOSTS, 'owner', `${kind} ${key}`)[0]?.ports ?? [];
}

/** A service without a waypoint of ours has nobody who would enforce the policy. */
function serviceMiss(key: string, name: string, namespace: string, mesh: PolicyMesh): TargetMiss | null {
  if (mesh.get(SERVICES, key) === null) {
    const message = `Service ${key} not found${didYouMean(name, serviceNamesIn(mesh, namespace))}`;
    return { reason: 'TargetNotFound', message, remedy: 'correct the name, or create the Service' };
  }
  if (hasWaypoint(mesh, key)) return null;
  if (mesh.get(AUTO_SERVICES, key) !== null) {
    const message = `the waypoint of Service ${key} is being made; nothing enforces the policy before`;
    return { reason: 'WaypointPending', message, remedy: `see the status of Gateway ${namespace}/${AUTO_GATEWAY}` };
  }
  const message = `Service ${key} has no waypoint, so nothing enforces the policy for it`;
  return { reason: 'AncestorNotBound', message, remedy: 'label the Service or its namespace istio.io/use-waypoint: <gateway>' };
}

/** Of an entry it is the waypoint of its hosts: egress is controlled there (config-api 4.5). */
function entryMiss(key: string, mesh: PolicyMesh): TargetMiss | null {
  const hosts = mesh.keysBy(ENTRY_HOSTS, 'owner', `ServiceEntry ${key}`);
  if (hosts.length === 0) {
    const message = `ServiceEntry ${key} not found, or an older one has all of its hosts`;
    return { reason: 'TargetNotFound', message, remedy: 'correct the name, or create the ServiceEntry' };
  }
  if (hosts.some((host) => hasWaypoint(mesh, host))) return null;
  const message = `ServiceEntry ${key} has no waypoint, so nothing enforces the policy for it`;
  return { reason: 'AncestorNotBound', message, remedy: 'label the ServiceEntry istio.io/use-waypoint: <gateway>' };
}

/** A Gateway that Weft does not run enforces whatever its own controller makes of the policy. */
function gatewayMiss(key: string, name: string, namespace: string, mesh: PolicyMesh): TargetMiss | null {
  const info = mesh.get(WAYPOINTS, key);
  if (info === null) {
    const message = `Gateway ${key} not found${didYouMean(name, gatewayNamesIn(mesh, namespace))}`;
    return { reason: 'TargetNotFound', message, remedy: 'correct the name, or create the Gateway' };
  }
  if (info.managed) return null;
  const message = `Gateway ${key} is of class ${info.className}, which Weft does not run`;
  return { reason: 'TargetNotFound', message, remedy: `use one of the classes ${WAYPOINT_CLASSES.join(', ')}` };
}

/** A class reaches every namespace, so only the root namespace may speak for it. */
function classMiss(name: string, namespace: string, options: MeshOptions): TargetMiss | null {
  if (!WAYPOINT_CLASSES.includes(name)) {
    const message = `GatewayClass ${name} is not one that Weft runs${didYouMean(name, WAYPOINT_CLASSES)}`;
    return { reason: 'TargetNotFound', message, remedy: `use one of ${WAYPOINT_CLASSES.join(', ')}` };
  }
  if (namespace === options.rootNamespace) return null;
  const message = `a policy for a whole GatewayClass counts only in the root namespace ${options.rootNamespace}`;
  return { reason: 'Invalid', message, remedy: `move the policy to ${options.rootNamespace}, or target a Gateway` };
}
