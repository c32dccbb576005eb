import type { Clock } from '#model/effects/clock.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { Roster } from '#model/effects/roster.ts';
import type { ResponseHead, UpstreamProblem } from '#protocol/http/message.ts';
import type { relayed } from '#protocol/stream/relay.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import type { Counters } from '#waypoint/self/counters.ts';
import type { LiveConnection } from '#waypoint/state/snapshot.ts';

/** What a carrier tells the stages; `Carrier` is its own type, so that the two files do not need one another. */
export type Flow<Carrier> = {
  /** A try has failed. True: there is another, which has begun. */
  tryAgain(exchange: Exchange, carrier: Carrier, problem: UpstreamProblem): boolean;
  /** An answer has come whose head has not gone out. True: it is not taken, and there is another try. */
  answered(exchange: Exchange, carrier: Carrier, head: ResponseHead): boolean;
  requestEnded(exchange: Exchange, carrier: Carrier): void;
  /** Before a response head goes out; `local`: it is an answer of our own. */
  response(exchange: Exchange, head: ResponseHead, local: boolean): void;
  end(exchange: Exchange, carrier: Carrier): void;
  /** After `end`, when nothing more of the response will be handed to the client's connection. */
  sent(exchange: Exchange): void;
};

/** What a carrier shares with all others. */
export type CarrierContext<Carrier> = {
  readonly clock: Clock;
  readonly counters: Counters;
  readonly flow: Flow<Carrier>;
  /** The exchanges under way. */
  readonly live: Roster<LiveConnection>;
  readonly relay: typeof relayed;
  readonly mishaps: Mishaps;
};
