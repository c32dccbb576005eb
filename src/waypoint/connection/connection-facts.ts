import { type IpAddress, ipToBytes16 } from '#model/address/ip.ts';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import type { SharedFields } from '#model/effects/log.ts';
import { formatIdentity, type Identity } from '#model/identity/identity.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import type { HttpFacts, PolicyFacts } from '#model/policy/l7-fields.ts';
import {
  type AskedFields,
  type RecordOrigin,
  type RecordPath,
  type RecordSource,
  sourceFields,
} from '#model/telemetry/access-record.ts';
import type { Destination, Dialled } from '#waypoint/connection/destination.ts';
import type { ClientInfo } from '#waypoint/self/effects.ts';

/** One accepted connection: an HBONE stream, or a socket of this node whose owner the kernel attested. */
export type Downstream = {
  /** Nothing was read from it. */
  stream: ByteStream;
  /** Verified identity of the client; null: none. */
  peer: Identity | null;
  peerAddress: IpAddress;
  peerPort: number;
  dialled: Dialled;
};

/** What records and metrics say of a downstream connection: worked out once. */
export type ConnectionRecord = {
  readonly source: RecordSource;
  /** The same, as the lines of its requests tell it. */
  readonly sourceFields: SharedFields;
  readonly origin: RecordOrigin;
  /** What its last request asked for, as its line told it; null: there was none. */
  lastAsked: AskedFields | null;
  /** Null when a workload was dialled. */
  readonly service: RecordPath['service'];
};

/** How the records of a connection and of its requests begin. */
export function connectionRecord(
  { peer, peerAddress, peerPort, dialled }: Downstream,
  destination: Destination | null,
  mesh: MeshState,
): ConnectionRecord {
  const shown = destination?.address ?? dialled.address;
  const source = { end: { ip: peerAddress, port: peerPort }, workload: mesh.workloadByIp(peerAddress), identity: peer };
  return {
    source,
    sourceFields: sourceFields(source),
    origin: { reporter: 'waypoint', dialled: addressText(shown, dialled.port) },
    lastAsked: null,
    service: destination?.kind === 'service' ? mesh.service(destination.key) : null,
  };
}

function addressText(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** What is true of one downstream connection as long as it lives: worked out once, used by each of its requests. */
export type ConnectionFacts = {
  readonly client: ClientInfo;
  /** The SPIFFE URI; null without identity. Upstream connections are shared only among equal ones. */
  readonly principal: string | null;
  /** The same as policies name it: without its scheme. */
  readonly policyPrincipal: string | null;
  readonly destination: Destination;
  readonly sourceBytes: Uint8Array;
  readonly destinationBytes: Uint8Array | null;
  /** What logs and metrics say of it. */
  readonly record: ConnectionRecord;
};

/** The facts of an accepted connection to `destination`. */
export function connectionFacts(downstream: Downstream, destination: Destination, mesh: MeshState): ConnectionFacts {
  const { peer, peerAddress, peerPort } = downstream;
  const principal = peer === null ? null : formatIdentity(peer);
  return {
    client: { identity: peer, address: peerAddress, port: peerPort },
    principal,
    policyPrincipal: principal === null ? null : principal.slice('spiffe://'.length),
    destination,
    sourceBytes: ipToBytes16(peerAddress),
    destinationBytes: destination.address === null ? null : ipToBytes16(destination.address),
    record: connectionRecord(downstream, destination, mesh),
  };
}

/** What policies see of a request on this connection, or of the connection itself. */
export function policyFacts(facts: ConnectionFacts, http: HttpFacts | null): PolicyFacts {
  return {
    identity: facts.client.identity,
    principal: facts.policyPrincipal,
    sourceBytes: facts.sourceBytes,
    destinationBytes: facts.destinationBytes,
    destinationPort: facts.destination.port,
    http,
  };
}
