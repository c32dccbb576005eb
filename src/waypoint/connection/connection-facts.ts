import type { Duplex } from 'node:stream';
import { type IpAddress, ipToBytes16 } from '#model/address/ip.ts';
import { formatIdentity, type Identity } from '#model/identity/identity.ts';
import type { HttpFacts, PolicyFacts } from '#model/policy/l7-fields.ts';
import type { Destination, Dialled } from '#waypoint/connection/destination.ts';
import type { ClientInfo } from '#waypoint/self/effects.ts';

/** One accepted connection: an HBONE stream, or a socket of this node whose owner the kernel attested. */
export type Downstream = {
  /** Must allow half-open, and must not have been read from; a TCP socket should have its Nagle delay off. */
  stream: Duplex;
  /** Verified identity of the client; null: none. */
  peer: Identity | null;
  peerAddress: IpAddress;
  peerPort: number;
  dialled: Dialled;
};

/** What is true of one downstream connection as long as it lives: worked out once, used by each of its requests. */
export type ConnectionFacts = {
  readonly client: ClientInfo;
  /** The SPIFFE URI; null without identity. Upstream connections are shared only among equal ones. */
  readonly principal: string | null;
  readonly destination: Destination;
  readonly sourceBytes: Uint8Array;
  readonly destinationBytes: Uint8Array | null;
};

/** The facts of an accepted connection to `destination`. */
export function connectionFacts({ peer, peerAddress, peerPort }: Downstream, destination: Destination): ConnectionFacts {
  return {
    client: { identity: peer, address: peerAddress, port: peerPort },
    principal: peer === null ? null : formatIdentity(peer),
    destination,
    sourceBytes: ipToBytes16(peerAddress),
    destinationBytes: destination.address === null ? null : ipToBytes16(destination.address),
  };
}

/** What policies see of a request on this connection, or of the connection itself. */
export function policyFacts(facts: ConnectionFacts, http: HttpFacts | null): PolicyFacts {
  return {
    identity: facts.client.identity,
    principal: facts.principal === null ? null : facts.principal.slice('spiffe://'.length),
    sourceBytes: facts.sourceBytes,
    destinationBytes: facts.destinationBytes,
    destinationPort: facts.destination.port,
    http,
  };
}
