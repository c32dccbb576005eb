import type { ByteStream } from '#model/effects/byte-stream.ts';
import { Cut } from '#model/effects/cut.ts';
import { guard, regardless } from '#model/effects/mishaps.ts';
import type { AttemptFacts } from '#model/resilience/attempts.ts';
import { joinFlags, type ResponseFlag } from '#model/telemetry/close-cause.ts';
import type { HeaderBlock } from '#protocol/http/header-block.ts';
import type {
  ClientConnection,
  ClientEvents,
  ClientStream,
  ResponseHead,
  ServerEvents,
  UpstreamProblem,
} from '#protocol/http/message.ts';
import type { BodyKeeper } from '#waypoint/exchange/body-keeper.ts';
import { type Exchange, noteGrpcAnswer, remainsAllowed, upstreamHead } from '#waypoint/exchange/exchange.ts';
import type { CarrierContext } from '#waypoint/exchange/flow.ts';
import { deniedReply, type LocalReply, REPLY, renderReply, replyFor } from '#waypoint/exchange/local-reply.ts';
import { relayUpgraded } from '#waypoint/exchange/upgraded.ts';
import { type LiveConnection, NO_CONFIGURATION, type Snapshot } from '#waypoint/state/snapshot.ts';

/**
 * Moves one request and its response between its two halves, and ends the exchange exactly once. It is what both
 * engines report to.
 */
export class Carrier implements ServerEvents, ClientEvents, LiveConnection {
  place = -1;
  /** Sees each piece of the request's body, lent, before anything else does; null: nobody. */
  tap: ((data: Buffer) => void) | null = null;
  readonly #exchange: Exchange;
  readonly #context: CarrierContext<Carrier>;
  #upstream: ClientStream | null = null;
  #upgraded: Cut | null = null;
  #kept: BodyKeeper | null = null;
  #bodyStarted = false;
  #informed = false;
  #responded = false;

  constructor(exchange: Exchange, context: CarrierContext<Carrier>) {
    this.#exchange = exchange;
    this.#context = context;
    // No `onBodyEnd` will come for it, and the upstream's time is counted from here.
    if (!exchange.request.hasBody) exchange.requestEndedMs = exchange.startedMs;
    context.live.add(this);
  }

  /** Whether something of a response has gone out. */
  get responseBegun(): boolean {
    return this.#responded || this.#informed;
  }

