import type { Clock } from '#model/effects/clock.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import { LeavingServices } from './leaving-services.ts';

/** Those that serve, and where they listen. */
export type Serving = {
  configure(config: WaypointConfig | null): void;
  /** Resolves when the mesh is known, so that there is something to serve. */
  readonly known: Promise<unknown>;
  /** Listens; once, with a configuration in force. */
  begin(): Promise<void>;
  /** Resolves when all that was told is in force. */
  settled(): Promise<void>;
  /** Takes no more connections. */
  stopListening(): void;
  /** Lets what is open finish. */
  drained(): Promise<void>;
  close(): Promise<void>;
};

/** What discovery tells. */
export type Follower = {
  /** Null: the waypoint is no longer configured. Resolves when that is in force. */
  configured(config: WaypointConfig | null): Promise<void>;
  /** Ends what is served, in order. */
  stop(): Promise<void>;
  /** Rejects when serving could not begin (a port is taken): the process has nothing to go on for. Resolves never. */
  readonly failed: Promise<never>;
};

/**
 * Begins to serve with the first configuration, so that nothing is answered before it is known what applies, and keeps it up to date
 * from then on. A later loss of the configuration makes it refuse (promise 2); it goes on listening.
 */
export function followConfiguration(serving: Serving, clock: Clock): Follower {
  let begun: Promise<boolean> | null = null;
  let isStopping = false;
  let isClosed = false;
  const stopped = Promise.withResolvers<void>();
  const { promise: failed, reject } = Promise.withResolvers<never>();
  failed.catch(() => {}); // told to whoever waits for it; nobody has to
  /** Whether it listens now. */
  const begin = async (): Promise<boolean> => {
    await Promise.race([serving.known, stopped.promise]);
    await serving.settled().catch(() => {}); // told to whoever told it; nothing is served then
    if (isStopping) return false;
    await serving.begin();
    return true;
  };
  const apply = (): void => {
    // What drains is judged by what applies now. That there is nothing for this waypoint any more ends it, and not what it carries.
    if (isClosed || (isStopping && services.inForce === null)) return;
    serving.configure(services.inForce);
  };
  const services = new LeavingServices(clock, apply);
  return {
    failed,
    async configured(config) {
      services.tell(config);
      apply();
      if (config !== null && begun === null) {
        begun = begin();
        begun.catch(reject);
      }
      await serving.settled();
    },
    async stop() {
      isStopping = true;
      stopped.resolve();
      if (await begun?.catch(() => false)) {
        serving.stopListening();
        await serving.drained();
      }
      isClosed = true;
      await serving.close();
    },
  };
}
