import type { Condition } from '#control-plane/index/index-delta.ts';
import type { KindDefinition } from '#control-plane/index/kind-definition.ts';
import type { ClusterKind } from '#control-plane/resources/cluster-kind.ts';
import { byPlace, type Finding, findingOf, objectOrigin, type Problem } from '#control-plane/resources/finding.ts';
import { nameOfResource, type ResourceName } from '#control-plane/resources/resource.ts';
import type { ResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { ResourceEditor } from '#control-plane/sources/editor.ts';
import type { LastGoodVersions } from '#control-plane/sources/last-good.ts';
import { ResourceLedger } from '#control-plane/sources/ledger.ts';
import type { Reading } from '#control-plane/sources/ledger-unit.ts';
import type { Source, SourceChange, SourceSink } from '#control-plane/sources/source.ts';
import type { Clock } from '#model/effects/clock.ts';
import { inTurns, type Soon, type Work, whenThere } from '#model/effects/work.ts';
import { messageOf, WeftError } from '#model/error.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import type {
  ClusterListener,
  ClusterWatch,
  FollowBuiltIn,
  FollowCluster,
  FollowedKind,
  ObjectChange,
} from '#protocol/kubernetes/following.ts';
import { followedKinds } from './followed-kinds.ts';
import { NamedObjects } from './named-objects.ts';
import { PendingUnits } from './pending-units.ts';
import { readObject, unitOf } from './read-object.ts';
import type { StatusDesk } from './status-desk.ts';

/** What a cluster as a source needs. */
export type KubernetesSourceOptions = {
  kinds: readonly KindDefinition[];
  parser: ResourceParser;
  follow: FollowCluster;
  /** The same for single objects, of kinds that are always there. */
  followNamed: FollowBuiltIn;
  /** Keeps the last good version of what is refused now. */
  lastGood: LastGoodVersions;
  /** Where conditions go; null: nowhere. */
  status: StatusDesk | null;
  clock: Clock;
};

/** The API server of a cluster as a source: its objects are resources, and what becomes of them is written into their status. */
export function kubernetesSource(options: KubernetesSourceOptions): Source & { editor(): ResourceEditor } {
  return new KubernetesSource(options);
}

class KubernetesSource implements Source {
  readonly #options: KubernetesSourceOptions;
  readonly #ledger = new ResourceLedger();
  readonly #pending = new PendingUnits();
  #sink: SourceSink | null = null;
  #watch: ClusterWatch | null = null;
  /** What is followed by name, by kind. */
  #named: readonly NamedObjects[] = [];
  /** What is being put in force; null: nothing. */
  #taking: Promise<void> | null = null;
  /** Whether everything was told for the first time, be it nothing. */
  #isTold = false;
  #stopped = false;

  constructor(options: KubernetesSourceOptions) {
    this.#options = options;
  }

