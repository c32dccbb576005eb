import { type IpAddress, ipToBytes16 } from '#model/address/ip.ts';
import { formatIdentity, type Identity } from '#model/identity/identity.ts';
import type { HttpFacts, PolicyFacts } from '#model/policy/l7/facts.ts';
import type { Destination } from '#waypoint/destination.ts';
import type { ClientInfo } from '#waypoint/effects.ts';

/** What is true of one downstream connection as long as it lives: worked out once, used by each of its requests. */
export type ConnectionFacts = {
  readonly client: ClientInfo;
  /** The SPIFFE URI; null without identity. Upstream connections are shared only among equal ones. */
  readonly principal: string | null;
  readonly destination: Destination;
  readonly sourceBytes: Uint8Array;
  readonly destinationBytes: Uint8Array | null;
};

/** The facts of a connection that `peer` opened to `destination`. */
export function connectionFacts(
  peer: Identity | null,
  address: IpAddress,
  port: number,
  destination: Destination,
): ConnectionFacts {
  return {
    client: { identity: peer, address, port },
    principal: peer === null ? null : formatIdentity(peer),
    destination,
    sourceBytes: ipToBytes16(address),
    destinationBytes: destination.address === null ? null : ipToBytes16(destination.address),
  };
}

/** What policies see of a request on this connection, or of the connection itself. */
export function policyFacts(facts: ConnectionFacts, http: HttpFacts | null): PolicyFacts {
  return {
    identity: facts.client.identity,
    principal: facts.principal === null ? null : facts.principal.slice('spiffe://'.length),
    sourceAddress: facts.client.address,
    sourceBytes: facts.sourceBytes,
    destinationBytes: facts.destinationBytes,
    destinationPort: facts.destination.port,
    http,
  };
}
