import { create } from '@bufbuild/protobuf';
import { unreachable } from '#model/error.ts';
import { policyKeyOf } from '#model/mesh/authorization.ts';
import { serviceKeyOf } from '#model/mesh/service.ts';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  type Resource,
} from '#proto/discovery_pb.js';
import { type DecodedResource, decodeResource } from '#protocol/xds/decode-resource.ts';
import { isTypeUrl, type TypeUrl } from '#protocol/xds/type-urls.ts';
import { waypointConfigName } from '#protocol/xds/waypoint-config.ts';

/** Who the client says it is. Source: control-plane-protocols 1.3. */
export type ClientNode = { id: string; metadata: Record<string, string> };

/** names empty: everything of the type. */
export type ClientSubscription = { typeUrl: TypeUrl; names: readonly string[] };

/** Which resource of the mesh a removed name stood for. */
export type RemovedResource = { kind: DecodedResource['kind']; key: string };

/** What one response changes. Updates come before removals. */
export type ClientUpdate = {
  typeUrl: string;
  updated: DecodedResource[];
  removed: RemovedResource[];
  /** Resources that were left out, as `<name>: <reason>`. */
  rejected: string[];
  /** ACK or NACK to send once the update is applied. */
  reply: DeltaDiscoveryRequest;
};

type Held = { version: string; kind: DecodedResource['kind']; key: string };

/**
 * The client's side of delta ADS, without the stream. Keeps names and versions over reconnects, so that a new stream
 * brings only what differs. One bad resource never costs the others (B63, C48). Source: control-plane-protocols 1.9.
 */
export class DeltaClientSession {
  readonly #node: ClientNode;
  readonly #subscriptions: readonly ClientSubscription[];
  readonly #held = new Map<string, Map<string, Held>>();
  #answered = new Set<string>();

  constructor(node: ClientNode, subscriptions: readonly ClientSubscription[]) {
    this.#node = node;
    this.#subscriptions = subscriptions;
  }

  /** The first requests of a new stream, one per type. */
  open(): DeltaDiscoveryRequest[] {
    this.#answered = new Set();
    return this.#subscriptions.map(({ typeUrl, names }) =>
      create(DeltaDiscoveryRequestSchema, {
        node: { id: this.#node.id, metadata: this.#node.metadata },
        typeUrl,
        resourceNamesSubscribe: [...names],
        initialResourceVersions: Object.fromEntries([...this.#heldOf(typeUrl)].map(([name, { version }]) => [name, version])),
      }),
    );
  }

  /** Whether every type has had its first response on this stream. */
  get synced(): boolean {
    return this.#subscriptions.every(({ typeUrl }) => this.#answered.has(typeUrl));
  }

  receive(response: DeltaDiscoveryResponse): ClientUpdate {
    const { typeUrl } = response;
    const updated: DecodedResource[] = [];
    const rejected: string[] = [];
    const removed: RemovedResource[] = [];
    // A type we did not ask for is accepted without a look: it is the server's mistake, not the stream's end.
    if (isTypeUrl(typeUrl)) {
      this.#answered.add(typeUrl);
      const held = this.#heldOf(typeUrl);
      for (const resource of response.resources) this.#update(typeUrl, resource, { updated, removed, rejected });
      for (const name of response.removedResources) {
        const gone = held.get(name);
        // Servers may report what we never had.
        if (gone !== undefined) removed.push({ kind: gone.kind, key: gone.key });
        held.delete(name);
      }
    }
    return { typeUrl, updated, removed, rejected, reply: replyTo(response, rejected) };
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
      held.set(name, { version, kind: decoded.kind, key });
      updated.push(decoded);
    } catch (error) {
      rejected.push(error instanceof Error ? error.message : `${name}: ${String(error)}`);
      // An older state of it stays in force and stays claimed, or its removal would never reach us;
      // without a version, so that the server sends it again.
      const older = held.get(name);
      if (older !== undefined) held.set(name, { ...older, version: '' });
    }
  }

  #heldOf(typeUrl: string): Map<string, Held> {
    const existing = this.#held.get(typeUrl);
    if (existing !== undefined) return existing;
    const created = new Map<string, Held>();
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
