import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { unreachable } from '#model/error.ts';
import { CERTIFICATE, CONTROL } from '#model/settings/control-planes.ts';
import {
  type Attempts,
  type LiveWaypoint,
  planWaypoints,
  restartDelayMs,
  specOf,
  type WaypointAction,
  type WaypointKeeper,
  type WaypointRunner,
  type WaypointSpec,
  type WaypointState,
  waypointKey,
} from './plan.ts';

/** `mintToken` gives a waypoint what it proves its identity with. */
export type WaypointControllerOptions = {
  runner: WaypointRunner;
  mintToken: (spec: WaypointSpec) => Promise<string>;
  clock: Clock;
  log: Log;
};

/** What is remembered of a desired waypoint while it is desired; not kept over restarts, which adopt what runs. */
type History = Attempts & { aliveSinceMs: number | null; restarts: number; problem: string | null };

/**
 * Keeps one waypoint process per desired Gateway. It compares what is to run with what does, again and again, so it
 * adopts what an earlier control plane left running and brings back what died.
 */
export class WaypointController implements WaypointKeeper {
  readonly #options: WaypointControllerOptions;
  readonly #desired = new Map<string, WaypointSpec>();
  readonly #records = new Map<string, History>();
  #round: Promise<void> | null = null;
  #anotherRound = false;
  #cancelLook: Cancel | null = null;
  #cancelWatch: Cancel | undefined;
  #cancelRenewal: Cancel | undefined;

  constructor(options: WaypointControllerOptions) {
    this.#options = options;
  }

  /** Begins to act. What is desired must be complete by now: anything else that runs is stopped. */
  start(): void {
    this.#cancelLook ??= this.#options.clock.every(CONTROL.lookEveryMs, () => this.#look());
    this.#cancelWatch ??= this.#options.runner.watch?.(() => this.#look());
    this.#cancelRenewal ??= this.#options.clock.every(CERTIFICATE.waypointTokenRenewMs, () => this.#renewAll());
    this.#look();
  }

  /** Takes changed Gateways in; null: the Gateway is gone. */
  change(gateways: ReadonlyMap<string, WaypointSpec | null>): void {
    for (const gateway of gateways.values()) if (gateway !== null) this.#desired.set(waypointKey(gateway), specOf(gateway));
    for (const [key, gateway] of gateways) if (gateway === null) this.#desired.delete(key);
    if (gateways.size > 0) this.#look();
  }

  /** Stops acting. The waypoints run on. */
  async stop(): Promise<void> {
    this.#cancelLook?.();
    this.#cancelLook = null;
    this.#cancelWatch?.();
    this.#cancelWatch = undefined;
    this.#cancelRenewal?.();
    this.#cancelRenewal = undefined;
    this.#anotherRound = false;
    await this.#round;
  }

