import type { Rostered } from '#model/effects/roster.ts';
import type { ServiceKey } from '#model/mesh/service.ts';
import { compileL7, type L7Policies } from '#model/policy/l7.ts';
import { type CompiledRules, compileRules, DEFAULT_RULES } from '#model/telemetry/compiled-rules.ts';
import {
  DEFAULT_PATH_NORMALIZATION,
  type PathNormalization,
  type WaypointBase,
  type WaypointService,
} from '#model/waypoint/config.ts';
import type { RateLimit } from '#model/waypoint/traffic.ts';
import type { ServiceState } from '#waypoint/state/kept.ts';
import type { Slots, Slotted } from '#waypoint/state/slots.ts';

/** Says that a part of the configuration cannot be used, and why. */
export type Problem = (why: string) => void;

/**
 * What one configuration says of one service bound to this waypoint. Stages compile what they need of it into slots of
 * their own (see `WaypointState.bindings`), once per configuration and never per request.
 */
export class BoundService implements Slotted {
  slots: unknown[] | null = null;
  readonly config: WaypointService;
  /** Those of the Gateway and those of the service: one pool, nothing overrides (config-api 3.5). */
  readonly policies: L7Policies;
  /** With what it was compiled. */
  readonly base: WaypointBase;
  readonly problem: Problem;
  /** What is told of requests and connections to it. */
  readonly telemetry: CompiledRules;
  #state: ServiceState | null = null;

  constructor(config: WaypointService, policies: L7Policies, base: WaypointBase, problem: Problem) {
    this.config = config;
    this.policies = policies;
    this.base = base;
    this.problem = problem;
    this.telemetry = compileRules(config.telemetry, problem);
  }

  /** What outlives this configuration; from when it is in force. */
  get state(): ServiceState {
    if (this.#state === null) throw new Error(`what applies to ${this.config.key} is not in force`);
    return this.#state;
  }

  /** It is in force now. */
  belongsTo(state: ServiceState): void {
    this.#state = state;
  }
}

/** One configuration, compiled. Replaced as a whole; a request uses the one it started with. */
export type Snapshot = {
  readonly services: ReadonlyMap<ServiceKey, BoundService>;
  /** For connections that dialled a workload. */
  readonly workloadPolicies: L7Policies;
  /**
   * The form of a path that everything which looks at a request gets, the upstream too: policies and routes of one
   * configuration are compared with the form that this configuration asks for.
   */
  readonly pathNormalization: PathNormalization;
  /** What is told of connections that dialled a workload. */
  readonly telemetry: CompiledRules;
  /** Counts every request that goes through the waypoint. Null: nothing does. */
  readonly rateLimit: RateLimit | null;
};

/** A connection that outlives a single decision: asked again whenever the snapshot is replaced. */
export type LiveConnection = Rostered & { isAllowed(snapshot: Snapshot): boolean; cut(): void };

/**
 * What is compiled of a configuration, a service at a time: a whole one may take longer than requests should wait. What did not change
 * is not compiled again. Nothing of it is in force before all of it is.
 */
export class Preparation {
  readonly #bindings: Slots<BoundService>;
  #services = new Map<ServiceKey, BoundService>();
  #base: WaypointBase | null = null;
  #workloadPolicies = NO_CONFIGURATION.workloadPolicies;
  #telemetry = DEFAULT_RULES;

  /** `bindings`: what the stages have registered. */
  constructor(bindings: Slots<BoundService>) {
    this.#bindings = bindings;
  }

  /** What all services are compiled with from here on. */
  begin(base: WaypointBase): void {
    this.#base = base;
    this.#workloadPolicies = compileL7(base.policies, base.trustDomain, () => {}, base.authorizers);
    this.#telemetry = compileRules(base.telemetry, () => {});
  }

  /** Compiles what is said of one service; what cannot be used is reported through `problem` and left out or made strict. */
  add(service: WaypointService, problem: Problem): void {
    const base = this.#known();
    this.#services.delete(service.key); // should it throw
    const policies = compileL7([...base.policies, ...service.policies], base.trustDomain, problem, base.authorizers);
    const bound = new BoundService(service, policies, base, problem);
    this.#bindings.fill(bound);
    this.#services.set(service.key, bound);
  }

  /** Exactly these services, each as it was compiled last. Throws when one was not, or not with what applies to all now. */
  finish(keys: readonly ServiceKey[], stateOf: (key: ServiceKey) => ServiceState): Snapshot {
    const base = this.#known();
    const services = new Map<ServiceKey, BoundService>();
    for (const key of keys) {
      const bound = this.#services.get(key);
      if (bound?.base !== base) throw new Error(`what applies to ${key} was not told`);
      services.set(key, bound);
    }
    for (const [key, bound] of services) bound.belongsTo(stateOf(key));
    this.#services = new Map(services); // what is in force stays as it is while the next one is compiled
    const { pathNormalization, rateLimit = null } = base;
    return { services, workloadPolicies: this.#workloadPolicies, pathNormalization, telemetry: this.#telemetry, rateLimit };
  }

  #known(): WaypointBase {
    if (this.#base === null) throw new Error('what applies to all services was not told');
    return this.#base;
  }
}

/** Serves nothing and allows nothing: in force before the first configuration, and after the last. */
export const NO_CONFIGURATION: Snapshot = {
  services: new Map(),
  workloadPolicies: compileL7(
    [{ namespace: '', name: 'no-configuration', action: 'allow', dryRun: false, rules: [] }],
    '',
    () => {},
  ),
  pathNormalization: DEFAULT_PATH_NORMALIZATION,
  telemetry: DEFAULT_RULES,
  rateLimit: null,
};
