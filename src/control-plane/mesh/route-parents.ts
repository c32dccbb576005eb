import type { MeshReader } from '#control-plane/index/derivation.ts';
import type { Condition } from '#control-plane/index/index-delta.ts';
import { falseCondition, trueCondition } from '#control-plane/index/outputs.ts';
import { AUTO_SERVICES, type NeededService } from '#control-plane/mesh/auto-waypoints.ts';
import { REFERENCE_GRANTS } from '#control-plane/mesh/reference-grants.ts';
import { SERVICE_BINDINGS, SERVICES, type ServiceResource, serviceNamesIn } from '#control-plane/mesh/services.ts';
import { isWaypoint } from '#control-plane/mesh/waypoint-binding.ts';
import { WAYPOINTS } from '#control-plane/mesh/waypoints.ts';
import type { OwnStatus } from '#control-plane/resources/cluster-kind.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import { fieldOf } from '#control-plane/resources/stand-in.ts';
import { listPorts } from './route-backends.ts';

/** What a route wants to be attached to. */
export type ParentRef = {
  group: string;
  kind: string;
  namespace: string;
  name: string;
  /** Name of a listener, or of a service's port. */
  sectionName: string | null;
  port: number | null;
};

/** An entry of parentRefs with its defaults. */
export type RawParentRef = {
  group: string;
  kind: string;
  namespace?: string;
  name: string;
  sectionName?: string;
  port?: number;
};

/** A namespace that is not written is the route's own. */
export function readParent({ group, kind, namespace, name, sectionName, port }: RawParentRef, own: string): ParentRef {
  return { group, kind, namespace: namespace ?? own, name, sectionName: sectionName ?? null, port: port ?? null };
}

/** The services that a route is for: each needs a waypoint that runs it. */
export function servicesOfRoute({ parents }: { parents: readonly ParentRef[] }): NeededService[] {
  const services = parents.filter(({ group, kind }) => group === '' && kind === 'Service');
  return services.map(({ namespace, name }) => ({ namespace, name, kind: 'route' }));
}

/** What routes look up. */
export const ROUTE_TABLES = [SERVICES, SERVICE_BINDINGS, AUTO_SERVICES, WAYPOINTS, REFERENCE_GRANTS] as const;

/** The mesh as routes see it. */
export type RouteMesh = MeshReader<(typeof ROUTE_TABLES)[number]>;

/** A service that the route is attached to; `ports` null: at every port. */
export type Attachment = { parent: ParentRef; service: ServiceResource; ports: readonly number[] | null };
/** Why a parent reference attaches to nothing. */
export type Refusal = { reason: string; problem: Problem };

/** The outcome of one parent reference; null for parents that other controllers look after. */
export function attachParent(parent: ParentRef, path: FieldPath, mesh: RouteMesh): Attachment | Refusal | null {
  const key = `${parent.namespace}/${parent.name}`;
  if (parent.kind === 'Gateway' && isWaypoint(mesh, key)) {
    const message = `Gateway ${key} is a waypoint: routes attach to the Services it serves, not to it`;
    return refusal(path, message, 'write parentRefs: [{ group: "", kind: Service, name: … }]');
  }
  // Parents of other controllers: nothing is written about them.
  if (parent.kind !== 'Service' || parent.group !== '') return null;
  const service = mesh.get(SERVICES, key);
  if (service === null) {
    const message = `Service ${key} not found${didYouMean(parent.name, serviceNamesIn(mesh, parent.namespace))}`;
    return refusal(path, message, 'correct the name, or create the Service');
  }
  if (service.externalName !== null || service.headless) {
    const type = service.externalName !== null ? 'of type ExternalName' : 'headless';
    return refusal(
      path,
      `Service ${key} is ${type}: it has no address that clients dial`,
      'attach the route to a Service with an address',
    );
  }
  if (parent.port === null && parent.sectionName === null) return { parent, service, ports: null };
  const ports = service.ports.filter(({ name, port }) => (parent.port ?? port) === port && (parent.sectionName ?? name) === name);
  if (ports.length > 0) return { parent, service, ports: ports.map(({ port }) => port) };
  const wanted = [parent.sectionName, parent.port].filter((part) => part !== null).join(' ');
  const message = `Service ${key} has no port ${wanted} (ports: ${listPorts(service)})`;
  return refusal(path, message, 'use a port of the Service, not of the container');
}

/** Whether each parent that is ours takes the route: one condition for those that do, and one for each that does not. */
export function acceptedConditions(
  resource: ResourceName,
  parents: readonly ParentRef[],
  refusals: readonly Refusal[],
): Condition[] {
  const refused = refusals.map(({ reason, problem }) => ({
    ...falseCondition(resource, 'Accepted', reason, problem.message),
    parents: [Number(problem.path[2])],
  }));
  const not = new Set(refused.flatMap((one) => one.parents));
  const taken = parents.flatMap(({ group, kind }, at) => (group === '' && kind === 'Service' && !not.has(at) ? [at] : []));
  const accepted = { ...trueCondition(resource, 'Accepted', 'Accepted', 'attached'), parents: taken };
  return taken.length === 0 ? refused : [...refused, accepted];
}

/** What of the status of routes is ours: an entry for each Service among the parents, however little else of the route is right. */
export const ROUTE_STATUS: OwnStatus = {
  form: 'parents',
  types: [],
  refused(spec) {
    const refs = fieldOf(spec, 'parentRefs');
    const list: unknown[] = Array.isArray(refs) ? refs : [];
    const parents = list.flatMap((ref, at) => (fieldOf(ref, 'kind') === 'Service' && fieldOf(ref, 'group') === '' ? [at] : []));
    return [{ type: 'Accepted', reason: 'UnsupportedValue', parents }];
  },
};

/** The Gateway API knows one reason for every parent that does not take a route, but where another route was first. */
export function refusal(path: FieldPath, message: string, remedy: string, reason = 'NoMatchingParent'): Refusal {
  return { reason, problem: warningAt('WEFT_REFERENCE_UNRESOLVED', path, message, remedy) };
}
