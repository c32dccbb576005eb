import { CONTROL } from '#model/settings/control-planes.ts';
import type { DeltaDiscoveryRequest } from '#proto/discovery_pb.js';
import { type DeltaResponse, nonceOf } from '#protocol/xds/encode-response.ts';
import {
  ADDRESS_TYPE,
  AUTHORIZATION_TYPE,
  isTypeUrl,
  type TypeUrl,
  WAYPOINT_CONFIG_TYPE,
  WORKLOAD_TYPE,
} from '#protocol/xds/type-urls.ts';
import type { Buckets } from './held-names.ts';
import { RpcError } from './resource-fault.ts';
import type { Content } from './response-content.ts';
import { type ResourceView, Subscription } from './subscription.ts';

/** What a request turned out to be; only for logs and counters, responses come from `next`. */
export type Received =
  | { kind: 'subscribed'; typeUrl: TypeUrl }
  | { kind: 'acked'; typeUrl: TypeUrl }
  | { kind: 'rejected'; typeUrl: TypeUrl; message: string }
  | { kind: 'stale'; typeUrl: TypeUrl }
  | { kind: 'unknown-type'; typeUrl: string };

/** How one type stands at one client. */
export type TypeStatus = {
  typeUrl: TypeUrl;
  wildcard: boolean;
  /** Changes not sent yet. */
  pending: number;
  /** Whether the last response is acknowledged. */
  acknowledged: boolean;
  /** Rejected responses since the stream began. */
  rejections: number;
  /** Text of the last rejection, until a later response is accepted. */
  problem: string | null;
};

type TypeState = {
  subscription: Subscription;
  sentNonce: string;
  answeredNonce: string;
  rejections: number;
  problem: string | null;
  /** Whether it was told that digests are read, and asked for what it holds where they differ. */
  announced: boolean;
};

/** Key in the metadata of a node that speaks for digests. Stock clients have none, stock servers pass it over. */
export const DIGESTS_METADATA = 'HELD_DIGESTS';

/**
 * The server's side of one delta ADS stream, without the stream: requests and changes in, responses out.
 * Responses come in the order that never leaves a client with a reference to a policy it lacks (C16):
 * policies that are there, then waypoint configuration, addresses, and last the policies that are gone.
 * Source: docs/rules/control-plane.md.
 */
export class DeltaServerSession {
  readonly #view: ResourceView;
  readonly #newNonce: () => string;
  readonly #types = new Map<TypeUrl, TypeState>();
  /** Policies to report as gone once addresses no longer refer to them. */
  readonly #gonePolicies = new Set<string>();
  #node = '';
  #knowsDigests = false;

  constructor(options: { view: ResourceView; newNonce: () => string }) {
    this.#view = options.view;
    this.#newNonce = options.newNonce;
  }

  receive(request: DeltaDiscoveryRequest): Received {
    const { typeUrl } = request;
    if (!isTypeUrl(typeUrl)) return { kind: 'unknown-type', typeUrl };
    const nodeName = request.node?.metadata?.NODE_NAME;
    if (typeof nodeName === 'string') this.#node = nodeName;
    this.#knowsDigests ||= request.node?.metadata?.[DIGESTS_METADATA] !== undefined;
    const state = this.#types.get(typeUrl);
    // The first request of a type is answered whatever nonce it carries: the client may come from another server (C6).
    return state === undefined ? this.#open(typeUrl, request) : this.#continue(state, request);
  }

  #open(typeUrl: TypeUrl, request: DeltaDiscoveryRequest): Received {
    const claimed = new Map(Object.entries(request.initialResourceVersions));
    const node = typeUrl === ADDRESS_TYPE || typeUrl === WORKLOAD_TYPE ? this.#node : '';
    const differing = this.#differing(typeUrl, request);
    const subscription = new Subscription(this.#view, typeUrl, { ...namesOf(request), claimed, node, differing });
    const state = {
      subscription,
      sentNonce: '',
      answeredNonce: '',
      rejections: 0,
      problem: null,
      announced: !this.#knowsDigests,
    };
    this.#types.set(typeUrl, state);
    return { kind: 'subscribed', typeUrl };
  }

