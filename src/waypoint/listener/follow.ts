import type { Touched } from '#model/mesh/mesh-state.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import type { Waypoint } from '#waypoint/waypoint.ts';

/** A waypoint that listens. */
export type Serving = {
  readonly waypoint: Pick<Waypoint, 'configure' | 'meshChanged' | 'drain' | 'close'>;
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
};

/**
 * Starts a waypoint with its first configuration, so that nothing is answered before it is known what applies, and keeps
 * it up to date from then on. A later loss of the configuration makes it refuse (promise 2); it goes on listening.
 */
export function followConfiguration(start: (config: WaypointConfig) => Promise<Serving>): Follower {
  let serving: Promise<Serving> | null = null;
  return {
    meshChanged(touched) {
      void serving?.then(({ waypoint }) => waypoint.meshChanged(touched));
    },
    configured(config) {
      if (config !== null) serving ??= start(config);
      void serving?.then(({ waypoint }) => waypoint.configure(config));
    },
    async stop() {
      const running = await serving;
      if (running === null) return;
      running.stopListening();
      running.waypoint.drain();
      await running.drainTunnels();
      running.close();
    },
  };
}
