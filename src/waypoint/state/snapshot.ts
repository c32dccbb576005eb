import type { Rostered } from '#model/effects/roster.ts';
import type { ServiceKey } from '#model/mesh/service.ts';
import { compileL7, type L7Policies } from '#model/policy/l7.ts';
import {
  DEFAULT_PATH_NORMALIZATION,
  type PathNormalization,
  type WaypointConfig,
  type WaypointService,
} from '#model/waypoint/config.ts';
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
  /** What outlives this configuration. */
  readonly state: ServiceState;
  readonly problem: Problem;

  constructor(config: WaypointService, policies: L7Policies, state: ServiceState, problem: Problem) {
    this.config = config;
    this.policies = policies;
    this.state = state;
    this.problem = problem;
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
};

/** A connection that outlives a single decision: asked again whenever the snapshot is replaced. */
export type LiveConnection = Rostered & { isAllowed(snapshot: Snapshot): boolean; cut(): void };

/**
 * Compiles a configuration, with what the stages have registered in `bindings`; what cannot be used is reported through
 * `problem` and left out or made strict. `stateOf` finds what is kept of a service.
 */
export function compileSnapshot(
  config: WaypointConfig,
  bindings: Slots<BoundService>,
  stateOf: (key: ServiceKey) => ServiceState,
  problem: Problem,
): Snapshot {
  const services = new Map<ServiceKey, BoundService>();
  for (const service of config.services) {
    const policies = compileL7([...config.policies, ...service.policies], config.trustDomain, problem);
    const bound = new BoundService(service, policies, stateOf(service.key), problem);
    bindings.fill(bound);
    services.set(service.key, bound);
  }
  const workloadPolicies = compileL7(config.policies, config.trustDomain, () => {});
  return { services, workloadPolicies, pathNormalization: config.pathNormalization };
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
};
