import { type Derivation, defineDerivation, type MeshReader } from '#control-plane/index/derivation.ts';
import type { Condition } from '#control-plane/index/index-delta.ts';
import { serviceHostname } from '#control-plane/index/mesh-options.ts';
import { falseCondition, STATUS, statusOf, trueCondition } from '#control-plane/index/outputs.ts';
import { entry, type Table } from '#control-plane/index/table.ts';
import { appProtocolOf } from '#control-plane/mesh/app-protocol.ts';
import { ATTACHED_GRPC_ROUTES, ATTACHED_L4_ROUTES, ATTACHED_ROUTES } from '#control-plane/mesh/attachments.ts';
import { type BackendRef, unresolved } from '#control-plane/mesh/route-backends.ts';
import {
  acceptedConditions,
  attachParent,
  type ParentRef,
  type Refusal,
  ROUTE_TABLES,
  refusal,
} from '#control-plane/mesh/route-parents.ts';
import type { ServicePortResource, ServiceResource } from '#control-plane/mesh/services.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';
import { type L4Route, serviceKeyOf, type Transport } from '#model/mesh/service.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';

/** Kinds of routes that look at no request. */
export type L4RouteKind = 'TCPRoute' | 'UDPRoute' | 'TLSRoute';

/** A route of connections or flows; nothing it refers to has been looked up yet. */
export type L4RouteResource<Kind extends L4RouteKind> = {
  kind: Kind;
  metadata: Metadata;
  parents: readonly ParentRef[];
  backends: readonly BackendRef[];
};

type AnyRoute = L4RouteResource<L4RouteKind>;

/** Tables that they look up. */
export const L4_ROUTE_TABLES = [...ROUTE_TABLES, ATTACHED_ROUTES, ATTACHED_GRPC_ROUTES] as const;
type RouteMesh = MeshReader<(typeof L4_ROUTE_TABLES)[number]>;
/** A service that a route is attached to, at these ports. */
type Attached = { service: ServiceResource; ports: readonly number[] };
type Resolved = { shares: L4Route['shares']; problems: Problem[]; reason: string | null };

/** What becomes of each route of a table: the routes of the services it is attached to, and its status. */
export function deriveL4Routes<Kind extends 'TCPRoute' | 'UDPRoute'>(
  each: Table<L4RouteResource<Kind>>,
  transport: Transport,
): Derivation {
  return defineDerivation({
    name: `${transport} route`,
    each,
    reads: [...L4_ROUTE_TABLES],
    writes: [ATTACHED_L4_ROUTES, ...STATUS],
    derive({ key, value: route }, mesh) {
      const { places, conditions, problems } = l4RouteOf(route, transport, mesh);
      const { createdAtMs, namespace, name } = route.metadata;
      const metadata = { createdAtMs, namespace, name };
      const entries = places.flatMap(({ service, ports, clientNamespace, shares }) =>
        ports.map((port) => {
          const found: L4Route = { transport, port, clientNamespace, shares };
          return entry(ATTACHED_L4_ROUTES, `${route.kind} ${key} ${service} ${port}`, { service, metadata, route: found });
        }),
      );
      return [...entries, ...statusOf(nameOfResource(route), conditions, problems)];
    },
  });
}

/** What one route does for one service, `<namespace>/<name>`. `clientNamespace` null: for every client. */
export type L4Place = Pick<L4Route, 'clientNamespace' | 'shares'> & { service: string; ports: readonly number[] };

/** What becomes of one route. */
export type DerivedL4Route = { places: L4Place[]; conditions: Condition[]; problems: Problem[] };

/** Where a route is attached, and where its shares go from there. */
export function l4RouteOf(route: AnyRoute, transport: Transport, mesh: RouteMesh): DerivedL4Route {
  const { attached, refusals } = attach(route, transport, mesh);
  const resolved = attached.map(({ service }) => resolve(route, service, transport, mesh));
  const { namespace } = route.metadata;
  const places = attached.map(({ service: { metadata: parent }, ports }, at) => ({
    service: `${parent.namespace}/${parent.name}`,
    ports,
    clientNamespace: namespace === parent.namespace ? null : namespace,
    shares: resolved[at]?.shares ?? [],
  }));
  const problems = distinct([...refusals.map(({ problem }) => problem), ...resolved.flatMap((one) => one.problems)]);
  return { places, conditions: conditionsOf(route, attached, refusals, resolved), problems };
}

/** The ports that a route is attached to, a list for each service. */
function attach(route: AnyRoute, transport: Transport, mesh: RouteMesh): { attached: Attached[]; refusals: Refusal[] } {
  const attached = new Map<string, Attached>();
  const refusals: Refusal[] = [];
  for (const [at, parent] of route.parents.entries()) {
    const path = ['spec', 'parentRefs', at];
    const outcome = attachParent(parent, path, mesh);
    if (outcome === null) continue;
    const found = 'reason' in outcome ? outcome : portsOf(outcome, transport, route.metadata.namespace, path, mesh);
    if ('reason' in found) {
      refusals.push(found);
      continue;
    }
    const name = nameOfResource(found.service);
    const ports = new Set([...(attached.get(name)?.ports ?? []), ...found.ports]);
    attached.set(name, { service: found.service, ports: [...ports].sort((a, b) => a - b) });
  }
  return { attached: [...attached.values()], refusals };
}

