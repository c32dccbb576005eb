import type { DeltaDiscoveryRequest } from '#proto/discovery_pb.js';
import type { RpcError } from '#protocol/xds/rpc-error.ts';

/** The sending half of one client's delta stream, as a transport offers it. */
export type DiscoveryStream = {
  /** Address of the client, for logs. */
  peer: string;
  /** Sends one encoded DeltaDiscoveryResponse; false when the client is behind: wait for `drained`. */
  send(message: Buffer): boolean;
  /** Ends the stream with a status. */
  end(error: RpcError): void;
};

/** What a transport tells of one client's stream. */
export type DiscoveryListener = {
  receive(request: DeltaDiscoveryRequest): void;
  /** The client took what was sent. */
  drained(): void;
  /** The stream is over, whoever ended it. Called once. */
  closed(): void;
};