  /** Stops acting and ends every waypoint there is. */
  async stopAll(): Promise<void> {
    await this.stop();
    const running = await this.#options.runner.list();
    await Promise.all(running.map((waypoint) => this.#perform({ kind: 'stop', waypoint })));
  }

  /** Every desired waypoint, in the order in which they were first desired. */
  states(): WaypointState[] {
    return [...this.#desired].map(([key, spec]) => {
      const record = this.#records.get(key);
      const down = record?.problem === null || record === undefined ? 'starting' : 'stopped';
      const state = record !== undefined && record.aliveSinceMs !== null ? 'running' : down;
      return { spec, state, restarts: record?.restarts ?? 0, problem: record?.problem ?? null };
    });
  }

  /** Rounds never overlap; what happens during one is looked at in the next. */
  #look(): void {
    if (this.#cancelLook === null) return;
    if (this.#round !== null) {
      this.#anotherRound = true;
      return;
    }
    this.#round = this.#reconcile()
      .catch((error: unknown) => this.#options.log.error({ err: error }, 'waypoints could not be looked after'))
      .finally(() => {
        this.#round = null;
        if (this.#anotherRound) {
          this.#anotherRound = false;
          this.#look();
        }
      });
  }

  async #reconcile(): Promise<void> {
    const { runner, clock } = this.#options;
    // What really runs decides, not what was started: processes outlive control planes and die without telling.
    const running = new Map((await runner.list()).map((waypoint) => [waypointKey(waypoint), waypoint]));
    this.#observe(running);
    const actions = planWaypoints(this.#desired, running, this.#records, clock.monotonicMs());
    const outcomes = await Promise.all(actions.map((action) => this.#perform(action)));
    // A stop may be half of a replacement: its start is due at once.
    if (outcomes.includes('stopped')) this.#anotherRound = true;
  }

  /** Notes which waypoints lived on and which died since the last look. */
  #observe(running: ReadonlyMap<string, LiveWaypoint>): void {
    const { clock, log } = this.#options;
    for (const key of this.#records.keys()) if (!this.#desired.has(key)) this.#records.delete(key);
    for (const key of this.#desired.keys()) {
      const record = this.#recordOf(key);
      if (running.has(key)) {
        if (record.aliveSinceMs === null) {
          record.aliveSinceMs = clock.monotonicMs();
          log.info({ waypoint: key }, 'adopted a running waypoint');
          this.#renew(key); // nobody did while there was no control plane
        }
        record.problem = null;
        if (clock.monotonicMs() - record.aliveSinceMs >= CONTROL.stableMs) record.failures = 0;
      } else if (record.aliveSinceMs !== null) {
        record.aliveSinceMs = null;
        record.restarts += 1;
        this.#failed(key, 'its process ended');
      }
    }
  }

  #renewAll(): void {
    for (const [key, { aliveSinceMs }] of this.#records) if (aliveSinceMs !== null) this.#renew(key);
  }

  #renew(key: string): void {
    const { runner, mintToken, log } = this.#options;
    const spec = this.#desired.get(key);
    if (spec === undefined) return;
    const renewed = async (): Promise<void> => runner.renew?.(spec, await mintToken(spec));
    // Tried again with the next round, long before the one it has ends.
    renewed().catch((error: unknown) => log.error({ waypoint: key, err: error }, 'the token of a waypoint is not renewed'));
  }

  /** A failure is noted and never thrown: one waypoint must not keep the others from being looked after. */
  async #perform(action: WaypointAction): Promise<'started' | 'stopped' | 'failed'> {
    switch (action.kind) {
      case 'start':
        return this.#start(action.spec);
      case 'stop':
        return this.#stop(action.waypoint);
      default:
        return unreachable(action);
    }
  }

  async #start(spec: WaypointSpec): Promise<'started' | 'failed'> {
    const { runner, mintToken, clock, log } = this.#options;
    const key = waypointKey(spec);
    try {
      await runner.start(spec, await mintToken(spec));
      const record = this.#recordOf(key);
      record.aliveSinceMs = clock.monotonicMs();
      record.problem = null;
      log.info({ waypoint: key, service_account: spec.serviceAccount }, 'waypoint started');
      return 'started';
    } catch (error) {
      this.#failed(key, error instanceof Error ? error.message : String(error));
      return 'failed';
    }
  }

  async #stop(waypoint: { namespace: string; name: string }): Promise<'stopped' | 'failed'> {
    const { runner, log } = this.#options;
    const key = waypointKey(waypoint);
    try {
      await runner.stop(waypoint);
      // Ended on purpose: its absence at the next look is no death.
      const record = this.#records.get(key);
      if (record !== undefined) record.aliveSinceMs = null;
      log.info({ waypoint: key }, 'waypoint stopped');
      return 'stopped';
    } catch (error) {
      log.error({ waypoint: key, err: error }, 'waypoint could not be stopped');
      return 'failed';
    }
  }

  #failed(key: string, problem: string): void {
    const { clock, log } = this.#options;
    const record = this.#recordOf(key);
    record.failures += 1;
    record.problem = problem;
    const delayMs = restartDelayMs(record.failures);
    record.notBeforeMs = clock.monotonicMs() + delayMs;
    clock.after(delayMs, () => this.#look());
    log.warn({ waypoint: key, problem, retry_in_ms: delayMs }, 'waypoint does not run');
  }

  /** The record of a waypoint, made when it is first needed. */
  #recordOf(key: string): History {
    const existing = this.#records.get(key);
    if (existing !== undefined) return existing;
    const created: History = { failures: 0, notBeforeMs: 0, aliveSinceMs: null, restarts: 0, problem: null };
    this.#records.set(key, created);
    return created;
  }
}