/** Those ports of the parent that carry what the route is for, and that no route of requests has. */
function portsOf(
  { service, ports }: { service: ServiceResource; ports: readonly number[] | null },
  transport: Transport,
  namespace: string,
  path: FieldPath,
  mesh: RouteMesh,
): Attached | Refusal {
  const name = nameOfResource(service);
  if (transport === 'udp' && service.metadata.namespace !== namespace) {
    const message = `flows are routed by kernels, which do not look at who asks: only a route of ${service.metadata.namespace} holds for ${name}`;
    return refusal(path, message, `write the UDPRoute in namespace ${service.metadata.namespace}`);
  }
  const meant = service.ports.filter(({ port }) => ports === null || ports.includes(port));
  const fitting = meant.filter((port) => carries(port, transport));
  if (fitting.length === 0) {
    const message = `${name} has no ${ports === null ? '' : 'such '}port that carries ${transport.toUpperCase()} alone`;
    const remedy =
      transport === 'tcp' ? 'write appProtocol: tcp at the port, or use an HTTPRoute' : 'write protocol: UDP at the port';
    return refusal(path, message, remedy);
  }
  const free = transport === 'udp' ? fitting : fitting.filter(({ port }) => !hasRequestRoute(service, port, mesh));
  if (free.length > 0) return { service, ports: free.map(({ port }) => port) };
  const message = `${name} has an HTTPRoute or GRPCRoute at the same port, which goes before this route`;
  return refusal(path, message, 'remove one of the two, or attach them to different ports', 'Conflicted');
}

function carries(port: ServicePortResource, transport: Transport): boolean {
  if (transport === 'udp') return port.protocol === 'UDP';
  return port.protocol === 'TCP' && ['tcp', 'tls', 'unknown'].includes(appProtocolOf(port));
}

function hasRequestRoute({ metadata: { namespace, name } }: ServiceResource, port: number, mesh: RouteMesh): boolean {
  const key = serviceKeyOf({ namespace, hostname: serviceHostname(namespace, name, mesh.options) });
  return [ATTACHED_ROUTES, ATTACHED_GRPC_ROUTES]
    .flatMap((table) => mesh.valuesBy(table, 'service', key))
    .some(({ route }) => route.ports === null || route.ports.includes(port));
}

/** Where the shares go from a service; one that goes nowhere is refused, so that the others keep theirs. */
function resolve(
  { kind, metadata, backends }: AnyRoute,
  service: ServiceResource,
  transport: Transport,
  mesh: RouteMesh,
): Resolved {
  const total = backends.reduce((sum, { weight }) => sum + weight, 0);
  const resolved: Resolved = { shares: [], problems: [], reason: null };
  const protocol = transport === 'tcp' ? 'TCP' : 'UDP';
  const context = {
    routeKind: kind,
    routeNamespace: metadata.namespace,
    parentNamespace: service.metadata.namespace,
    protocol,
    mesh,
  } as const;
  resolved.shares = backends.map((backend, at) => {
    const { namespace, name, weight } = backend;
    const port = backend.port ?? 0;
    const mistake = unresolved(backend, context);
    if (mistake === null)
      return { service: serviceKeyOf({ namespace, hostname: serviceHostname(namespace, name, mesh.options) }), port, weight };
    resolved.reason ??= mistake.reason;
    const percent = total === 0 ? 0 : Math.round((100 * weight) / total);
    const message = `${mistake.why}; ${percent} % of the ${transport === 'tcp' ? 'connections' : 'flows'} are refused`;
    const path = ['spec', 'rules', 0, 'backendRefs', at];
    resolved.problems.push(warningAt('WEFT_REFERENCE_UNRESOLVED', path, message, mistake.remedy));
    return { service: null, port, weight };
  });
  return resolved;
}

/** A route with several parents resolves its backends once for each. */
function distinct(problems: readonly Problem[]): Problem[] {
  return [...new Map(problems.map((one) => [`${one.path.join('/')} ${one.message}`, one])).values()];
}

function conditionsOf(
  route: AnyRoute,
  attached: readonly Attached[],
  refusals: readonly Refusal[],
  resolved: readonly Resolved[],
): Condition[] {
  // All parents belong to other controllers, who write the status.
  if (attached.length + refusals.length === 0) return [];
  const resource = nameOfResource(route);
  const accepted = acceptedConditions(resource, route.parents, refusals);
  const reason = resolved.find((one) => one.reason !== null)?.reason ?? null;
  const messages = distinct(resolved.flatMap(({ problems }) => problems)).map(({ message }) => message);
  const references =
    reason === null
      ? trueCondition(resource, 'ResolvedRefs', 'ResolvedRefs', 'all backends resolve')
      : falseCondition(resource, 'ResolvedRefs', reason, messages.slice(0, RESOURCE.messagesMax).join('; '));
  return [...accepted, references];
}
