import { WAYPOINT } from '#model/settings/waypoints.ts';

/** How one try to get a response ended without one. */
export type AttemptFailure =
  /** No byte of the request was sent. */
  | 'never-sent'
  /** The peer said so (a refused stream, a GOAWAY that does not cover it), or never got it: it processed nothing. */
  | 'not-processed'
  /**
   * A connection that had served before ended without a byte of an answer. Nearly always the peer had closed it while it was
   * idle; but it may have read the request first.
   */
  | 'stale'
  /** Anything later: the request may have had its effect. */
  | 'perhaps-processed'
  /** Its time was over before it answered. */
  | 'too-slow'
  /** It answered, with a status that its route takes for a failure. */
  | 'status'
  /** Too much is under way already: one more try would be more. */
  | 'overflow';

/** What an operator, or a route, allows. */
export type AttemptPolicy = {
  /** Tries in all, the first one included. */
  readonly triesMax: number;
  /** After which failures the request is sent again. */
  readonly after: readonly AttemptFailure[];
  /** After which more, where the method may be repeated. */
  readonly whenRepeatable?: readonly AttemptFailure[];
  /** Bytes of one request's body kept for a further try; 0: none is kept, and a request with a body has one try. */
  readonly keptBodyBytesMax: number;
  /** Bytes of all bodies that a waypoint keeps at one time. */
  readonly keptBodiesBytesMax: number;
};

/**
 * One more try where surely nothing was processed, by another endpoint where this one cannot be reached; and, for methods that change nothing, where that is likely: it hides from
 * clients that servers close idle connections whenever they like.
 */
export const DEFAULT_ATTEMPTS: AttemptPolicy = {
  triesMax: WAYPOINT.triesMax,
  after: ['never-sent', 'not-processed'],
  keptBodyBytesMax: WAYPOINT.keptBodyBytesMax,
  keptBodiesBytesMax: WAYPOINT.keptBodiesBytesMax,
};

/** What is known when a try has failed. */
export type AttemptFacts = {
  readonly failure: AttemptFailure;
  /** The method changes nothing, however often it comes (RFC 9110 9.2.1). */
  readonly isSafe: boolean;
  /** Doing it twice is as doing it once (RFC 9110 9.2.2). */
  readonly isRepeatable: boolean;
  /** The try that failed; 1 is the first. */
  readonly tryNumber: number;
  /** `unsent`: there is none, or none of it was taken yet. `kept`: all that has come can be sent again. `lost`: some of it is gone. */
  readonly body: 'unsent' | 'kept' | 'lost';
  /** The client has been sent something of a response, an interim one included. */
  readonly responseBegun: boolean;
  /** Milliseconds until the client must have its answer; null: no bound. */
  readonly remainingMs: number | null;
  /** Milliseconds that a further try would wait. */
  readonly pauseMs: number;
};

/** Whether the request is sent again. */
export type AttemptDecision =
  | {
      readonly kind: 'try-again';
      /** `same`: the endpoint is not at fault. `any`: it is chosen anew. */
      readonly endpoint: 'same' | 'any';
      /** Not over a connection that has served before: the others may have been closed in the same moment. */
      readonly freshConnection: boolean;
      /** Milliseconds until then. */
      readonly pauseMs: number;
    }
  | {
      readonly kind: 'give-up';
      readonly why: 'response-begun' | 'tries-spent' | 'out-of-time' | 'body-lost' | 'not-allowed' | 'overflow';
    };

/** Decides after a failed try. The one place that says a request is sent twice (promise 10). */
export function decideAttempt(facts: AttemptFacts, policy: AttemptPolicy): AttemptDecision {
  if (facts.responseBegun) return { kind: 'give-up', why: 'response-begun' };
  if (!isAllowed(facts, policy)) return { kind: 'give-up', why: 'not-allowed' };
  if (facts.tryNumber >= policy.triesMax) return { kind: 'give-up', why: 'tries-spent' };
  if (facts.body === 'lost') return { kind: 'give-up', why: 'body-lost' };
  if (facts.remainingMs !== null && facts.remainingMs <= facts.pauseMs) return { kind: 'give-up', why: 'out-of-time' };
  const sameEndpoint = facts.failure === 'not-processed' || facts.failure === 'stale';
  return { kind: 'try-again', endpoint: sameEndpoint ? 'same' : 'any', freshConnection: sameEndpoint, pauseMs: facts.pauseMs };
}

function isAllowed({ failure, isSafe, isRepeatable }: AttemptFacts, { after, whenRepeatable = [] }: AttemptPolicy): boolean {
  if (after.includes(failure) || (isRepeatable && whenRepeatable.includes(failure))) return true;
  return failure === 'stale' && isSafe && after.includes('not-processed');
}

/** Methods that may be repeated (RFC 9110 9.2.2). */
export function isRepeatableMethod(method: string): boolean {
  return isSafeMethod(method) || method === 'PUT' || method === 'DELETE';
}

/** Methods that change nothing (RFC 9110 9.2.1). */
export function isSafeMethod(method: string): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS' || method === 'TRACE';
}

/** What is known of a body when its request comes. */
export type BodyFacts = {
  readonly hasBody: boolean;
  /** Null: not declared. */
  readonly contentLength: number | null;
  /** Its upstream may say that it did not process a request: only HTTP/2 can. */
  readonly mayBeRefused: boolean;
};

const SURELY_NOTHING: readonly AttemptFailure[] = ['not-processed', 'never-sent'];

/** Whether a request's body is worth keeping: only if a further try could use it. */
export function keepsBody(policy: AttemptPolicy, { hasBody, contentLength, mayBeRefused }: BodyFacts): boolean {
  if (!hasBody || policy.triesMax < 2 || policy.after.length === 0) return false;
  // What was never sent has its body yet.
  const asksForMore = policy.whenRepeatable !== undefined || policy.after.some((failure) => !SURELY_NOTHING.includes(failure));
  if (!mayBeRefused && !asksForMore) return false;
  return policy.keptBodyBytesMax > 0 && (contentLength ?? 0) <= policy.keptBodyBytesMax;
}
