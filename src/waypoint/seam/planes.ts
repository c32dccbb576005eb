import type { Clock } from '#model/effects/clock.ts';
import { within } from '#model/effects/within.ts';
import type { Credentials, Identity } from '#model/identity/identity.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { Span } from '#model/telemetry/trace.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import type { KeySource } from '#model/waypoint/jwt.ts';
import { DataLinks } from '#protocol/seam/data-links.ts';
import type { ToldKeys } from '#waypoint/keys/fetched-keys.ts';
import { meshMessages, ToldConfiguration } from '#waypoint/seam/parts.ts';
import { sumOf, type WaypointCounts } from '#waypoint/self/counters.ts';
import type { Plane, ToControl, ToData } from './messages.ts';

/** What those that serve are told from. */
export type PlanesOptions = {
  /** Makes those that serve, at least one; `receive` hears what they say. */
  start(receive: (from: Plane, message: ToControl) => void): readonly Plane[];
  /** Valid credentials of an identity, fetched when first needed. */
  credentials(identity: Identity): Promise<Credentials>;
  /** Takes the spans of requests that were traced; `dropped` more could not be kept. */
  spans(spans: readonly Span[], dropped: number): void;
  /** One of them needs newer keys from there. */
  keysWanted(source: KeySource): void;
  clock: Clock;
};

/** Those that serve the connections of a waypoint, from the side of whoever knows: all are told the same. */
export class Planes {
  readonly #planes: readonly Plane[];
  readonly #links: DataLinks;
  readonly #clock: Clock;
  readonly #spans: PlanesOptions['spans'];
  readonly #keysWanted: (source: KeySource) => void;
  /** Those that have not drained yet. */
  readonly #draining = new Set<Plane>();
  readonly #drained = Promise.withResolvers<void>();
  readonly #configuration = new ToldConfiguration();
  #hasFailed = false;

  constructor({ start, credentials, keysWanted, spans, clock }: PlanesOptions) {
    this.#clock = clock;
    this.#spans = spans;
    this.#keysWanted = keysWanted;
    this.#planes = start((from, message) => this.#receive(from, message));
    this.#links = new DataLinks(this.#planes, credentials);
  }

  /** What they have counted together. */
  get counts(): WaypointCounts {
    return sumOf(this.#planes.map(({ counts }) => counts));
  }

  /** A change of the mesh; resolves when it is in force in all of them. */
  mesh(delta: MeshDelta): Promise<void> {
    for (const message of meshMessages(delta)) this.#tell(message);
    return this.settled();
  }

  /** What applies from now on; null: nothing is served. */
  configure(config: WaypointConfig | null): void {
    for (const message of this.#configuration.tell(config)) this.#tell(message);
  }

  /** They accept from now on; `socketsOf` gives each descriptors of its own. */
  listen(socketsOf: () => { peersFd: number; localFd: number }): void {
    for (const plane of this.#planes) plane.send({ kind: 'listen', ...socketsOf() });
  }

  /** They accept nothing more. */
  retire(): void {
    this.#tell({ kind: 'retire' });
  }

  /** Resolves when nothing is under way in any of them, or was given up after so long. */
  async drained(withinMs: number): Promise<void> {
    for (const plane of this.#planes) this.#draining.add(plane);
    this.#tell({ kind: 'drain', withinMs });
    await within(this.#clock, withinMs + WAYPOINT.threadEndMs, this.#drained.promise);
  }

  /** Cuts what is left; resolves when all of them have ended, whoever does not in time. */
  async close(): Promise<void> {
    const ended = this.#planes.map((plane) => plane.ended());
    this.#tell({ kind: 'end' });
    await within(this.#clock, WAYPOINT.threadEndMs, Promise.all(ended)); // one that hangs must not keep the process from its end
  }

  /** A certificate came in the place of another. */
  renewed(credentials: Credentials): void {
    this.#links.renewed(credentials);
  }

  /** What was fetched of keys. */
  keys(keys: ToldKeys): void {
    this.#tell({ kind: 'keys', ...keys });
  }

  /** Resolves when all of them have told what they have counted until now. */
  told(): Promise<void> {
    return this.#links.settled();
  }

  /** Resolves when all of them have done everything that they were told until now; rejects when one could not, and told why. */
  async settled(): Promise<void> {
    await this.#links.settled();
    if (!this.#hasFailed) return;
    this.#hasFailed = false;
    throw new Error('a part of the waypoint could not put a change in force');
  }

  #tell(message: ToData): void {
    for (const plane of this.#planes) plane.send(message);
  }

  #receive(from: Plane, message: ToControl): void {
    switch (message.kind) {
      case 'failed':
        this.#hasFailed = true;
        this.#configuration.forget();
        return;
      case 'drained':
        this.#draining.delete(from);
        if (this.#draining.size === 0) this.#drained.resolve();
        return;
      case 'spans':
        this.#spans(message.spans, message.dropped);
        return;
      case 'keys':
        this.#keysWanted(message.source);
        return;
      case 'credentials':
      case 'marked':
        this.#links.receive(from, message);
        return;
      default:
        message satisfies never;
    }
  }
}
