import type { IpAddress } from '#model/address/ip.ts';
import type { JwtKeys } from '#model/authentication/judge.ts';
import type { ByteStream, Dialled } from '#model/effects/byte-stream.ts';
import type { Clock, Random } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { Identity } from '#model/identity/identity.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { LineFormat } from '#model/telemetry/line-format.ts';
import type { Span } from '#model/telemetry/trace.ts';
import type { OriginatedTls } from '#model/waypoint/upstream-tls.ts';
import type { TunnelPool } from '#protocol/hbone/transport.ts';
import type { Http2Engine } from '#protocol/http/message.ts';
import type { relayed } from '#protocol/stream/relay.ts';
import type { FetchedKeys } from '#waypoint/keys/fetched-keys.ts';

/** On whose behalf an upstream connection is opened. HTTP connections may later serve other connections of the same identity. */
export type ClientInfo = { identity: Identity | null; address: IpAddress; port: number };

/** How requests are traced: of those whose callers have not decided so many percent, and where spans go. */
export type Tracing = { readonly percent: number; record(span: Span): void };

/** Lines of the access log in a format of the operator's. `about`: by which lines of failures are found to be alike. */
export type AccessText = LineFormat & { write(line: string, about: object): void };

/** What a waypoint needs from the outside. */
export type WaypointEffects = {
  clock: Clock;
  random: Random;
  log: Log;
  /** Hears of mistakes that one connection or request brought to light. */
  mishaps: Mishaps;
  /** A version 4 UUID. */
  newUuid(): string;
  /** The keys of a JSON Web Key Set; null when it is none. */
  jwtKeys(jwks: string): JwtKeys | null;
  /** Those that are fetched. */
  fetchedKeys: FetchedKeys;
  /** A variable of the environment that may be shown; null: there is none of that name, or it is the operator's alone. */
  shownVariable(name: string): string | null;
  /** As many random bytes. */
  randomBytes(count: number): Uint8Array;
  /** Opens a plain connection to an endpoint on this node, or to one without HBONE. */
  dialDirect(workload: Workload, ip: IpAddress, port: number, client: ClientInfo): Promise<Dialled>;
  /** TLS over what `dialDirect` has just opened, with a server that proves who it is. Never rejects. */
  originate(
    stream: ByteStream,
    tls: OriginatedTls,
    /** Offered by ALPN; null: none is. */
    protocol: 'h2' | 'http/1.1' | null,
    deadlineMs: number,
  ): Promise<{ kind: 'open'; stream: ByteStream } | { kind: 'refused' | 'deadline'; why: string }>;
  /** Moves the bytes of what is not HTTP, or no longer. */
  relay: typeof relayed;
  /** Tunnels to endpoints on other nodes. */
  tunnels: TunnelPool;
  http2: Http2Engine;
  /** Null: no collector is named, and requests are not traced. */
  tracing: Tracing | null;
  /** How the log tells of requests and connections that end; null: as fields. */
  accessText: AccessText | null;
};
