import type { IpAddress } from '#model/address/ip.ts';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import type { Identity } from '#model/identity/identity.ts';
import type { TunnelRequest, TunnelTarget } from '#model/path/reach.ts';
import type { ResponseFlag } from '#model/telemetry/close-cause.ts';

/** What came of opening a tunnel. */
export type TunnelOutcome =
  | { kind: 'open'; stream: ByteStream; peer: Identity; baggage: string }
  /** The peer answered the CONNECT with another status than 200. */
  | { kind: 'refused'; status: number }
  | { kind: 'failed'; flag: ResponseFlag; error: Error };

/** Opens tunnels, sharing HTTP/2 connections per target. */
export type TunnelPool = {
  open(target: TunnelTarget, request: TunnelRequest): Promise<TunnelOutcome>;
  /** Number of open HTTP/2 connections. */
  size(): number;
  /** Stops new tunnels; running streams are cut when `immediately`. */
  close(immediately: boolean): void;
};

/** One CONNECT that a peer sent us, before it is answered. */
export type InboundTunnel = {
  authority: string;
  peer: Identity;
  remoteAddress: IpAddress;
  remotePort: number;
  /** Address of the accepted socket: the workload's own address. */
  localAddress: IpAddress;
  baggage: string;
  forwarded: string;
  traceparent: string;
  /** Answers 200 and hands over the byte stream. */
  accept(responseBaggage: string): ByteStream;
  /** Answers `status` with END_STREAM and no body. */
  refuse(status: number): void;
};
