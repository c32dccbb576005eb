import type { AttemptDecision, AttemptPolicy } from '#model/resilience/attempts.ts';
import type { ResponseHead, UpstreamProblem } from '#protocol/http/message.ts';
import type { Attempt } from '#waypoint/exchange/attempt.ts';
import type { Carrier } from '#waypoint/exchange/carrier.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import type { LocalReply } from '#waypoint/exchange/local-reply.ts';
import type { Counters, Telemetry } from '#waypoint/self/counters.ts';
import type { WaypointEffects } from '#waypoint/self/effects.ts';
import type { Slots } from '#waypoint/state/slots.ts';
import type { WaypointState } from '#waypoint/state/waypoint-state.ts';
import type { Clusters } from '#waypoint/upstream/clusters.ts';
import type { Upstreams } from '#waypoint/upstream/upstreams.ts';

/** What a stage says of a request. */
export type StageResult =
  | { readonly kind: 'next' }
  | { readonly kind: 'reply'; readonly reply: LocalReply }
  /** The request is on its way; no further stage is asked. */
  | { readonly kind: 'carried' };

/** The results that carry nothing. */
export const NEXT: StageResult = { kind: 'next' };
export const CARRIED: StageResult = { kind: 'carried' };

/** Ends the request with an answer of our own. */
export function replyWith(reply: LocalReply): StageResult {
  return { kind: 'reply', reply };
}

/**
 * One feature's part in the life of a request. Stages decide through pure functions of src/model. What a stage must
 * remember lies in slots: of the exchange, or of the state for what outlives it. A stage that must wait returns a
 * promise; the exchange may be over when it resolves.
 */
export type Stage = {
  readonly name: string;
  /** Once, in list order, until one does not say `next`. */
  request?(exchange: Exchange, carrier: Carrier): StageResult | Promise<StageResult>;
  /** For each try, after every `request`, in list order, until one does not say `next`. */
  attempt?(exchange: Exchange, attempt: Attempt, carrier: Carrier): StageResult;
  /** A try failed: whether there is another. The first stage that says so decides. */
  attemptFailed?(exchange: Exchange, attempt: Attempt, problem: UpstreamProblem, carrier: Carrier): AttemptDecision;
  /** A try has brought an answer: whether it is dropped for another one. The first stage that says so decides. */
  attemptAnswered?(exchange: Exchange, attempt: Attempt, head: ResponseHead, carrier: Carrier): AttemptDecision;
  /** A try is over, with its outcome; before the next one begins or the exchange ends. */
  attemptEnd?(exchange: Exchange, attempt: Attempt): void;
  /** The last byte of the request's body has come; not called for requests without body. */
  requestEnded?(exchange: Exchange, carrier: Carrier): void;
  /** In reverse order, before the head goes out. `local`: it is an answer of our own. */
  response?(exchange: Exchange, head: ResponseHead, local: boolean): void;
  /** In list order, once, however the exchange ended. */
  end?(exchange: Exchange, carrier: Carrier): void;
  /** After that, when nothing more of the response will be handed to the client's connection. */
  sent?(exchange: Exchange): void;
};

/** What the stages of one waypoint are made of. */
export type StageParts = {
  readonly effects: WaypointEffects;
  readonly counters: Counters;
  readonly telemetry: Telemetry;
  /** Values by service, by endpoint and by configuration. */
  readonly state: WaypointState;
  /** Values by request. */
  readonly perExchange: Slots<Exchange>;
  readonly upstreams: Upstreams;
  readonly clusters: Clusters;
  readonly attempts: AttemptPolicy;
  /** How many share a limit: replicas of this waypoint, each in as many parts as it serves in. */
  replicas(): number;
};
