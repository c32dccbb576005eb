import { formatAddress } from '#model/address/ip.ts';
import type { AttributeName, Facts, Value } from '#model/expression/attributes.ts';
import type { ConnectionFacts } from '#waypoint/connection/connection-facts.ts';
import type { UpstreamEndpoint } from '#waypoint/state/kept.ts';

/** What an expression sees of a connection, of one that carries requests, too; undefined: nothing of that name. */
export function connectionAttribute(
  name: AttributeName,
  { client, destination, record, principal }: ConnectionFacts,
  endpoint: UpstreamEndpoint | null,
): Value | undefined {
  switch (name) {
    case 'source.address':
      return formatAddress(client.address, client.port);
    case 'source.port':
      return client.port;
    // What the client dialled, as that is the address it knows.
    case 'destination.address':
      return record.origin.dialled ?? undefined;
    case 'destination.port':
      return destination.port;
    // Whoever has proved who it is did so by a certificate, here or to the agent that vouches for it.
    case 'connection.mtls':
      return principal !== null;
    case 'connection.uri_san_peer_certificate':
      return principal ?? undefined;
    case 'upstream.address':
      return endpoint === null ? undefined : formatAddress(endpoint.ip, endpoint.port);
    case 'upstream.port':
      return endpoint?.port;
    default:
      return undefined;
  }
}

/** What it sees of a connection that carries no requests. */
export function connectionShown(facts: ConnectionFacts, endpoint: UpstreamEndpoint | null): Facts {
  return { attribute: (name) => connectionAttribute(name, facts, endpoint), header: () => undefined };
}
