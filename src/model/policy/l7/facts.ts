import type { IpAddress } from '#model/address/ip.ts';
import type { Identity } from '#model/identity/identity.ts';

/** What a policy can see of a request, or of a connection when `http` is null. */
export type PolicyFacts = {
  /** Verified identity of the client; null in plain text. */
  readonly identity: Identity | null;
  /** The identity as policies write it: the URI without `spiffe://`; null without identity. */
  readonly principal: string | null;
  /** Address of the immediate peer. */
  readonly sourceAddress: IpAddress;
  /** The same, 16 bytes (IPv4 mapped), made once per connection. */
  readonly sourceBytes: Uint8Array;
  /** What the client dialled; null when it dialled a name. */
  readonly destinationBytes: Uint8Array | null;
  /** Service port when a service was dialled, else the workload's port. */
  readonly destinationPort: number;
  readonly http: HttpFacts | null;
};

/** What only an HTTP request shows. */
export type HttpFacts = {
  readonly method: string;
  /** Normalized path without query. */
  readonly path: string;
  readonly authority: string;
  /** Every value of the header, in order; `name` in lower case. */
  headerValues(name: string): readonly string[];
};