  async start(sink: SourceSink): Promise<void> {
    const { lastGood, parser, follow, kinds } = this.#options;
    const kept = await lastGood.load();
    for (const [unit, documents] of kept) {
      const versions = documents.flatMap((document) => {
        const reading = parser.read(document);
        return reading.kind === 'resource' ? [{ resource: reading.resource, document }] : [];
      });
      this.#ledger.remember(unit, versions);
    }
    // Whatever comes until everything was told is told together.
    const definitions = followedKinds(kinds);
    const listener: ClusterListener = {
      changed: (kind, changes) => this.#changed(kind, definitions.get(kind)?.cluster ?? {}, changes),
      trouble: (problem) => this.#stopped || sink.trouble(problem),
    };
    this.#named = namedObjects(definitions, listener, this.#options);
    this.#watch = await follow([...definitions.keys()], listener);
    // What is referred to is there with those that refer to it, or these would be refused for a moment.
    for (const named of this.#named) await named.known();
    this.#options.status?.follow((kind) => this.#watch?.served(kind) ?? null);
    // Of these nothing was told: they are no more.
    for (const unit of kept.keys()) if (!this.#pending.has(unit)) lastGood.keep(unit, []);
    this.#pending.beginWithNothing();
    this.#sink = sink;
    await this.#drain(sink);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#watch?.close();
    for (const named of this.#named) named.close();
    this.#options.status?.close();
    await this.#taking;
    await this.#options.lastGood.settled();
  }

  lead(leads: boolean): void {
    this.#options.status?.lead(leads);
  }

  editor(): ResourceEditor {
    return clusterEditor(this.#ledger);
  }

  findings(): Finding[] {
    return this.#ledger.findings().sort(byPlace);
  }

  locate(problems: ReadonlyMap<ResourceName, readonly Problem[]>): Finding[] {
    return [...problems]
      .flatMap(([name, list]) => list.map((problem) => findingOf(problem, name, objectOrigin(name, problem.path))))
      .sort(byPlace);
  }

  reportConditions(changed: ReadonlyMap<ResourceName, readonly Condition[]>): void {
    this.#ledger.reportConditions(changed);
    this.#options.status?.report(changed);
  }

  conditions(): Condition[] {
    return this.#ledger.conditions();
  }

  // The API server has it, and tells it as quickly.
  content(): null {
    return null;
  }

  problems(): string[] {
    const { lastGood, status } = this.#options;
    const ofNamed = this.#named.flatMap((named) => named.problems());
    return [...(this.#watch?.problems() ?? []), ...ofNamed, ...lastGood.problems(), ...(status?.problems() ?? [])];
  }

  /** Resolves when it is in force: until then no more of the kind is read. */
  #changed(kind: FollowedKind, cluster: ClusterKind, changes: readonly ObjectChange[]): Soon<void> {
    if (this.#stopped) return;
    const { parser, status } = this.#options;
    for (const { key, object } of changes) {
      const unit = unitOf(kind.kind, key);
      if (cluster.refersTo !== undefined) {
        const references = object === null ? [] : cluster.refersTo(object);
        for (const named of this.#named)
          for (const left of named.refer(unit, references)) this.#pending.gone(unitOf(named.kind, left));
      }
      if (object === null) {
        this.#pending.gone(unit);
        status?.forget(unit);
        continue;
      }
      const reading = readObject(object, cluster, parser);
      this.#pending.put(unit, reading);
      if (cluster.status !== undefined) status?.see(unit, kind, cluster.status, object, reading);
    }
    return this.#sink === null ? undefined : this.#drain(this.#sink);
  }

  /** One after the other; what comes meanwhile is taken together. */
  #drain(sink: SourceSink): Soon<void> {
    if (this.#taking !== null) return this.#taking.then(() => this.#drain(sink));
    if (this.#stopped || (this.#pending.isEmpty && this.#isTold)) return;
    const round = this.#round(sink);
    if (!(round instanceof Promise)) return;
    this.#taking = round
      .catch((error: unknown) => sink.trouble(unforeseen(error)))
      .finally(() => {
        this.#taking = null;
      });
    return this.#taking;
  }

  #round(sink: SourceSink): Soon<void> {
    this.#isTold = true;
    const { gone, put } = this.#pending.take();
    const { clock, status } = this.#options;
    const taken = inTurns(this.#taken(gone, put), clock, CONTROL.serveTurnMs);
    return whenThere(taken, (change) => {
      if (this.#stopped) return;
      return whenThere(sink.change(change), () => status?.inForce([...gone, ...put.keys()]));
    });
  }

  /** What was made anew has nothing of its predecessor: that one goes first. */
  *#taken(gone: ReadonlySet<string>, put: ReadonlyMap<string, Reading>): Work<SourceChange> {
    // The first taking uses up what is remembered from before the start; nothing can be gone before it.
    const removal =
      gone.size === 0 ? NOTHING : yield* this.#ledger.taking(new Map([...gone].map((unit): [string, null] => [unit, null])));
    const arrival = yield* this.#ledger.taking(put);
    for (const unit of new Set([...gone, ...put.keys()])) {
      this.#keep(unit, put.get(unit));
      yield;
    }
    const back = new Set(arrival.upserted.map(nameOfResource));
    const removed = [...removal.removed.filter((name) => !back.has(name)), ...arrival.removed];
    return { upserted: [...removal.upserted, ...arrival.upserted], removed };
  }

  /** Only of what is refused now is the last good version needed by the next start: of all others the API server has it. */
  #keep(unit: string, reading: Reading | undefined): void {
    const isRefused = reading?.entries.some(({ resource }) => resource === null) === true;
    this.#options.lastGood.keep(unit, isRefused ? this.#ledger.lastGood(unit) : []);
  }
}

/** Of each kind that is followed by name as well. */
function namedObjects(
  definitions: ReadonlyMap<FollowedKind, KindDefinition>,
  listener: ClusterListener,
  { followNamed: follow, clock }: KubernetesSourceOptions,
): NamedObjects[] {
  return [...definitions].flatMap(([kind, { cluster }]) =>
    cluster?.named === undefined ? [] : [new NamedObjects({ kind, named: cluster.named, follow, listener, clock })],
  );
}

const NOTHING: SourceChange = { upserted: [], removed: [] };

function unforeseen(cause: unknown): WeftError {
  return new WeftError('WEFT_KUBERNETES_SOURCE', `objects of the cluster could not be put in force: ${messageOf(cause)}`, {
    cause,
    remedy: 'report this mistake of the program; what was in force stays, and the next change is read',
  });
}

/** Resources of a cluster as `weft get` tells them; they are written through its API server, where everybody's rights are known. */
function clusterEditor(ledger: ResourceLedger): ResourceEditor {
  const refuse = async (): Promise<never> => {
    throw new WeftError('WEFT_RESOURCE_WRITE', 'resources of a cluster are not written by its mesh', {
      remedy: 'use kubectl apply and kubectl delete, by the rights that you have in the cluster',
    });
  };
  return {
    names: () => ledger.names(),
    find(name) {
      const [unit] = ledger.unitsOf(name);
      if (unit === undefined) return null;
      // What was refused has no version in force, or one that is no longer written.
      return { origin: objectOrigin(name, []), inForce: ledger.unitOf(name) !== null, object: () => null };
    },
    put: refuse,
    remove: refuse,
  };
}
