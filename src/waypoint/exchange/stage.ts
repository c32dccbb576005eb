import type { ResponseHead } from '#protocol/http/message.ts';
import type { Carrier } from '#waypoint/exchange/carrier.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import type { LocalReply } from '#waypoint/exchange/local-reply.ts';

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
 * One step in the life of a request. Stages decide through pure functions of src/model and keep no state of a
 * request but in its exchange. A stage that must wait returns a promise; the exchange may be over when it resolves.
 */
export type Stage = {
  readonly name: string;
  /** In list order, until one does not say `next`. */
  request?(exchange: Exchange, carrier: Carrier): StageResult | Promise<StageResult>;
  /** The last byte of the request's body has come; not called for requests without body. */
  requestEnded?(exchange: Exchange, carrier: Carrier): void;
  /** In reverse order, before the head goes out. `local`: it is an answer of our own. */
  response?(exchange: Exchange, head: ResponseHead, local: boolean): void;
  /** In list order, once, however the exchange ended. */
  end?(exchange: Exchange, carrier: Carrier): void;
};
