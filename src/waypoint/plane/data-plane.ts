import type { IpAddress } from '#model/address/ip.ts';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import { WHOLE_LINES } from '#model/effects/log.ts';
import { guard, guardWork } from '#model/effects/mishaps.ts';
import { countedDoor } from '#model/guard/door.ts';
import type { Doorkeeper } from '#model/guard/doorkeeper.ts';
import type { Credentials, Identity } from '#model/identity/identity.ts';
import { MeshState } from '#model/mesh/mesh-state.ts';
import { DEFAULT_ATTEMPTS } from '#model/resilience/attempts.ts';
import type { CloseCause } from '#model/telemetry/close-cause.ts';
import { lineFormat } from '#model/telemetry/line-format.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import type { WaypointBase } from '#model/waypoint/config.ts';
import type { InboundTunnel, TunnelPool } from '#protocol/hbone/transport.ts';
import type { Link } from '#protocol/seam/common-messages.ts';
import { FetchedKeys } from '#waypoint/keys/fetched-keys.ts';
import { type Attest, acceptLocal, acceptTunnel } from '#waypoint/listener/accept.ts';
import type { Plane, ToControl, ToData } from '#waypoint/seam/messages.ts';
import { NO_COUNTS, type WaypointCounts } from '#waypoint/self/counters.ts';
import type { WaypointEffects } from '#waypoint/self/effects.ts';
import { SpanBatches } from '#waypoint/self/span-batches.ts';
import { createWaypoint, type Waypoint } from '#waypoint/waypoint.ts';

/** Serves accepted streams until it is closed. */
export type TunnelServer = { handle(stream: ByteStream): void; drain(deadlineMs: number): Promise<void>; close(): void };

/** What one that serves does to the world; nothing of it waits for another thread. */
export type PlaneEffects = Omit<WaypointEffects, 'tunnels' | 'tracing' | 'accessText' | 'fetchedKeys'> & {
  /** Accepts on a listening socket; streams come unread. Owns the descriptor. */
  listen(fd: number, accept: (stream: ByteStream) => void): { close(): void };
  /** Valid credentials of an identity, fetched when first needed. */
  credentials(identity: Identity): Promise<Credentials>;
  createPool(): TunnelPool;
  createServer(options: {
    credentials: () => Promise<Credentials>;
    trustDomain: string;
    onTunnel: (tunnel: InboundTunnel) => Promise<void>;
    /** A connection that never came to carry tunnels; it is in the log already. */
    onRefused: (cause: CloseCause) => void;
    door: Doorkeeper;
    threads: number;
  }): TunnelServer;
  /** Who opened a connection of this node. */
  attest: Attest;
  meters: Meters;
};

/** Whose waypoint one serves, and which of how many it is. */
export type PlaneOptions = {
  readonly namespace: string;
  readonly gateway: string;
  readonly serviceAccount: string;
  readonly node: string;
  /** How many serve beside each other, this one included: what strangers may cost, and bodies that are kept, are of all together. */
  readonly threads: number;
  /** Whether this is the one of them that tells what of a configuration cannot be used. */
  readonly tellsProblems: boolean;
  /** Of the requests whose callers have not decided, how many are traced, in percent; null: none is, and none is told of. */
  readonly tracedPercent: number | null;
  /** How the log tells of requests, in Envoy's words; null: as fields. */
  readonly accessLogFormat: string | null;
};

/** What there is from the first configuration on: of that only what never changes is taken here, the trust domain. */
type Serving = {
  readonly waypoint: Waypoint;
  readonly server: TunnelServer;
  readonly tunnels: TunnelPool;
};

/** Serves the connections of a waypoint, or a part of them. What it has to know it is told, and keeps. */
export class DataPlane {
  readonly #options: PlaneOptions;
  readonly #effects: PlaneEffects;
  readonly #control: Link<ToControl>;
  readonly #mesh = new MeshState();
  readonly #keys: FetchedKeys;
  #serving: Serving | null = null;
  #listening: { close(): void }[] = [];

  constructor(options: PlaneOptions, effects: PlaneEffects, control: Link<ToControl>) {
    this.#options = options;
    this.#effects = effects;
    this.#control = control;
    this.#keys = new FetchedKeys(effects.jwtKeys, (source) => control.send({ kind: 'keys', source }));
  }

  get counts(): WaypointCounts {
    return this.#serving?.waypoint.counts ?? NO_COUNTS;
  }

