import { isDeepStrictEqual } from 'node:util';
import type { AutoGateway, ManagedGateway } from '#control-plane/index/index-delta.ts';
import { LABEL, MANAGED_BY_WEFT } from '#control-plane/mesh/well-known.ts';
import { WriteQueue } from '#control-plane/sources/kubernetes/write-queue.ts';
import type { Cancel, Clock, Random } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { messageOf } from '#model/error.ts';
import { Retry } from '#model/resilience/retry.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import type { ClusterWatch, FollowCluster, FollowedKind, ObjectChange } from '#protocol/kubernetes/following.ts';
import { type KubeObject, objectKey, type ServedKind } from '#protocol/kubernetes/objects.ts';
import type { ObjectWriter } from '#protocol/kubernetes/writing.ts';
import { AutoGateways } from './auto-gateways.ts';
import { WaypointClass } from './gateway-class.ts';
import { specOf, type WaypointKeeper, type WaypointState, waypointKey } from './plan.ts';
import {
  GATEWAYS,
  gatewayOf,
  isMadeByUs,
  OBJECT_KINDS,
  type WantedObject,
  type WaypointSetup,
  waypointObjects,
} from './waypoint-objects.ts';

/** What keeping the waypoints of a cluster needs. */
export type ClusterWaypointsOptions = {
  writer: ObjectWriter;
  follow: FollowCluster;
  setup: WaypointSetup;
  /** What waypoints verify the mesh with, as it is now. */
  rootsPem: () => string;
  /** Is told why a waypoint (`<namespace>/<name>`) does not run; null: nothing is in the way any more. */
  tell: (key: string, why: string | null) => void;
  clock: Clock;
  random: Random;
  log: Log;
};

/** In whose name objects are applied: these fields are ours. */
const MANAGER = 'weft-control/waypoint';

/** An object of ours as it was last seen; `content`: all of it that somebody could change by hand. */
type Seen = { served: ServedKind; object: KubeObject; content: object };

/** What was applied for one object, and what it was like thereafter. */
type Applied = { wanted: KubeObject; content: object };

/** What is known of one desired waypoint. */
type Progress = { problem: string | null; isMade: boolean; retry: Retry };

/**
 * Keeps the objects of one waypoint per desired Gateway in a cluster, which runs them. What somebody changes or removes is made as it
 * was; what nobody asks for any more is removed; what has the name of one of ours and is none stays as it is.
 */
export class ClusterWaypoints implements WaypointKeeper {
  readonly #options: ClusterWaypointsOptions;
  readonly #desired = new Map<string, ManagedGateway>();
  readonly #progress = new Map<string, Progress>();
  readonly #queue: WriteQueue;
  readonly #class: WaypointClass;
  readonly #automatic: AutoGateways;
  /** `<kind> <namespace>/<name>` → object. */
  readonly #seen = new Map<string, Seen>();
  readonly #applied = new Map<string, Applied>();
  #watch: ClusterWatch | null = null;
  #acts = false;
  /** How often it began: what an earlier time has asked for is not needed any more. */
  #beginnings = 0;
  #cancel: Cancel = () => {};

  constructor(options: ClusterWaypointsOptions) {
    this.#options = options;
    this.#class = new WaypointClass(options);
    this.#automatic = new AutoGateways(options);
    this.#queue = new WriteQueue({ write: (key) => this.#reconcile(key), clock: options.clock });
  }

