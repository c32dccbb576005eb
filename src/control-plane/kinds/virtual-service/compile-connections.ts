import type { NamedHost } from '#control-plane/mesh/named-hosts.ts';
import type { SubsetPick } from '#control-plane/mesh/subsets.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import type { ConnectionBackend, ConnectionRoute } from '#model/waypoint/connection-routes.ts';
import { type CompileMesh, type Context, resolve } from './destinations.ts';
import type { VirtualConnections, VirtualServiceResource } from './resource.ts';

/** What the routes of connections come to at a waypoint of one namespace. */
export type CompiledConnections = { routes: ConnectionRoute[]; subsets: SubsetPick[]; problems: Problem[] };

/** In order, those by names first. `host`: at which they are attached. */
export function compileConnections(
  { connections, metadata }: VirtualServiceResource,
  host: NamedHost,
  waypointNamespace: string,
  mesh: CompileMesh,
): CompiledConnections {
  const context: Context = { own: metadata.namespace, waypointNamespace, mesh, picks: new Map(), problems: [] };
  const routes = connections.map((entry): ConnectionRoute => {
    context.problems.push(...missingPorts(entry, host));
    const matches = entry.matches.map(({ port, ...match }) => ({ ...match, ports: port === null ? null : [port] }));
    return { matches, backends: backendsOf(entry, context) };
  });
  return { routes, subsets: [...context.picks.values()], problems: context.problems };
}

/** One that resolves to nothing keeps its share, as of requests. */
function backendsOf({ destinations, path }: VirtualConnections, context: Context): ConnectionBackend[] {
  const total = destinations.reduce((sum, { weight }) => sum + weight, 0);
  return destinations.map((destination, at): ConnectionBackend => {
    const { weight, port } = destination;
    const found = resolve(destination, context);
    if (!('why' in found)) return { ...found, weight };
    const share = total === 0 ? 0 : Math.round((100 * weight) / total);
    const message = `${found.why}; ${share} % of the connections that match are refused`;
    context.problems.push(warningAt('WEFT_REFERENCE_UNRESOLVED', [...path, 'route', at, 'destination'], message, found.remedy));
    return { service: null, port: port ?? 0, weight };
  });
}

/** Legal, and of no use. */
function missingPorts({ matches, path }: VirtualConnections, { hostname, ports }: NamedHost): Problem[] {
  const missing = matches.flatMap(({ port }) => (port === null || ports.includes(port) ? [] : [port]));
  return missing.map((port) => {
    const message = `${hostname} has no port ${port} (ports: ${ports.join(', ') || 'none'}), so this entry never matches there`;
    return warningAt('WEFT_LIKELY_MISTAKE', [...path, 'match'], message, 'write a port of the service');
  });
}