  /** Does what it is told, before it returns. */
  receive(message: ToData): void {
    switch (message.kind) {
      case 'mesh':
        this.#change((waypoint) => {
          const touched = this.#mesh.apply(message.delta);
          waypoint?.meshChanged(touched);
        });
        return;
      case 'base':
        this.#serving ??= this.#begin(message.base);
        this.#change((waypoint) => waypoint?.prepare(message.base));
        return;
      case 'service':
        this.#change((waypoint) => waypoint?.prepareService(message.service));
        return;
      case 'configure':
        this.#change((waypoint) => waypoint?.putInForce(message.services));
        return;
      case 'keys':
        this.#keys.take(message);
        return;
      case 'listen':
        this.#listen(message.peersFd, message.localFd);
        return;
      case 'retire':
        this.#retire();
        return;
      case 'drain':
        guardWork(this.#effects.mishaps, 'tunnel', this.#drain(message.withinMs), () => this.#control.send({ kind: 'drained' }));
        return;
      case 'end':
        this.#end();
        return;
      case 'credentials':
        return; // those who asked for them hear of it: serveThere
      case 'mark':
        this.#control.send({ kind: 'marked', mark: message.mark });
        return;
      default:
        message satisfies never;
    }
  }

  /** What a half-applied change lets through is not known: nothing is, until the next configuration (promise 2). */
  #change(act: (waypoint: Waypoint | undefined) => void): void {
    const waypoint = this.#serving?.waypoint;
    guard(
      this.#effects.mishaps,
      'discovery',
      () => act(waypoint),
      () => {
        waypoint?.putInForce(null);
        this.#control.send({ kind: 'failed' });
      },
    );
  }

  #begin({ trustDomain }: WaypointBase): Serving {
    const { namespace, gateway, serviceAccount, node, threads, tellsProblems } = this.#options;
    const { createPool, createServer, meters, clock, log, ...effects } = this.#effects;
    const identity = { trustDomain, namespace, serviceAccount };
    const credentials = () => effects.credentials(identity);
    credentials().catch(() => {}); // ahead of the first tunnel; whoever needs them then asks again, and hears why there are none
    const tunnels = createPool(); // to other nodes; kept, and shared by requests
    const waypoint = createWaypoint({
      self: { namespace, gateway, node, identity },
      mesh: this.#mesh,
      effects: {
        ...effects,
        clock,
        log,
        tunnels,
        fetchedKeys: this.#keys,
        tracing: this.#tracing(),
        accessText: this.#accessText(),
      },
      attempts: { ...DEFAULT_ATTEMPTS, keptBodiesBytesMax: Math.floor(DEFAULT_ATTEMPTS.keptBodiesBytesMax / threads) },
      meters,
      tellsProblems,
      parts: threads,
    });
    const isKnown = (ip: IpAddress): boolean => this.#mesh.workloadByIp(ip) !== null;
    const server = createServer({
      credentials,
      trustDomain,
      onTunnel: (tunnel) => acceptTunnel(waypoint, tunnel, log),
      onRefused: (cause) => meters.counter('weft_refusals_total', { reporter: 'waypoint', cause }).add(),
      door: countedDoor({ name: 'tunnel', meters, clock, isKnown, keepers: threads }),
      threads,
    });
    return { waypoint, server, tunnels };
  }

  #tracing(): WaypointEffects['tracing'] {
    const percent = this.#options.tracedPercent;
    if (percent === null) return null;
    const batches = new SpanBatches(this.#effects.clock, (spans, dropped) =>
      this.#control.send({ kind: 'spans', spans, dropped }),
    );
    return { percent, record: (span) => batches.add(span) };
  }

  #accessText(): WaypointEffects['accessText'] {
    const { accessLogFormat } = this.#options;
    if (accessLogFormat === null) return null;
    const lines = this.#effects.log.child(WHOLE_LINES);
    return { ...lineFormat(accessLogFormat), write: (line, about) => lines.info({ ...about, line }, 'connection complete') };
  }

  #listen(peersFd: number, localFd: number): void {
    const { listen, attest, log } = this.#effects;
    const serving = this.#serving;
    if (serving === null) throw new Error('a waypoint listens when it is known what applies');
    const { waypoint, server } = serving;
    this.#listening = [
      listen(peersFd, (stream) => server.handle(stream)),
      listen(localFd, (stream) => acceptLocal(waypoint, attest, stream, log)),
    ];
  }

  #retire(): void {
    for (const listening of this.#listening.splice(0)) listening.close();
  }

  async #drain(withinMs: number): Promise<void> {
    this.#retire();
    const serving = this.#serving;
    serving?.waypoint.drain();
    // Clients of this node come without a tunnel: their requests are waited for as well.
    await Promise.all([serving?.server.drain(withinMs), serving?.waypoint.drained(withinMs)]);
    this.#control.send({ kind: 'drained' });
  }

  #end(): void {
    this.#retire();
    this.#serving?.waypoint.close();
    this.#serving?.server.close();
    this.#serving?.tunnels.close(true);
  }
}

/** One that serves in the thread of whoever knows: what is sent is done when `send` returns. */
export function serveHere(
  options: PlaneOptions,
  effects: PlaneEffects,
  receive: (from: Plane, message: ToControl) => void,
): Plane {
  const here: Plane = {
    send: (message) => plane.receive(message),
    ended: async () => {},
    get counts() {
      return plane.counts;
    },
  };
  const plane = new DataPlane(options, effects, { send: (message) => receive(here, message) });
  return here;
}
