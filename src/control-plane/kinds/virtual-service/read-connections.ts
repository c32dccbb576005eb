import { mayHold, readDestination } from './read.ts';
import type { VirtualConnections } from './resource.ts';
import type { RawConnectionMatch, RawConnectionRule } from './schema.ts';

/** The entries of tls or tcp, without those that can never hold here. */
export function readConnections(field: 'tls' | 'tcp', rules: readonly RawConnectionRule[]): VirtualConnections[] {
  return rules.flatMap(({ match = [], route = [] }, at): VirtualConnections[] => {
    const matches = match.filter(mayMatch).map(readMatch);
    // None of what is written holds: it is not that nothing is written.
    if (match.length > 0 && matches.length === 0) return [];
    const destinations = route.map(({ destination, weight = 0 }) => ({
      ...readDestination(destination),
      // The only one gets everything, whatever weight it has.
      weight: route.length === 1 ? 1 : weight,
    }));
    return [{ path: ['spec', field, at], matches, destinations }];
  });
}

/** As of requests; the addresses of clients are no more compared than in Istio, and an entry that asks for some holds for nobody. */
export function mayMatch(match: RawConnectionMatch): boolean {
  return mayHold(match) && !match.sourceSubnet;
}

function readMatch({ port, sniHosts, destinationSubnets = [], sourceNamespace }: RawConnectionMatch) {
  return {
    port: port || null,
    serverNames: sniHosts?.map((host) => host.toLowerCase()) ?? null,
    subnets: destinationSubnets.length > 0 ? destinationSubnets : null,
    clientNamespace: sourceNamespace || null,
  };
}
