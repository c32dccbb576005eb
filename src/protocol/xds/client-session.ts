import { create } from '@bufbuild/protobuf';
import { unreachable } from '#model/error.ts';
import { type Authorization, type PolicyKey, policyKeyOf } from '#model/mesh/authorization.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import { type Service, type ServiceKey, serviceKeyOf } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  type Resource,
} from '#proto/discovery_pb.js';
import { type DecodedResource, decodeResource } from '#protocol/xds/decode-resource.ts';
import { announcesMore } from '#protocol/xds/encode-response.ts';
import { type Buckets, bucketsIn, HeldNames } from '#protocol/xds/held-names.ts';
import { DIGESTS_METADATA } from '#protocol/xds/server-session.ts';
import type { NameChanges } from '#protocol/xds/subscription.ts';
import { ADDRESS_TYPE, isTypeUrl, type TypeUrl } from '#protocol/xds/type-urls.ts';
import { waypointConfigName } from '#protocol/xds/waypoint-config.ts';

/** Who the client says it is. Source: docs/rules/control-plane.md. */
export type ClientNode = { id: string; metadata: Record<string, string> };

/** `names` empty: everything of the type; 'on-demand': what `change` asks for, and what the server tells besides. */
export type ClientSubscription = { typeUrl: TypeUrl; names: readonly string[] | 'on-demand' };

/** Which resource of the mesh a removed name stood for. */
export type RemovedResource = { kind: DecodedResource['kind']; key: string };

/** What one response changes. Updates come before removals. */
export type ClientUpdate = {
  typeUrl: string;
  updated: DecodedResource[];
  removed: RemovedResource[];
  /** Resources that were left out, as `<name>: <reason>`. */
  rejected: string[];
  answers: Answers;
  /** ACK or NACK to send once the update is applied, or what the server asked for. */
  reply: DeltaDiscoveryRequest;
  /** The server did not read what was said to be held: the stream is to be begun anew, and nothing of this is to be applied. */
  misread: boolean;
};

/** Names that were asked for on demand → the keys of what has them; empty: nothing has. */
export type Answers = ReadonlyMap<string, readonly string[]>;

const NO_ANSWERS: Answers = new Map();

type Held = { version: string; kind: DecodedResource['kind']; key: string };