  /** Whether the request's body could be sent once more. */
  get body(): AttemptFacts['body'] {
    if (!this.#bodyStarted) return 'unsent';
    return this.#kept?.isWhole === true ? 'kept' : 'lost';
  }

  /** What of the body has come before the first try. */
  get gathered(): Buffer | null {
    return this.#kept?.kept ?? null;
  }

  /** Keeps the request's body for a further try; before the first one begins. One that is kept already is. */
  keepBody(keeper: BodyKeeper): void {
    this.#kept ??= keeper;
  }

  /** Sends the request on, and all of its body that was kept. */
  attach(connection: ClientConnection): void {
    const { request, stream } = this.#exchange;
    const upstream = connection.send(upstreamHead(this.#exchange), !request.hasBody, this);
    this.#upstream = upstream;
    if (!request.hasBody) return;
    const hasBegun = this.#bodyStarted || (this.gathered?.length ?? 0) > 0;
    const resumes = this.#kept?.begin(upstream) === true && hasBegun;
    this.#bodyStarted = true;
    stream.startBody();
    // The try before may have stopped the client, or whoever took the body in before there was one.
    if (resumes) stream.resumeBody();
    this.#upstream?.flush();
  }

  /** Gives the try under way up, with all that it has been sent. */
  abandon(): void {
    this.#upstream?.abort();
    this.#upstream = null;
  }

  /** Answers in the upstream's place. */
  reply(reply: LocalReply): void {
    const exchange = this.#exchange;
    if (exchange.over) return;
    this.abandon();
    if (this.#responded) {
      this.#breakOff(reply.flag, reply.details);
      return;
    }
    // Our own answer passes the stages' `response` like any other: it gets its date, and no route's header edits.
    const { head, body } = renderReply(exchange, reply);
    this.#context.counters.localReplies++;
    exchange.details = reply.details;
    exchange.grpcStatus = head.headers.get('grpc-status');
    exchange.bytesSent = body?.length ?? 0;
    this.#beginResponse(head, true);
    // Over before it is written: writing may bring the client's next request, or tell at once that the client is gone.
    this.#finish(reply.flag, () => {
      exchange.stream.respond(head, body === null);
      if (body === null) return;
      exchange.stream.write(body);
      exchange.stream.end(null);
    });
  }

  /** The request took longer than its route allows: 504, or a cut if the response has begun (W39). */
  timeOut(reply = REPLY.timeout): void {
    this.reply(reply);
  }

  /** A mistake of ours over this exchange: it ends, with 500 if nothing of a response has gone out. */
  giveUp(): void {
    regardless(() => this.reply(REPLY.mistake));
    // Answering it may be what went wrong.
    if (!this.#exchange.over) regardless(() => this.#breakOff('LR', 'a mistake of the waypoint'));
  }

  /** No connection could be had, or the upstream gave no complete response. */
  fail(problem: UpstreamProblem): void {
    this.#upstream = null;
    if (this.#exchange.over || this.#context.flow.tryAgain(this.#exchange, this, problem)) return;
    this.reply(replyFor(problem));
  }

  isAllowed(snapshot: Snapshot): boolean {
    return snapshot !== NO_CONFIGURATION && remainsAllowed(this.#exchange, snapshot);
  }

  /** A policy came to deny the request while it was under way. */
  cut(): void {
    // After an upgrade there is no response to answer with, only a byte stream to end.
    this.#upgraded?.abort(new Error('a policy has changed'));
    this.reply(deniedReply('changed'));
  }

  onBody(data: Buffer): boolean {
    this.#exchange.bytesReceived += data.length;
    this.#exchange.requestMessages?.take(data);
    if (this.tap !== null) this.tap(data);
    if (this.#kept !== null) return this.#takeKept(this.#kept, data);
    return this.#upstream === null || this.#upstream.write(data);
  }

  onBodyEnd(trailers: HeaderBlock | null): void {
    this.#exchange.requestEndedMs = this.#context.clock.monotonicMs();
    this.#context.flow.requestEnded(this.#exchange, this);
    if (this.#kept === null) this.#upstream?.end(trailers);
    else this.#kept.end(trailers, this.#upstream);
  }

  onGone(why: 'disconnect' | 'reset' | 'protocol-error'): void {
    if (this.#exchange.over) return;
    this.#upgraded?.abort(new Error('the connection was ended'));
    this.abandon();
    // `reset` is the client's choice in HTTP/2 and says nothing of the connection, so it has a flag of its own.
    const flags = { disconnect: 'DC', reset: 'DR', 'protocol-error': 'DPE' } as const;
    this.#exchange.details = `downstream_${why}`;
    this.#finish(flags[why]);
  }

  onDownstreamWritable(): void {
    this.#upstream?.resume();
  }

  onRequestTurnEnd(): void {
    this.#upstream?.flush();
  }

  onInform(head: ResponseHead): void {
    if (this.#exchange.over) return;
    this.#informed = true;
    this.#kept?.settle();
    this.#exchange.stream.inform(head);
  }

  /** A response without body ends the exchange here: the downstream engine may start on the next request at once. */
  onResponse(head: ResponseHead, end: boolean): void {
    const exchange = this.#exchange;
    // An answer that is dropped is ended while its try is known: its own end would pass for that of the request.
    if (exchange.over || this.#context.flow.answered(exchange, this, head)) return;
    if (end) this.#upstream = null;
    this.#beginResponse(head, false);
    if (exchange.isGrpc) noteGrpcAnswer(exchange, head);
    if (end) this.#finish('-', () => exchange.stream.respond(head, true));
    else this.#send(() => exchange.stream.respond(head, false));
  }

  onResponseBody(data: Buffer): boolean {
    this.#exchange.bytesSent += data.length;
    this.#exchange.responseMessages?.take(data);
    return this.#exchange.stream.write(data);
  }

  onResponseEnd(trailers: HeaderBlock | null): void {
    const exchange = this.#exchange;
    if (exchange.over) return;
    this.#upstream = null;
    // In gRPC the status that counts comes last; in the head it is there only when nothing else follows.
    if (trailers !== null && exchange.isGrpc) exchange.grpcStatus = trailers.get('grpc-status') ?? exchange.grpcStatus;
    this.#finish('-', () => exchange.stream.end(trailers));
  }

  onFailure(problem: UpstreamProblem): void {
    this.#guard(
      () => this.fail(problem),
      () => this.giveUp(),
    );
  }

  onUpstreamWritable(): void {
    const upstream = this.#upstream;
    if (this.#kept !== null && upstream !== null) {
      const open = this.#kept.resume(upstream);
      upstream.flush();
      if (!open) return;
    }
    this.#exchange.stream.resumeBody();
  }

  onResponseTurnEnd(): void {
    this.#exchange.stream.flush();
  }

  onUpgrade(head: ResponseHead, upstream: ByteStream): void {
    const exchange = this.#exchange;
    this.#upstream = null;
    this.#beginResponse(head, false);
    // From here on both streams are plain bytes; no engine looks at them any more.
    const downstream = exchange.stream.upgrade(head);
    if (downstream === null) {
      upstream.reset();
      this.#breakOff('LR', 'upgrade_failed');
      return;
    }
    const cut = new Cut();
    this.#upgraded = cut;
    const { relay, mishaps } = this.#context;
    relayUpgraded({ relay, mishaps, downstream, upstream, cut }, (end) => {
      this.#upgraded = null;
      exchange.bytesReceived += end.bytesFromA;
      exchange.bytesSent += end.bytesFromB;
      if (!exchange.over) this.#finish(end.brokenBy === null ? '-' : end.brokenBy === 'a' ? 'DC' : 'UC');
    });
  }

  #takeKept(kept: BodyKeeper, data: Buffer): boolean {
    const open = kept.take(data, this.#upstream);
    // Too much came between two tries: the next one could not be given all of it, so the answer is what the last one failed of.
    const problem = this.#upstream === null && !kept.isWhole ? this.#exchange.attempt?.previous?.outcome : null;
    if (typeof problem === 'object' && problem !== null) this.reply(replyFor(problem));
    return open;
  }

  #beginResponse(head: ResponseHead, local: boolean): void {
    this.#responded = true;
    this.#kept?.settle();
    this.#exchange.status = head.status;
    this.#exchange.respondedMs = this.#context.clock.monotonicMs();
    this.#context.flow.response(this.#exchange, head, local);
  }

  /** The response has begun and cannot be completed. */
  #breakOff(flag: ResponseFlag, details: string): void {
    this.#exchange.details = details;
    this.#finish(flag, () => this.#exchange.stream.reset());
  }

  /** The exchange may be over by now: nobody else would end the client's half if this cannot. */
  #send(act: () => void): void {
    this.#guard(act, () => this.#exchange.stream.reset());
  }

  #guard(act: () => void, drop: () => void): void {
    guard(this.#context.mishaps, 'request', act, drop);
  }

  /** `last`: sends what is left of the response. The exchange is over by then. */
  #finish(flag: ResponseFlag, last: (() => void) | null = null): void {
    this.#exchange.over = true;
    this.#exchange.flag = joinFlags(flag, this.#exchange.retryFlag);
    this.#kept?.release();
    this.#kept = null;
    this.#context.live.delete(this);
    // What is only told at the end must not keep the end itself from the client.
    this.#guard(
      () => this.#context.flow.end(this.#exchange, this),
      () => {},
    );
    if (last !== null) this.#send(last);
    this.#context.flow.sent(this.#exchange);
  }
}
