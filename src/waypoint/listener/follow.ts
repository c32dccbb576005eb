import type { Clock } from '#model/effects/clock.ts';
import { guard, type Mishaps } from '#model/effects/mishaps.ts';
import type { Touched } from '#model/mesh/mesh-state.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import type { Waypoint } from '#waypoint/waypoint.ts';
import { LeavingServices } from './leaving-services.ts';

/** A waypoint that listens. */
export type Serving = {
  readonly waypoint: Pick<Waypoint, 'configure' | 'meshChanged' | 'drain' | 'drained' | 'close'>;
  /** Takes no more connections. */
  stopListening(): void;
  /** Lets open tunnels finish. */
  drainTunnels(): Promise<void>;
  close(): void;
};

/** What discovery tells. */
export type Follower = {
  meshChanged(touched: Touched): void;
  /** Null: the waypoint is no longer configured. */
  configured(config: WaypointConfig | null): void;
  /** Ends what is served, in order. */
  stop(): Promise<void>;
  /** Rejects when serving could not begin (a port is taken): the process has nothing to go on for. Resolves never. */
  readonly failed: Promise<never>;
};

/**
 * Starts a waypoint with its first configuration, so that nothing is answered before it is known what applies, and keeps
 * it up to date from then on. A later loss of the configuration makes it refuse (promise 2); it goes on listening.
 */
export function followConfiguration(
  start: (config: WaypointConfig) => Promise<Serving>,
  mishaps: Mishaps,
  clock: Clock,
): Follower {
  let serving: Promise<Serving> | null = null;
  let stopping = false;
  const { promise: failed, reject } = Promise.withResolvers<never>();
  failed.catch(() => {}); // told to whoever waits for it; nobody has to
  // What a half-applied change lets through is not known: nothing is, until the next configuration (promise 2).
  const change = (act: (waypoint: Serving['waypoint']) => void): void => {
    const toOne = ({ waypoint }: Serving): void =>
      guard(
        mishaps,
        'discovery',
        () => act(waypoint),
        () => waypoint.configure(null),
      );
    serving?.then(toOne).catch((error: unknown) => mishaps.report('discovery', error));
  };
  const apply = (): void => {
    const { inForce } = services;
    if (!stopping) change((waypoint) => waypoint.configure(inForce));
  };
  const services = new LeavingServices(clock, apply);
  return {
    failed,
    meshChanged(touched) {
      change((waypoint) => waypoint.meshChanged(touched));
    },
    configured(config) {
      if (config !== null && serving === null) {
        serving = start(config);
        serving.catch(reject);
      }
      services.tell(config);
      apply();
    },
    async stop() {
      stopping = true;
      const running = await serving?.catch(() => null); // told by `failed`
      if (running === null || running === undefined) return;
      running.stopListening();
      running.waypoint.drain();
      // Clients of this node come without a tunnel: their requests are waited for as well.
      await Promise.all([running.drainTunnels(), running.waypoint.drained(WAYPOINT.drainMs)]);
      running.close();
    },
  };
}