/** What is held of one type. */
class HeldResources {
  readonly #byName = new Map<string, Held>();
  readonly names = new HeldNames((name) => this.#byName.get(name)?.version ?? '');

  get(name: string): Held | undefined {
    return this.#byName.get(name);
  }

  set(name: string, held: Held): void {
    this.#byName.set(name, held);
    this.names.hold(name);
  }

  delete(name: string): void {
    if (this.#byName.delete(name)) this.names.drop(name);
  }

  /** Every version is another one now than any server has. */
  distrust(): void {
    for (const [name, one] of this.#byName) this.#byName.set(name, { ...one, version: '' });
    this.names.doubt();
  }

  versions(): Record<string, string> {
    return Object.fromEntries([...this.#byName].map(([name, { version }]) => [name, version]));
  }

  versionsIn(buckets: Buckets): Record<string, string> {
    return Object.fromEntries([...this.names.namesIn(buckets)].map((name) => [name, this.#byName.get(name)?.version ?? '']));
  }
}

/**
 * The client's side of delta ADS, without the stream. Keeps names and versions over reconnects, so that a new stream
 * brings only what differs. One bad resource never costs the others (B63, C48). Source: docs/rules/control-plane.md.
 */
export class DeltaClientSession {
  readonly #node: ClientNode;
  readonly #subscriptions: readonly ClientSubscription[];
  readonly #held = new Map<string, HeldResources>();
  #answered = new Set<string>();
  /** Whether the server that was spoken to last reads digests. */
  #readsDigests = false;
  /** Type → of how many buckets digests were sent on this stream, until the server has shown that it reads them. */
  readonly #unconfirmed = new Map<string, number>();
  /** Names that are asked for on demand. */
  readonly #asked = new Set<string>();

  constructor(node: ClientNode, subscriptions: readonly ClientSubscription[]) {
    this.#node = node;
    this.#subscriptions = subscriptions;
  }

  /** The first requests of a new stream, one per type. */
  open(): DeltaDiscoveryRequest[] {
    this.#answered = new Set();
    this.#unconfirmed.clear();
    const node = { id: this.#node.id, metadata: { ...this.#node.metadata, [DIGESTS_METADATA]: 'true' } };
    return this.#subscriptions.map(({ typeUrl, names }) => {
      const held = this.#heldOf(typeUrl);
      const request = { node, typeUrl, ...this.#firstNames(names) };
      const isEverything = names !== 'on-demand' && names.length === 0;
      const digests = this.#readsDigests && isEverything ? held.names.digests() : new Uint8Array();
      if (digests.length === 0)
        return create(DeltaDiscoveryRequestSchema, { ...request, initialResourceVersions: held.versions() });
      this.#unconfirmed.set(typeUrl, bucketsIn(digests));
      return create(DeltaDiscoveryRequestSchema, { ...request, weftHeldDigests: digests });
    });
  }

  /** The protocol has no other words for nothing at all than everything and not everything (C10). */
  #firstNames(names: ClientSubscription['names']): { resourceNamesSubscribe: string[]; resourceNamesUnsubscribe: string[] } {
    if (names !== 'on-demand') return { resourceNamesSubscribe: [...names], resourceNamesUnsubscribe: [] };
    return { resourceNamesSubscribe: ['*', ...this.#asked], resourceNamesUnsubscribe: ['*'] };
  }

  /**
   * Asks on demand for names, or for some no longer; what has those is not held any more. The request for a stream that is open; a
   * later one begins with all names that are asked for then.
   */
  change({ subscribe, unsubscribe }: NameChanges): DeltaDiscoveryRequest {
    for (const name of unsubscribe) {
      this.#asked.delete(name);
      this.#heldOf(ADDRESS_TYPE).delete(name);
    }
    for (const name of subscribe) this.#asked.add(name);
    const names = { resourceNamesSubscribe: [...subscribe], resourceNamesUnsubscribe: [...unsubscribe] };
    return create(DeltaDiscoveryRequestSchema, { typeUrl: ADDRESS_TYPE, ...names });
  }

  /** Whether every type has had its first answer on this stream, to its last part. */
  get synced(): boolean {
    return this.#subscriptions.every(({ typeUrl }) => this.#answered.has(typeUrl));
  }

  /** What is held may not be what is in force: the next stream asks for all of it again, and still hears what was removed. */
  distrust(): void {
    for (const held of this.#held.values()) held.distrust();
  }

  receive(response: DeltaDiscoveryResponse): ClientUpdate {
    const { typeUrl, weft } = response;
    const updated: DecodedResource[] = [];
    const rejected: string[] = [];
    const removed: RemovedResource[] = [];
    const nothing = { typeUrl, updated, removed, rejected, answers: NO_ANSWERS };
    const count = this.#unconfirmed.get(typeUrl);
    this.#readsDigests = weft?.readsDigests ?? (count === undefined && this.#readsDigests);
    if (count !== undefined) {
      if (!this.#readsDigests) return { ...nothing, reply: replyTo(response, []), misread: true };
      this.#unconfirmed.delete(typeUrl);
      const buckets = { count, buckets: new Set(weft?.askedBuckets) };
      // Its nonce says that the answer is still to come.
      if (buckets.buckets.size > 0) {
        const initialResourceVersions = this.#heldOf(typeUrl).versionsIn(buckets);
        const reply = create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce: response.nonce, initialResourceVersions });
        return { ...nothing, reply, misread: false };
      }
    }
    // A type we did not ask for is accepted without a look: it is the server's mistake, not the stream's end.
    if (isTypeUrl(typeUrl)) {
      if (!announcesMore(response.nonce)) this.#answered.add(typeUrl);
      const held = this.#heldOf(typeUrl);
      for (const resource of response.resources) this.#update(typeUrl, resource, { updated, removed, rejected });
      for (const name of response.removedResources) {
        const gone = held.get(name);
        // Servers may report what we never had.
        if (gone !== undefined) removed.push({ kind: gone.kind, key: gone.key });
        held.delete(name);
      }
    }
    const answers = typeUrl === ADDRESS_TYPE ? this.#answersIn(response) : NO_ANSWERS;
    return { typeUrl, updated, removed, rejected, answers, reply: replyTo(response, rejected), misread: false };
  }

  /** An istiod names what it found by its own name, and by its other names beside. */
  #answersIn({ resources, removedResources }: DeltaDiscoveryResponse): Answers {
    const answers = new Map<string, string[]>();
    if (this.#asked.size === 0) return answers;
    for (const { name, aliases } of resources) {
      const held = this.#heldOf(ADDRESS_TYPE).get(name);
      if (held === undefined) continue; // it could not be read, and nobody knows what it says
      for (const one of new Set([name, ...aliases]))
        if (this.#asked.has(one)) answers.set(one, [...(answers.get(one) ?? []), held.key]);
    }
    for (const name of removedResources) if (this.#asked.has(name) && !answers.has(name)) answers.set(name, []);
    return answers;
  }

  #update(
    typeUrl: TypeUrl,
    resource: Resource,
    { updated, removed, rejected }: Pick<ClientUpdate, 'updated' | 'removed' | 'rejected'>,
  ): void {
    const { name, version } = resource;
    const held = this.#heldOf(typeUrl);
    try {
      // Without a payload there is nothing to read: the empty message is refused like any other nameless one.
      const decoded = decodeResource(typeUrl, name, resource.resource?.value ?? new Uint8Array());
      const key = keyOf(decoded);
      const older = held.get(name);
      // The name may come to stand for something else: what it stood for before is gone then.
      if (older !== undefined && (older.key !== key || older.kind !== decoded.kind))
        removed.push({ kind: older.kind, key: older.key });
      // One text for both: most names are the keys of what they name.
      held.set(name === key ? key : name, { version, kind: decoded.kind, key });
      updated.push(decoded);
    } catch (error) {
      rejected.push(error instanceof Error ? error.message : `${name}: ${String(error)}`);
      // An older state of it stays in force and stays claimed, or its removal would never reach us;
      // without a version, so that the server sends it again.
      const older = held.get(name);
      if (older !== undefined) held.set(name, { ...older, version: '' });
    }
  }

  #heldOf(typeUrl: string): HeldResources {
    const existing = this.#held.get(typeUrl);
    if (existing !== undefined) return existing;
    const created = new HeldResources();
    this.#held.set(typeUrl, created);
    return created;
  }
}

function replyTo(response: DeltaDiscoveryResponse, rejected: readonly string[]): DeltaDiscoveryRequest {
  const { typeUrl, nonce: responseNonce } = response;
  if (rejected.length === 0) return create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce });
  return create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce, errorDetail: { message: rejected.join('; ') } });
}

function keyOf(resource: DecodedResource): string {
  switch (resource.kind) {
    case 'workload':
      return resource.workload.uid;
    case 'service':
      return serviceKeyOf(resource.service);
    case 'policy':
      return policyKeyOf(resource.policy);
    case 'waypoint-config':
      return waypointConfigName(resource.config);
    default:
      return unreachable(resource);
  }
}

/** What a response means to the part that holds the mesh. waypoints: by `<namespace>/<gateway>`, null when gone. */
export type ClientDelta = { mesh: MeshDelta; waypoints: ReadonlyMap<string, WaypointConfig | null> };

/** Sorts one response's changes into the model's maps. */
export function deltaOf(update: ClientUpdate): ClientDelta {
  const workloads = new Map<string, Workload | null>();
  const services = new Map<ServiceKey, Service | null>();
  const policies = new Map<PolicyKey, Authorization | null>();
  const waypoints = new Map<string, WaypointConfig | null>();
  for (const resource of update.updated) {
    switch (resource.kind) {
      case 'workload':
        workloads.set(resource.workload.uid, resource.workload);
        break;
      case 'service':
        services.set(serviceKeyOf(resource.service), resource.service);
        break;
      case 'policy':
        policies.set(policyKeyOf(resource.policy), resource.policy);
        break;
      case 'waypoint-config':
        waypoints.set(waypointConfigName(resource.config), resource.config);
        break;
      default:
        unreachable(resource);
    }
  }
  const byKind = { workload: workloads, service: services, policy: policies, 'waypoint-config': waypoints };
  for (const { kind, key } of update.removed) byKind[kind].set(key, null);
  return { mesh: { workloads, services, policies }, waypoints };
}
