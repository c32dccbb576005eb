import type { ConnectionSettings } from '#model/waypoint/destination-settings.ts';
import type { ClientConnection, UpstreamProblem } from '#protocol/http/message.ts';

/** A connection ready for one request, or why there is none. */
export type Acquired =
  | { readonly kind: 'ready'; readonly connection: ClientConnection }
  | { readonly kind: 'failed'; readonly problem: UpstreamProblem };

/** Who asks a pool for a connection: whether it may have one more, whether it may wait, and whether it still does. */
export type Asking = {
  /** How connections are used; null: as everywhere. */
  readonly connection: ConnectionSettings | null;
  /** Whether there may be one more, beside all those to the other endpoints. */
  mayOpen(): boolean;
  /** True: it waits, until `waitOver`, which may come twice. */
  enterWait(): boolean;
  waitOver(): void;
  /** False: its request is over. */
  isWanted(): boolean;
};

/** Nobody counts. */
export const ANYBODY: Asking = {
  connection: null,
  mayOpen: () => true,
  enterWait: () => true,
  waitOver: () => {},
  isWanted: () => true,
};

type Waiter = { readonly asking: Asking; readonly resolve: (acquired: Acquired | null) => void };

/** Requests that wait for a connection of one pool, because no more may be opened; the first that came is the first to get one. */
export class WaitingRoom {
  #waiters: Waiter[] = [];

  /** Resolves with a connection, or with null when one may perhaps be opened now; who waits again keeps its place. */
  wait(asking: Asking, again: boolean): Promise<Acquired | null> {
    return new Promise((resolve) => {
      if (again) this.#waiters.unshift({ asking, resolve });
      else this.#waiters.push({ asking, resolve });
    });
  }

  /** Whose requests are over wait no more. */
  forgetUnwanted(): void {
    const unwanted = this.#waiters.filter(({ asking }) => !asking.isWanted());
    this.#waiters = this.#waiters.filter(({ asking }) => asking.isWanted());
    for (const { asking, resolve } of unwanted) {
      // At once: somebody else wants the place.
      asking.waitOver();
      resolve(null);
    }
  }

  /** Gives the first of them what is there; false: nobody waits. */
  give(acquired: Acquired | null): boolean {
    for (let waiter = this.#waiters.shift(); waiter !== undefined; waiter = this.#waiters.shift()) {
      if (waiter.asking.isWanted()) {
        waiter.resolve(acquired);
        return true;
      }
      waiter.resolve(null);
    }
    return false;
  }

  /** Nobody gets one here any more. */
  close(problem: UpstreamProblem): void {
    while (this.give({ kind: 'failed', problem }));
  }
}
