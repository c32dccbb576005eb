import type { MeshReader } from '#control-plane/index/derivation.ts';
import { ATTACHED_L4_ROUTES, ATTACHED_TLS_ROUTES, type AttachedTlsRoute } from '#control-plane/mesh/attachments.ts';
import type { SubsetPick } from '#control-plane/mesh/subsets.ts';
import { ATTACHED_VIRTUAL_CONNECTIONS, type AttachedVirtualConnections } from '#control-plane/mesh/virtual-services.ts';
import { byAge, compareText } from '#control-plane/resources/metadata.ts';
import type { ServiceKey } from '#model/mesh/service.ts';
import type { ConnectionMatch, ConnectionRoute } from '#model/waypoint/connection-routes.ts';

/** Tables that say where the connections of a service go. */
export const CONNECTION_TABLES = [ATTACHED_L4_ROUTES, ATTACHED_TLS_ROUTES, ATTACHED_VIRTUAL_CONNECTIONS] as const;

type ConnectionMesh = MeshReader<(typeof CONNECTION_TABLES)[number]>;

/** As resources say which service they are about: by its key, and as it is bound. */
export type Bound = { service: ServiceKey; id: string };

/** Where the waypoint of a service sends connections that are not HTTP, beside what nodes know as well. */
export function connectionRoutesOf(
  bound: Bound,
  mesh: ConnectionMesh,
): { routes: ConnectionRoute[]; subsets: readonly SubsetPick[] } {
  const virtual = virtualConnectionsOf(bound, mesh);
  return { routes: [...tlsRoutesOf(bound.id, mesh), ...(virtual?.routes ?? [])], subsets: virtual?.subsets ?? [] };
}

/** The VirtualService in force for its connections: the oldest, where no route of the Gateway API is (config-api 4.4). */
export function virtualConnectionsOf(bound: Bound, mesh: ConnectionMesh): AttachedVirtualConnections | null {
  if (gatewayConnectionsOf(bound, mesh) !== null) return null;
  return mesh.valuesBy(ATTACHED_VIRTUAL_CONNECTIONS, 'service', bound.service).toSorted(byAge)[0] ?? null;
}

/** The oldest route of connections for every client, as `<namespace>/<name>`; a consumer's takes nothing from others. */
export function gatewayConnectionsOf({ id }: Bound, mesh: ConnectionMesh): string | null {
  const tcp = mesh.valuesBy(ATTACHED_L4_ROUTES, 'service', id).filter(({ route }) => route.transport === 'tcp');
  const all = [
    ...tcp.map(({ metadata, route }) => ({ metadata, ...route })),
    ...mesh.valuesBy(ATTACHED_TLS_ROUTES, 'service', id),
  ];
  const [first] = all.filter(({ clientNamespace }) => clientNamespace === null).toSorted(byAge);
  return first === undefined ? null : `${first.metadata.namespace}/${first.metadata.name}`;
}

/**
 * At each port with a TLSRoute: names first, then the TCPRoute for the same clients, and where there is none a refusal, for a name that no
 * route knows must reach nobody (config-api 1.14). Clients with routes of their own come before all others.
 */
function tlsRoutesOf(id: string, mesh: ConnectionMesh): ConnectionRoute[] {
  const named = mesh.valuesBy(ATTACHED_TLS_ROUTES, 'service', id).toSorted(byAge);
  const ports = [...new Set(named.flatMap(({ ports: of }) => of))].sort((a, b) => a - b);
  const plain = mesh.valuesBy(ATTACHED_L4_ROUTES, 'service', id).toSorted(byAge);
  return ports.flatMap((port) => {
    const here = named.filter((route) => route.ports.includes(port));
    const streams = plain.filter(({ route }) => route.transport === 'tcp' && route.port === port).map(({ route }) => route);
    const namespaces = [...new Set([...here, ...streams].map(({ clientNamespace }) => clientNamespace))].sort(othersLast);
    return namespaces.flatMap((clientNamespace): ConnectionRoute[] => {
      const match: ConnectionMatch = { ports: [port], serverNames: null, subnets: null, clientNamespace };
      const byName = byPrecedence(here.filter((route) => route.clientNamespace === clientNamespace));
      const rest = streams.find((route) => route.clientNamespace === clientNamespace);
      return [
        ...byName.map(({ name, shares }) => ({ matches: [{ ...match, serverNames: [name] }], backends: shares })),
        { matches: [match], backends: rest?.shares ?? [] },
      ];
    });
  });
}

function othersLast(a: string | null, b: string | null): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return compareText(a, b);
}

/** Whole names before wildcards, longer ones before shorter ones; of equal names the oldest route's. */
function byPrecedence(routes: readonly AttachedTlsRoute[]): { name: string; shares: AttachedTlsRoute['shares'] }[] {
  const all = routes.flatMap(({ hostnames, shares }) => hostnames.map((name) => ({ name, shares })));
  const distinct = all.filter(({ name }, at) => all.findIndex((one) => one.name === name) === at);
  const isWild = ({ name }: { name: string }) => Number(name.startsWith('*'));
  return distinct.toSorted((a, b) => isWild(a) - isWild(b) || b.name.length - a.name.length || compareText(a.name, b.name));
}
