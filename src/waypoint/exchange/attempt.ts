import type { Cancel } from '#model/effects/clock.ts';
import type { HttpVersion, UpstreamProblem } from '#protocol/http/message.ts';
import type { UpstreamEndpoint } from '#waypoint/state/kept.ts';
import type { Cluster } from '#waypoint/upstream/cluster.ts';

/** How a try ended, or that it has not. */
export type AttemptOutcome = 'under-way' | 'responded' | UpstreamProblem;

/** One try to get a response from one endpoint. Most exchanges have one; none if they are answered by a stage. */
export class Attempt {
  /** 1 is the first. */
  readonly number: number;
  /** The try before, whose outcome is why there is this one. */
  readonly previous: Attempt | null;
  /** The endpoint to use again; null: any. */
  readonly sameEndpoint: UpstreamEndpoint | null;
  /** Not over a connection that has served before. */
  readonly freshConnection: boolean;
  /** Set by the balance stage; null: none could be had. */
  endpoint: UpstreamEndpoint | null = null;
  /** Into which it was let, and which it leaves; null: nothing is said of where it goes. */
  cluster: Cluster | null = null;
  version: HttpVersion = 'http1';
  /** When the client must have its answer, in the clock's milliseconds; null: no bound, or the request is not complete yet. */
  deadlineMs: number | null = null;
  /** Ends the wait before it, or the bound on its time; null: there is none. */
  cancelTimer: Cancel | null = null;
  outcome: AttemptOutcome = 'under-way';

  constructor(previous: Attempt | null, sameEndpoint: UpstreamEndpoint | null, freshConnection: boolean) {
    this.number = previous === null ? 1 : previous.number + 1;
    this.previous = previous;
    this.sameEndpoint = sameEndpoint;
    this.freshConnection = freshConnection;
  }
}
