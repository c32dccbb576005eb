import type { Clock } from '#model/effects/clock.ts';
import type { ServiceKey } from '#model/mesh/service.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { WaypointConfig, WaypointService } from '#model/waypoint/config.ts';

/**
 * Services that have left a configuration, which are served for a while all the same, as they were last: nodes that have not heard yet
 * send their connections here. `changed` is called when the time of one is over.
 */
export class LeavingServices {
  readonly #clock: Clock;
  readonly #changed: () => void;
  readonly #left = new Map<ServiceKey, WaypointService>();
  #told: WaypointConfig | null = null;

  constructor(clock: Clock, changed: () => void) {
    this.#clock = clock;
    this.#changed = changed;
  }

  /** What was told last, with those that have left before their time is over; null: nothing is served. */
  get inForce(): WaypointConfig | null {
    if (this.#told === null || this.#left.size === 0) return this.#told;
    return { ...this.#told, services: [...this.#told.services, ...this.#left.values()] };
  }

  /** Takes what is told. */
  tell(config: WaypointConfig | null): void {
    const former = this.#told?.services ?? [];
    this.#told = config;
    if (config === null) this.#left.clear();
    if (config === null) return;
    const bound = new Set(config.services.map(({ key }) => key));
    for (const key of bound) this.#left.delete(key);
    for (const service of former) if (!bound.has(service.key)) this.#keep(service);
  }

  #keep(service: WaypointService): void {
    this.#left.set(service.key, { ...service, leaving: true });
    const kept = this.#left.get(service.key);
    this.#clock.after(WAYPOINT.leftMs, () => {
      if (this.#left.get(service.key) !== kept) return;
      this.#left.delete(service.key);
      this.#changed();
    });
  }
}
