import type { IpAddress } from '#model/address/ip.ts';
import type { ByteStream, Dialled } from '#model/effects/byte-stream.ts';
import type { Clock, Random } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { Doorkeeper } from '#model/guard/doorkeeper.ts';
import type { Credentials, Identity } from '#model/identity/identity.ts';
import type { KernelMaps } from '#model/kernel/maps.ts';
import type { ProcessShares } from '#model/share/process-shares.ts';
import type { CloseCause } from '#model/telemetry/close-cause.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import type { InboundTunnel, TunnelPool } from '#protocol/hbone/transport.ts';
import type { Revocations } from '#protocol/identity/revocation.ts';
import type { Listening } from './agent-effects.ts';

/** A workload's network namespace as far as its connections are carried: every socket made here is marked as the agent's. */
export type DataNamespace = {
  /** Accepts on a listening socket; streams come unread. Owns the descriptor. */
  accept(fd: number, onConnection: (stream: ByteStream) => void): Listening;
  /** Connects from the workload's own address. Rejects when no socket can be had. */
  dial(ip: IpAddress, port: number, deadlineMs: number): Promise<Dialled>;
  /** The same to another proxy: the connection ends when its node is gone. */
  dialPeer(ip: IpAddress, port: number, deadlineMs: number): Promise<Dialled>;
  /** Connects to an app of the workload itself, which then sees `client` as its peer (B50); most are connected at once. */
  dialApp(ip: IpAddress, port: number, client: { ip: IpAddress; port: number }, deadlineMs: number): Dialled | Promise<Dialled>;
  close(): void;
};

/** Serves accepted streams until it is closed. */
export type HboneServer = { handle(stream: ByteStream): void; drain(deadlineMs: number): Promise<void> | void; close(): void };

/** What one that carries does to the world; nothing of it waits for another thread. */
export type DataEffects = {
  /** Shared with the kernel, and so with all others. */
  maps: Pick<KernelMaps, 'captured' | 'attested' | 'addresses'>;
  /** Owns the descriptor. */
  openNamespace(netnsFd: number, netnsCookie: bigint): DataNamespace;
  /** Valid credentials of an identity, fetched when first needed. */
  credentials(identity: Identity): Promise<Credentials>;
  createPool(dial: (ip: IpAddress, port: number) => Promise<Dialled>): TunnelPool;
  createHboneServer(options: {
    credentials: () => Promise<Credentials>;
    trustDomain: string;
    /** What it rejects with is told, and the tunnel refused. */
    onTunnel: (tunnel: InboundTunnel) => void | Promise<void>;
    /** A place for a connection of a proven peer; null: there is none, and that is told. Without it there always is. */
    place?(): (() => void) | null;
    /** A connection that never came to carry tunnels; it is in the log already. */
    onRefused: (cause: CloseCause) => void;
    door: Doorkeeper;
  }): HboneServer;
  /** Which certificates of peers are revoked. */
  revocations?: Pick<Revocations, 'update'>;
  /** From a source that nobody can foresee. */
  randomBytes(count: number): Uint8Array;
  meters: Meters;
  /** Those of the process, of which this may be one of several that carry. */
  shares: ProcessShares;
  /** How many carry beside each other, this one included: what strangers may cost is of all of them together. */
  threads: number;
  clock: Clock;
  random: Random;
  log: Log;
  /** Hears of mistakes that one connection brought to light. */
  mishaps: Mishaps;
};
