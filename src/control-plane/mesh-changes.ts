import { NodeIdentities } from '#control-plane/ca/node-identities.ts';
import type { DiscoveryServer } from '#control-plane/discovery/discovery-server.ts';
import type { IndexChange, IndexDelta } from '#control-plane/index/index-delta.ts';
import type { MeshIndex } from '#control-plane/index/mesh-index.ts';
import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import type { KeptAllocations } from '#control-plane/kept-allocations.ts';
import { registeredUid } from '#control-plane/mesh/registered-endpoints.ts';
import { AddressBook } from '#control-plane/registry/address-book.ts';
import { formatFinding, formatOrigin } from '#control-plane/resources/finding.ts';
import type { Source, SourceChange } from '#control-plane/sources/source.ts';
import type { FindingsBoard } from '#control-plane/status/findings-board.ts';
import type { WaypointKeeper } from '#control-plane/waypoints/plan.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { inTurns, type Soon, type Work } from '#model/effects/work.ts';
import type { RegisteredWorkload } from '#model/mesh/registration.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import { type Account, accountText } from '#model/trust/grant.ts';
import type { Origin } from '#protocol/api/control.ts';

/** What a change reaches, in the parts of a control plane. */
export type MeshChangesOptions = {
  index: MeshIndex;
  source: Source;
  mesh: MeshOptions;
  allocations: KeptAllocations;
  discovery: DiscoveryServer;
  findings: FindingsBoard;
  waypoints: WaypointKeeper | null;
  /** Whether what is allocated here is kept: of several replicas one does so. */
  keepsAllocations(): boolean;
  /** Told when a change is in force, or could not be put in force. */
  onChanged: () => void;
  clock: Clock;
  log: Log;
};

/**
 * The one way by which anything changes. A change is in force at the clients within the same turn, or where it touches much, after
 * several with turns of clients between: all of it at once.
 */
export class MeshChanges {
  readonly identities: NodeIdentities;
  readonly addresses: AddressBook;
  readonly #options: MeshChangesOptions;
  /** Gateway → the account that its waypoint runs as; and those accounts. */
  readonly #gatewayAccounts = new Map<string, string>();
  #waypointAccounts: ReadonlySet<string> = new Set();
  /** The change that is being put in force, and all that follow; null: none. */
  #changing: Promise<void> | null = null;

  constructor(options: MeshChangesOptions) {
    this.#options = options;
    this.identities = new NodeIdentities(options.clock);
    const ofRegistered = registeredUid({ namespace: '', name: '' }, options.mesh).slice(0, -1);
    this.addresses = new AddressBook((uid) => uid.startsWith(ofRegistered));
  }

  /** Whether a waypoint of this mesh runs as that account. */
  isWaypoint(account: Account): boolean {
    return this.#waypointAccounts.has(accountText(account));
  }

  /** Changes follow one another; resolves when this one is in force. */
  putInForce(change: IndexChange): Soon<void> {
    return this.#next(this.#taking(change));
  }

  /** What a source has at first, together with what nodes registered before the last stop: `registered` is asked when it is judged. */
  putFirstInForce(change: SourceChange, registered: () => ReadonlyMap<string, readonly RegisteredWorkload[]>): Soon<void> {
    return this.#next(this.#beginning(change, registered));
  }

  /** Whether a change is on its way. */
  get isChanging(): boolean {
    return this.#changing !== null;
  }

