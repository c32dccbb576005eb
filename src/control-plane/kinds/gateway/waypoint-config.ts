import { defineDerivation, type MeshReader } from '#control-plane/index/derivation.ts';
import { serviceHostname } from '#control-plane/index/mesh-options.ts';
import { OUTPUT } from '#control-plane/index/outputs.ts';
import { entry, namespaceOf, tableOf } from '#control-plane/index/table.ts';
import { speaksGrpcWeb } from '#control-plane/mesh/app-protocol.ts';
import {
  ATTACHED_AUTHENTICATIONS,
  ATTACHED_GRPC_ROUTES,
  ATTACHED_L4_ROUTES,
  ATTACHED_POLICIES,
  ATTACHED_ROUTES,
} from '#control-plane/mesh/attachments.ts';
import { AUTHORIZER_TABLES, authorizerNamed } from '#control-plane/mesh/authorizers.ts';
import { CONNECTION_TABLES, connectionRoutesOf } from '#control-plane/mesh/connection-routes.ts';
import { destinationsOf, SETTINGS_TABLES } from '#control-plane/mesh/destination-settings.ts';
import { ENTRY_HOSTS } from '#control-plane/mesh/service-entry-hosts.ts';
import { SERVICE_BINDINGS, SERVICES } from '#control-plane/mesh/services.ts';
import { membersOf, SUBSET_TABLES } from '#control-plane/mesh/subsets.ts';
import { ATTACHED_TELEMETRY, waypointTelemetry } from '#control-plane/mesh/telemetries.ts';
import { ATTACHED_TRAFFIC, limitOfGateway, trafficOfService, withTraffic } from '#control-plane/mesh/traffic-policies.ts';
import { ATTACHED_VIRTUAL_SERVICES, virtualServiceOf } from '#control-plane/mesh/virtual-services.ts';
import { HTTP_DENIES, httpDeniesAt } from '#control-plane/mesh/waypoint-guards.ts';
import { isRun, WAYPOINTS } from '#control-plane/mesh/waypoints.ts';
import { byAge } from '#control-plane/resources/metadata.ts';
import { type ServiceKey, serviceKeyOf } from '#model/mesh/service.ts';
import type { ExternalAuthorizer } from '#model/waypoint/authorizer.ts';
import type { L7Policy, WaypointService } from '#model/waypoint/config.ts';
import type { JwtRule } from '#model/waypoint/jwt.ts';
import { GATEWAYS } from './derive.ts';
import { waypointLabels } from './waypoint-service.ts';

/** What a waypoint does for one of the services bound to it. */
export type ServedService = { gateway: string; service: WaypointService };

const REQUEST_ROUTES = [
  { kind: 'HTTPRoute', table: ATTACHED_ROUTES },
  { kind: 'GRPCRoute', table: ATTACHED_GRPC_ROUTES },
] as const;

/** By `<namespace>/<name>` of the service, and ` canary` behind it for a second waypoint that serves it, too. */
export const SERVED_SERVICES = tableOf<ServedService>()('served-services', { by: { gateway: ({ gateway }) => [gateway] } });

