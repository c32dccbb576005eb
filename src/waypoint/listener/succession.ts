import type { Clock } from '#model/effects/clock.ts';
import { within } from '#model/effects/within.ts';
import { PORT } from '#model/mesh/ports.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';

/** The listening sockets of a waypoint: for other proxies, and for clients of its node. */
export type WaypointSockets = { peers: number; local: number };

/** What is done at the edge, on sockets of this process. */
export type SuccessionEffects = {
  clock: Clock;
  /** Asks the waypoint before this one, if there is one: `take` gives its socket of a port, once; `taken` says that this is done. */
  ask(): Promise<{ take(port: number): number | null; taken(): void }>;
  /** Lets the next waypoint ask: `give` then names copies of sockets by port, open until `taken`. */
  offer(legacy: { give(): { port: number; fd: number }[]; taken(): void }): Promise<unknown>;
  /** A new socket. Errors: those of binding. */
  bind(port: number): number;
  duplicate(fd: number): number;
  close(fd: number): void;
  /** Says that this process ends; false when that is known already, so that no other one will come, or when nobody would hear it. */
  announce(): boolean;
};

/** How a waypoint goes on with what the one before it listened on, and leaves that to the next one. */
export class Succession {
  readonly #effects: SuccessionEffects;
  readonly #followed = Promise.withResolvers<void>();
  #taken = Promise.resolve();
  #isOffered = false;

  constructor(effects: SuccessionEffects) {
    this.#effects = effects;
  }

  /** Resolves when the next one has come. */
  get followed(): Promise<void> {
    return this.#followed.promise;
  }

  /** Resolves when the next one has taken what it came for. */
  get taken(): Promise<void> {
    return this.#taken;
  }

  /** Those of the one before it, with what waits in them, or new ones. Errors: those of binding. */
  async sockets(): Promise<WaypointSockets> {
    const { ask, bind } = this.#effects;
    const former = await ask();
    try {
      const socketOf = (port: number): number => former.take(port) ?? bind(port);
      return { peers: socketOf(PORT.hbone), local: socketOf(PORT.waypoint) };
    } finally {
      former.taken();
    }
  }

  /** Offers them to the next one; `stopListening` is called when that has come. */
  async offer({ peers, local }: WaypointSockets, stopListening: () => void): Promise<void> {
    const { offer, duplicate, close } = this.#effects;
    const { promise, resolve } = Promise.withResolvers<void>();
    let copies: { port: number; fd: number }[] = [];
    await offer({
      give: () => {
        this.#taken = promise;
        copies = [
          { port: PORT.hbone, fd: duplicate(peers) },
          { port: PORT.waypoint, fd: duplicate(local) },
        ];
        stopListening();
        this.#followed.resolve();
        return copies;
      },
      taken: () => {
        for (const { fd } of copies.splice(0)) close(fd);
        resolve();
      },
    });
    this.#isOffered = true;
  }

  /** Before an end: says so, and serves on until the next one has come, for so long; not at all where none will. */
  async wait(): Promise<void> {
    if (!this.#isOffered || !this.#effects.announce()) return;
    await within(this.#effects.clock, WAYPOINT.followedMs, this.followed);
  }
}
