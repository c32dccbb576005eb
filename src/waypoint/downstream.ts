import type { Duplex } from 'node:stream';
import type { IpAddress } from '#model/address/ip.ts';
import type { Identity } from '#model/identity/identity.ts';
import type { Dialled } from '#waypoint/destination.ts';

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