/** Routes and policies of each bound service; apart from the waypoint's, so that a change of one service leaves the others alone. */
export const servedServices = defineDerivation({
  name: 'served service',
  each: SERVICE_BINDINGS,
  reads: [
    SERVICES,
    ATTACHED_ROUTES,
    ATTACHED_GRPC_ROUTES,
    ATTACHED_POLICIES,
    ATTACHED_AUTHENTICATIONS,
    ATTACHED_TRAFFIC,
    ATTACHED_TELEMETRY,
    WAYPOINTS,
    HTTP_DENIES,
    ATTACHED_VIRTUAL_SERVICES,
    ...CONNECTION_TABLES,
    ...SUBSET_TABLES,
    ...SETTINGS_TABLES,
  ],
  writes: [SERVED_SERVICES],
  derive({ key, value: { gateway, canary, hostname, owner } }, mesh) {
    const namespace = namespaceOf(key);
    // Routes are filed under the name that waypoints know a service by.
    const service = serviceKeyOf({ namespace, hostname });
    const routes = REQUEST_ROUTES.flatMap(({ kind, table }) =>
      mesh
        .valuesBy(table, 'service', service)
        .map(({ route, metadata }) => ({ metadata, route: withTraffic(mesh, kind, route) })),
    ).toSorted(byAge);
    const virtual = virtualServiceOf(service, mesh);
    const connections = connectionRoutesOf({ service, id: key }, mesh);
    const picks = new Map(
      [...(virtual?.subsets ?? []), ...connections.subsets].map((pick) => [`${pick.service} ${pick.name}`, pick]),
    );
    const subsets = [...picks.values()].map((pick) => membersOf(pick, mesh));
    const resource = mesh.get(SERVICES, key);
    const denies = resource === null ? [] : httpDeniesAt(resource, mesh).map(({ policy }) => policy);
    const policies = [...policiesFor(owner, mesh), ...denies];
    const authentication = rulesFor([owner, `Gateway ${gateway}`], mesh);
    const { ports = [] } = resource ?? mesh.get(ENTRY_HOSTS, key) ?? {};
    const grpcWebPorts = ports.filter((one) => ('grpcWeb' in one ? one.grpcWeb : speaksGrpcWeb(one))).map(({ port }) => port);
    const traffic = trafficOfService(mesh, owner, ports);
    const all = [...routes, ...(virtual === null ? [] : [virtual])].map(({ route }) => route);
    // Nodes follow these, and so does the waypoint.
    const streamRoutes = mesh.valuesBy(ATTACHED_L4_ROUTES, 'service', key).map(({ route }) => ({ backends: route.shares }));
    // Who tells of a service is its waypoint: without one nobody does.
    const runner = mesh.get(WAYPOINTS, gateway);
    const telemetry = runner === null ? null : waypointTelemetry(runner, { namespace, owner }, mesh);
    const backends = [...all.flatMap(({ rules }) => rules), ...connections.routes, ...streamRoutes].flatMap(backendsOf);
    const destinations = destinationsOf([service, ...backends], namespaceOf(gateway), mesh);
    const served = {
      key: service,
      routes: all,
      policies,
      ...(traffic && { traffic }),
      ...(authentication && { authentication }),
      ...(connections.routes.length > 0 && { connections: connections.routes }),
      ...(subsets.length > 0 && { subsets }),
      ...(destinations.length > 0 && { destinations }),
      ...(telemetry && { telemetry }),
      ...(grpcWebPorts.length > 0 && { grpcWebPorts }),
    };
    if (canary === null) return [entry(SERVED_SERVICES, key, { gateway, service: served })];
    const tokens = rulesFor([owner, `Gateway ${gateway}`, `Gateway ${canary}`], mesh);
    // What was written for the waypoint holds for whoever is sent to the other one in its place.
    const inherited = {
      ...served,
      policies: [...policies, ...policiesOfGateway(gateway, runner?.className ?? null, mesh)],
      ...(tokens && { authentication: tokens }),
    };
    return [
      entry(SERVED_SERVICES, key, { gateway, service: served }),
      entry(SERVED_SERVICES, `${key} canary`, { gateway: canary, service: inherited }),
    ];
  },
});

/** What each waypoint enforces and routes. */
export const waypointConfigs = defineDerivation({
  name: 'waypoint',
  each: WAYPOINTS,
  reads: [SERVED_SERVICES, ATTACHED_POLICIES, ATTACHED_TELEMETRY, ATTACHED_TRAFFIC, ...AUTHORIZER_TABLES],
  writes: [OUTPUT.waypoints],
  derive({ key, value: info }, mesh) {
    // A Gateway of others, or one that can never work, has nothing to be told.
    if (!isRun(info)) return [];
    const { trustDomain, pathNormalization } = mesh.options;
    const services = mesh.valuesBy(SERVED_SERVICES, 'gateway', key).map(({ service }) => service);
    const policies = policiesOfGateway(key, info.className, mesh);
    const { namespace, name: gateway } = info;
    const authorizers = authorizersOf([...policies, ...services.flatMap((service) => service.policies)], mesh);
    const telemetry = waypointTelemetry(info, null, mesh);
    const rateLimit = limitOfGateway(mesh, key);
    const config = { namespace, gateway, trustDomain, pathNormalization, services, policies };
    return [
      entry(OUTPUT.waypoints, key, {
        ...config,
        ...(authorizers.length > 0 && { authorizers }),
        ...(telemetry && { telemetry }),
        ...(rateLimit && { rateLimit }),
      }),
    ];
  },
});