  /** Resolves when every change until now is in force, or could not be. */
  async settled(): Promise<void> {
    // Who told the change hears what went wrong.
    while (this.#changing !== null) await this.#changing.catch(() => {});
  }

  #next(work: Work<void>): Soon<void> {
    const begin = () => inTurns(work, this.#options.clock, CONTROL.serveTurnMs);
    const outcome = this.#changing === null ? begin() : this.#changing.then(begin, begin);
    if (!(outcome instanceof Promise)) {
      this.#options.onChanged();
      return;
    }
    const settled = outcome.finally(() => {
      if (this.#changing === settled) this.#changing = null;
      this.#options.onChanged();
    });
    this.#changing = settled;
    return settled;
  }

  *#beginning(change: SourceChange, loaded: () => ReadonlyMap<string, readonly RegisteredWorkload[]>): Work<void> {
    const { index, discovery } = this.#options;
    const configured = yield* index.taking(change);
    yield* this.#noting(configured);
    const registered = yield* index.taking({ nodes: loaded() });
    yield* this.#noting(registered);
    yield* discovery.publishingAll([configured, registered]);
    yield* this.#concluding(configured);
    yield* this.#concluding(registered);
    this.#tellFindings();
  }

  *#taking(change: IndexChange): Work<void> {
    const delta = yield* this.#options.index.taking(change);
    yield* this.#noting(delta);
    yield* this.#options.discovery.publishing([delta]);
    yield* this.#concluding(delta);
    // Locating findings reads files; a report of a node that changes none must not pay for that.
    if (change.nodes === undefined || delta.problems.size > 0) this.#tellFindings();
  }

  /** Before clients are told. Certificates first: a client that learns of a workload may ask for one at once. */
  *#noting({ mesh, gateways }: IndexDelta): Work<void> {
    for (const workloads of partsOf(mesh.workloads)) {
      this.identities.apply(workloads);
      this.addresses.apply({ workloads, services: NONE });
      yield;
    }
    for (const services of partsOf(mesh.services)) {
      this.addresses.apply({ workloads: NONE, services });
      yield;
    }
    for (const [key, gateway] of gateways) {
      if (gateway === null) this.#gatewayAccounts.delete(key);
      else this.#gatewayAccounts.set(key, accountText(gateway));
    }
    if (gateways.size > 0) this.#waypointAccounts = new Set(this.#gatewayAccounts.values());
  }

  /** When clients have been told. */
  *#concluding({ mesh, gateways, autoGateways, conditions, problems, allocations }: IndexDelta): Work<void> {
    this.#options.waypoints?.change(gateways);
    this.#options.waypoints?.changeAutomatic?.(autoGateways);
    for (const policies of partsOf(mesh.policies)) {
      this.#options.findings.take({ mesh: { workloads: NONE, policies }, problems: NONE });
      yield;
    }
    for (const workloads of partsOf(mesh.workloads)) {
      this.#options.findings.take({ mesh: { workloads, policies: NONE }, problems: NONE });
      yield;
    }
    this.#options.findings.take({ mesh: { workloads: NONE, policies: NONE }, problems });
    for (const part of partsOf(conditions)) {
      this.#options.source.reportConditions(part);
      yield;
    }
    if (allocations !== null && this.#options.keepsAllocations()) this.#options.allocations.keep(allocations);
  }

  /** A person who edits sees each finding once in the log, when it appears; the status page has them all. */
  #tellFindings(): void {
    const { log } = this.#options;
    for (const finding of this.#options.findings.news()) {
      const level = finding.severity === 'error' ? 'error' : 'warn';
      log[level]({ code: finding.code, ...placeInLog(finding.origin) }, formatFinding(finding));
    }
  }
}

const NONE: ReadonlyMap<never, never> = new Map<never, never>();
/** So many entries are taken in before others may have their turn: some milliseconds at most. */
const PART = 256;

/** A map in parts of `PART` entries. */
function* partsOf<Key, Value>(all: ReadonlyMap<Key, Value>): Generator<ReadonlyMap<Key, Value>, void, void> {
  if (all.size <= PART) {
    if (all.size > 0) yield all;
    return;
  }
  let part = new Map<Key, Value>();
  for (const [key, value] of all) {
    part.set(key, value);
    if (part.size < PART) continue;
    yield part;
    part = new Map();
  }
  if (part.size > 0) yield part;
}

/** The fields by which a log is searched: `file` and `line`, or `object`. */
function placeInLog(origin: Origin): Record<string, unknown> {
  return origin.kind === 'file' ? { file: origin.file, line: origin.line } : { object: formatOrigin(origin) };
}