  /** Begins to act. What is desired must be complete by now: of anything else the objects are removed. */
  start(): void {
    if (this.#acts) return;
    this.#acts = true;
    this.#automatic.start();
    this.#beginnings += 1;
    this.#cancel = this.#options.clock.every(KUBERNETES.waypointLookMs, () => this.#lookAtAll());
    this.#follow().catch((error: unknown) => this.#options.log.error({ err: error }, 'waypoints could not be looked after'));
  }

  change(gateways: ReadonlyMap<string, ManagedGateway | null>): void {
    for (const [key, gateway] of gateways) {
      if (gateway === null) this.#desired.delete(key);
      else this.#desired.set(key, gateway);
      this.#look(key);
    }
  }

  changeAutomatic(gateways: ReadonlyMap<string, AutoGateway | null>): void {
    this.#automatic.change(gateways);
  }

  /** Stops acting. What there is runs on. */
  async stop(): Promise<void> {
    this.#acts = false;
    this.#cancel();
    this.#automatic.stop();
    this.#queue.clear();
    this.#watch?.close();
    this.#watch = null;
    // Whoever led meanwhile may have done what was done here before.
    for (const { retry } of this.#progress.values()) retry.close();
    for (const map of [this.#seen, this.#applied, this.#progress]) map.clear();
  }

  /** The cluster runs them, whoever looks after it. */
  stopAll(): Promise<void> {
    return this.stop();
  }

  states(): WaypointState[] {
    return [...this.#desired].map(([key, gateway]) => {
      const { problem = null, isMade = false } = this.#progress.get(key) ?? {};
      const state = problem !== null ? 'stopped' : isMade ? 'running' : 'starting';
      return { spec: specOf(gateway), state, restarts: 0, problem };
    });
  }

  async #follow(): Promise<void> {
    const kinds = new Map(Object.values(OBJECT_KINDS).map((served) => [followed(served), served]));
    const listener = {
      changed: (kind: FollowedKind, changes: readonly ObjectChange[]) => {
        const served = kinds.get(kind);
        if (served !== undefined) for (const one of changes) this.#see(served, one);
      },
      trouble: (problem: Error) => this.#options.log.warn({ err: problem }, 'objects of waypoints cannot be followed'),
    };
    const beginning = this.#beginnings;
    const watch = await this.#options.follow([...kinds.keys()], listener);
    if (!this.#acts || this.#beginnings !== beginning) return watch.close();
    this.#watch = watch;
    this.#lookAtAll();
  }

  #see(served: ServedKind, { key, object }: ObjectChange): void {
    const id = `${served.kind} ${key}`;
    const before = this.#seen.get(id);
    if (object === null) this.#seen.delete(id);
    else this.#seen.set(id, { served, object, content: contentOf(object) });
    const gateway = object ?? before?.object;
    if (gateway === undefined) return;
    const [namespace = ''] = key.split('/');
    this.#look(`${namespace}/${gatewayOf(gateway)}`);
    // It was made to belong to somebody else.
    if (before !== undefined && gatewayOf(before.object) !== gatewayOf(gateway))
      this.#look(`${namespace}/${gatewayOf(before.object)}`);
  }

  #lookAtAll(): void {
    this.#class.look();
    const keys = new Set(this.#desired.keys());
    for (const { object } of this.#seen.values()) keys.add(`${object.metadata.namespace ?? ''}/${gatewayOf(object)}`);
    for (const key of keys) this.#look(key);
  }

  #look(key: string): void {
    if (this.#acts && this.#watch !== null) this.#queue.add(key, false);
  }

  async #reconcile(key: string): Promise<void> {
    const progress = this.#progressOf(key);
    progress.retry.begun();
    try {
      const gateway = this.#desired.get(key);
      if (gateway === undefined) {
        await this.#removeAllBut(key, new Set());
        this.#progress.delete(key);
        this.#options.tell(key, null);
        return;
      }
      progress.isMade = await this.#make(key, gateway);
      progress.retry.succeeded();
      this.#tell(key, progress, this.#failureOf(gateway));
    } catch (error) {
      if (!this.#acts) return;
      this.#tell(key, progress, messageOf(error));
      progress.retry.failed();
    }
  }

  #progressOf(key: string): Progress {
    const known = this.#progress.get(key);
    if (known !== undefined) return known;
    const backoff = { firstMs: CONTROL.restartFirstMs, maxMs: CONTROL.restartMaxMs };
    const made: Progress = { problem: null, isMade: false, retry: new Retry(this.#options, backoff, () => this.#look(key)) };
    this.#progress.set(key, made);
    return made;
  }

  /** Returns false when its Gateway has gone: with it goes everything, and soon it is told so. */
  async #make(key: string, gateway: ManagedGateway): Promise<boolean> {
    const { writer, rootsPem, setup } = this.#options;
    const owner = await writer.get(GATEWAYS, gateway);
    const uid = owner?.metadata.uid;
    if (uid === undefined || owner?.metadata.deletionTimestamp !== undefined) return false;
    const wanted = waypointObjects(gateway, uid, rootsPem(), setup);
    for (const one of wanted) if (this.#acts) await this.#apply(one);
    await this.#removeAllBut(key, new Set(wanted.map(({ served, object }) => `${served.kind} ${objectKey(object)}`)));
    return true;
  }

  async #apply({ served, object }: WantedObject): Promise<void> {
    const { writer, log } = this.#options;
    const id = `${served.kind} ${objectKey(object)}`;
    const [seen, applied] = [this.#seen.get(id), this.#applied.get(id)];
    const isAsItWas = seen !== undefined && applied !== undefined && isDeepStrictEqual(seen.content, applied.content);
    if (isAsItWas && isDeepStrictEqual(applied.wanted, object)) return;
    if (seen === undefined) await this.#requireOurs(served, object);
    const now = await writer.apply(served, object, MANAGER);
    if (now === null) throw new Error(`namespace ${object.metadata.namespace} does not exist any more`);
    if (applied !== undefined && !isAsItWas) log.info({ object: id }, 'an object of a waypoint was changed by somebody else');
    // What others have added beside our fields may stay.
    this.#applied.set(id, { wanted: object, content: contentOf(now) });
  }

  /** Errors: when there is one of this name that we did not make. */
  async #requireOurs(served: ServedKind, { metadata: { name, namespace = '' } }: KubeObject): Promise<void> {
    const there = await this.#options.writer.get(served, { namespace, name });
    if (there === null || isMadeByUs(there) || this.#applied.has(`${served.kind} ${namespace}/${name}`)) return;
    throw new Error(`${served.kind} ${namespace}/${name} has the name that the waypoint needs, and is none of its objects`);
  }

  async #removeAllBut(key: string, wanted: ReadonlySet<string>): Promise<void> {
    for (const [id, { served, object }] of this.#seen) {
      const { namespace = '', name } = object.metadata;
      if (!this.#acts || wanted.has(id) || `${namespace}/${gatewayOf(object)}` !== key) continue;
      await this.#options.writer.remove(served, { namespace, name });
      this.#applied.delete(id);
    }
  }

  /** Why the cluster does not run it, as the controller of Deployments says; null: nothing is said. */
  #failureOf(gateway: ManagedGateway): string | null {
    const seen = this.#seen.get(`Deployment ${waypointKey(gateway)}`);
    const { conditions = [] } = (seen?.object.status ?? {}) as {
      conditions?: { type: string; status: string; message?: string }[];
    };
    const failure = conditions.find(({ type, status }) => type === 'ReplicaFailure' && status === 'True');
    return failure === undefined ? null : `its pods are not made: ${failure.message ?? 'no reason is given'}`;
  }

  #tell(key: string, progress: Progress, problem: string | null): void {
    if (problem !== null && problem !== progress.problem)
      this.#options.log.warn({ waypoint: key, problem }, 'waypoint does not run');
    progress.problem = problem;
    this.#options.tell(key, problem);
  }
}

/** How objects of a kind are followed: those of ours, all of what they say. */
function followed({ group, kind, version }: ServedKind): FollowedKind {
  return {
    ...{ group, kind, versions: [version], builtIn: true },
    labelSelector: `${LABEL.managed}=${MANAGED_BY_WEFT}`,
    keep: ({ metadata: { managedFields: _, ...metadata }, ...object }) => ({ ...object, metadata }) as KubeObject,
  };
}

/** Fixed by Kubernetes: annotations that its own controllers write. */
const BOOKS = /^deployment\.kubernetes\.io\//;

function contentOf({ metadata, spec, data }: KubeObject): object {
  const { labels = {}, annotations = {}, ownerReferences = [] } = metadata;
  const own = Object.fromEntries(Object.entries(annotations).filter(([name]) => !BOOKS.test(name)));
  return { labels, annotations: own, ownerReferences, spec, data };
}