/** The waypoint that is to run for each Gateway; it names the addresses of the waypoint's service. */
export const managedGateways = defineDerivation({
  name: 'managed gateway',
  each: GATEWAYS,
  reads: [WAYPOINTS, OUTPUT.services],
  writes: [OUTPUT.gateways],
  derive({ key, value: { infrastructure } }, mesh) {
    const info = mesh.get(WAYPOINTS, key);
    if (!isRun(info)) return [];
    const { namespace, name, className, serviceAccount } = info;
    const hostname = serviceHostname(namespace, name, mesh.options);
    const managed = {
      namespace,
      name,
      className,
      serviceAccount,
      // Ours last: by them the mesh finds its instances.
      labels: { ...infrastructure.labels, ...waypointLabels(info) },
      infrastructure,
      addresses: mesh.get(OUTPUT.services, serviceKeyOf({ namespace, hostname }))?.addresses ?? [],
      hostname,
    };
    return [entry(OUTPUT.gateways, key, managed)];
  },
});

/** Those whom its policies ask, by name; who is not there is left out, and its policies deny. */
function authorizersOf(
  policies: readonly L7Policy[],
  mesh: MeshReader<(typeof AUTHORIZER_TABLES)[number]>,
): ExternalAuthorizer[] {
  const names = new Set(policies.flatMap(({ authorizer }) => authorizer ?? []));
  return [...names].toSorted().flatMap((name) => {
    const found = authorizerNamed(name, mesh);
    return found.kind === 'found' ? [found.authorizer] : [];
  });
}

/** The services that a route leads to, also with copies only. */
function backendsOf({ backends, mirrors = [] }: Leading): ServiceKey[] {
  return [...backends, ...mirrors].flatMap(({ service }) => service ?? []);
}

type Leading = {
  backends: readonly { service: ServiceKey | null }[];
  mirrors?: readonly { service: ServiceKey }[];
};

/** What holds for all that a waypoint serves. A class reaches every namespace: only the root namespace may speak for it. */
function policiesOfGateway(gateway: string, className: string | null, mesh: MeshReader<typeof ATTACHED_POLICIES>): L7Policy[] {
  const ofClass = className === null ? [] : policiesFor(`GatewayClass ${className}`, mesh);
  return [
    ...policiesFor(`Gateway ${gateway}`, mesh),
    ...ofClass.filter(({ namespace }) => namespace === mesh.options.rootNamespace),
  ];
}

/** In order of key, so that a configuration does not change with the order in which policies came. */
function policiesFor(target: string, mesh: MeshReader<typeof ATTACHED_POLICIES>): L7Policy[] {
  return mesh.valuesBy(ATTACHED_POLICIES, 'target', target).map(({ policy }) => policy);
}

/** One pool of all that is about a service, sorted by issuer; null: nothing is. */
function rulesFor(targets: readonly string[], mesh: MeshReader<typeof ATTACHED_AUTHENTICATIONS>): JwtRule[] | null {
  const attached = targets.flatMap((target) => mesh.valuesBy(ATTACHED_AUTHENTICATIONS, 'target', target));
  if (attached.length === 0) return null;
  return attached.flatMap(({ rules }) => rules).toSorted((a, b) => (a.issuer < b.issuer ? -1 : a.issuer > b.issuer ? 1 : 0));
}