  /** Errors: RpcError invalid-argument. */
  #differing(typeUrl: TypeUrl, { weftHeldDigests, resourceNamesSubscribe }: DeltaDiscoveryRequest): Buckets | null {
    if (weftHeldDigests.length === 0) return null;
    const differing = resourceNamesSubscribe.length === 0 ? this.#view.differing(typeUrl, weftHeldDigests) : null;
    if (differing === null) throw new RpcError('invalid-argument', 'the digests of what is held cannot be read');
    return differing;
  }

  #continue(state: TypeState, request: DeltaDiscoveryRequest): Received {
    const { typeUrl } = state.subscription;
    const { responseNonce: nonce, errorDetail } = request;
    if (errorDetail !== undefined) {
      state.rejections += 1;
      state.problem = errorDetail.message.slice(0, CONTROL.rejectionCharactersMax);
      if (nonce === state.sentNonce) state.answeredNonce = nonce;
      return { kind: 'rejected', typeUrl, message: state.problem };
    }
    if (nonce !== '' && nonce !== state.sentNonce) return { kind: 'stale', typeUrl };
    if (nonce !== '') {
      state.answeredNonce = nonce;
      state.problem = null;
    }
    if (state.announced && nonce !== '' && state.subscription.awaitedBuckets !== null) {
      state.subscription.claim(new Map(Object.entries(request.initialResourceVersions)));
      return { kind: 'subscribed', typeUrl };
    }
    return state.subscription.change(namesOf(request)) ? { kind: 'subscribed', typeUrl } : { kind: 'acked', typeUrl };
  }

  /**
   * The response to send now, or null when the client is up to date. 'later': to be asked again in a turn of its own, since
   * much was looked through already.
   */
  next(): DeltaResponse | 'later' | null {
    // No type is answered before the client has told what it holds of each: policies go before what names them.
    const awaiting = [...this.#types.values()].filter(({ subscription }) => subscription.awaitedBuckets !== null);
    if (awaiting.length > 0) {
      const unasked = awaiting.find(({ announced }) => !announced);
      return unasked === undefined ? null : this.#respond(unasked, { resources: [], removed: [], framed: null, more: true });
    }
    return (
      this.#policies() ??
      this.#contentOf(WAYPOINT_CONFIG_TYPE) ??
      this.#contentOf(ADDRESS_TYPE) ??
      this.#contentOf(WORKLOAD_TYPE) ??
      this.#removedPolicies()
    );
  }

  /** Nothing is kept for the client any more. */
  close(): void {
    for (const { subscription } of this.#types.values()) subscription.close();
    this.#types.clear();
  }

  status(): TypeStatus[] {
    return [...this.#types.values()].map(({ subscription, sentNonce, answeredNonce, rejections, problem }) => ({
      typeUrl: subscription.typeUrl,
      wildcard: subscription.wildcard,
      pending: subscription.pending + (subscription.typeUrl === AUTHORIZATION_TYPE ? this.#gonePolicies.size : 0),
      acknowledged: sentNonce === answeredNonce,
      rejections,
      problem,
    }));
  }

  #policies(): DeltaResponse | 'later' | null {
    const state = this.#types.get(AUTHORIZATION_TYPE);
    if (state === undefined) return null;
    const { subscription } = state;
    for (let answers = subscription.owesAnswer; ; answers = subscription.owesAnswer) {
      const content = subscription.take();
      if (content === null || content === 'later') return content;
      for (const name of content.removed) this.#gonePolicies.add(name);
      // Only the answer to a request is sent when it is empty (C2).
      if (content.resources.length > 0 || answers) return this.#respond(state, { ...content, removed: [] });
    }
  }

  #removedPolicies(): DeltaResponse | null {
    const state = this.#types.get(AUTHORIZATION_TYPE);
    if (state === undefined || this.#gonePolicies.size === 0) return null;
    const removed = [...this.#gonePolicies].filter((name) => this.#view.get(AUTHORIZATION_TYPE, name) === null);
    this.#gonePolicies.clear();
    return removed.length === 0 ? null : this.#respond(state, { resources: [], removed, framed: null, more: false });
  }

  #contentOf(typeUrl: TypeUrl): DeltaResponse | 'later' | null {
    const state = this.#types.get(typeUrl);
    if (state === undefined) return null;
    const content = state.subscription.take();
    return content === null || content === 'later' ? content : this.#respond(state, content);
  }

  #respond(state: TypeState, { resources, removed, framed, more }: Content): DeltaResponse {
    state.sentNonce = nonceOf(this.#newNonce(), more);
    const withAliases = !state.subscription.wildcard;
    const systemVersion = this.#view.systemVersion();
    const askedBuckets = state.announced ? null : (state.subscription.awaitedBuckets ?? new Set<number>());
    state.announced = true;
    return {
      typeUrl: state.subscription.typeUrl,
      nonce: state.sentNonce,
      systemVersion,
      resources,
      removed,
      framed: withAliases ? null : framed,
      withAliases,
      askedBuckets,
    };
  }
}

function namesOf(request: DeltaDiscoveryRequest): { subscribe: string[]; unsubscribe: string[] } {
  return { subscribe: request.resourceNamesSubscribe, unsubscribe: request.resourceNamesUnsubscribe };
}

/** The sending half of one client's delta stream, as a transport offers it. */
export type DiscoveryStream = {
  /** Address of the client, for logs. */
  peer: string;
  /** Sends one encoded DeltaDiscoveryResponse, in parts that stay as they are; false when the client is behind: wait for `drained`. */
  send(parts: readonly Buffer[]): boolean;
  /** Ends the stream with a status. */
  end(error: RpcError): void;
};

/** What a transport tells of one client's stream. */
export type DiscoveryListener = {
  receive(request: DeltaDiscoveryRequest): void;
  /** The client took what was sent. */
  drained(): void;
  /** The stream is over, whoever ended it. Called once. */
  closed(): void;
};
