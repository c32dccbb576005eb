import type { ByteStream } from '#model/effects/byte-stream.ts';
import type { PathNormalization } from '#model/waypoint/config.ts';
import type { HeaderBlock } from '#protocol/http/header-block.ts';

/** How a message is carried. */
export type HttpVersion = 'http1' | 'http2';

/** A request head, whichever version carried it. Hop-by-hop headers are already gone from `headers`, as is `host`. */
export type RequestHead = {
  readonly version: HttpVersion;
  readonly method: string;
  /** Normalized path with its query; `*` for OPTIONS; the authority for CONNECT. */
  readonly target: string;
  /** Host or :authority, as the client wrote it. */
  readonly authority: string;
  readonly headers: HeaderBlock;
  readonly hasBody: boolean;
  /** Bytes of the body as declared; null when not declared. */
  readonly contentLength: number | null;
  /** The protocol that is asked for, in lower case: of HTTP/1.1 `websocket`, since any other Upgrade is ignored; null for none. */
  readonly upgrade: string | null;
};

/** A response head. `content-length` is a field of its own: every engine frames messages afresh. */
export type ResponseHead = {
  readonly status: number;
  readonly headers: HeaderBlock;
  /** Bytes of the body as declared; null when not declared. */
  readonly contentLength: number | null;
};

/** Why a request cannot be read; answered by the engine itself, then the connection closes. */
export type ProtocolProblem = { readonly status: number; readonly details: string };

/** Why an upstream gave no (complete) response. */
export type UpstreamProblem = {
  readonly kind:
    | 'connect-failure'
    | 'connect-timeout'
    | 'closed'
    | 'remote-reset'
    | 'local-reset'
    | 'protocol-error'
    | 'head-too-large'
    /** Too much is under way towards it. */
    | 'overflow'
    /** One try took longer than it may. */
    | 'too-slow';
  /** What was seen, for logs. */
  readonly details: string;
  /** Not one byte of a response came, over a connection that had served before: the peer had closed it while idle. */
  readonly staleConnection: boolean;
  /**
   * The upstream has surely done nothing with the request: it was never sent, or the peer said so (REFUSED_STREAM, a GOAWAY
   * that does not cover it). It may be sent again, whatever it is.
   */
  readonly unprocessed: boolean;
};

/**
 * Bytes of one request and its response between the client and us so far: heads, bodies and their framing, as on the wire but for
 * encryption. Of HTTP/1.1 what follows an upgrade is not in them.
 */
export type WireBytes = { readonly receivedBytes: number; readonly sentBytes: number };

/** The downstream half of one request, as an engine offers it. One response per request. */
export type ServerStream = {
  /** Of the request under way: the next one has another. */
  readonly wire: WireBytes;
  /** Forwards a 100, 102 or 103. */
  inform(head: ResponseHead): void;
  /** Starts the response; `end`: there is no body. */
  respond(head: ResponseHead, end: boolean): void;
  /** Takes a lent piece. False: stop until `ServerEvents.onDownstreamWritable`. */
  write(data: Buffer): boolean;
  /** HTTP/1 drops trailers. */
  end(trailers: HeaderBlock | null): void;
  /** Sends what has been gathered so far in this turn. */
  flush(): void;
  /** Breaks off a response that cannot be completed. */
  reset(): void;
  /** Lets the request's body flow to the events; before this the engine holds it back. */
  startBody(): void;
  /** After `write` of the other side said false. */
  resumeBody(): void;
  /** Answers 101 and hands the byte stream over: its next reader gets what the client has sent since. Null: not possible here. */
  upgrade(head: ResponseHead): ByteStream | null;
};

/** What happens on the downstream half. After `onGone` nothing more is called. */
export type ServerEvents = {
  /** A piece, lent during the call. False: hold the rest back until `ServerStream.resumeBody`. */
  onBody(data: Buffer): boolean;
  onBodyEnd(trailers: HeaderBlock | null): void;
  /** The client left, or its message broke off. `reset`: it withdrew this request only (HTTP/2). */
  onGone(why: 'disconnect' | 'reset' | 'protocol-error'): void;
  onDownstreamWritable(): void;
  /** Everything that one read brought has been delivered: time to flush. */
  onRequestTurnEnd(): void;
};

/** What receives requests from an engine. */
export type RequestHandler = {
  /** The form in which it takes targets; read for each request. */
  readonly pathNormalization: PathNormalization;
  onRequest(head: RequestHead, stream: ServerStream): ServerEvents;
  /** A message that never became a request; already answered. */
  onProblem(problem: ProtocolProblem): void;
  /** A mistake of ours over one connection or stream; that one has been cut. */
  onMistake(error: unknown): void;
};

/** One downstream connection that speaks HTTP. */
export type ServerConnection = {
  /** Finishes the requests under way, then closes. One on which nothing was asked yet waits for that, until it is told again. */
  drain(): void;
  /** Called at regular intervals: closes when more than `roundsMax` calls in a row found no request under way. */
  closeIfIdle(roundsMax: number): void;
  destroy(): void;
};

/** The upstream half of one request. */
export type ClientStream = {
  /** Takes a lent piece. False: stop until `ClientEvents.onUpstreamWritable`. */
  write(data: Buffer): boolean;
  end(trailers: HeaderBlock | null): void;
  /** Sends what has been gathered so far in this turn. */
  flush(): void;
  /** After `onResponseBody` said false. */
  resume(): void;
  /** Gives the request up; nothing more is called. */
  abort(): void;
};

/** What happens on the upstream half. Nothing is called after `onResponseEnd`, `onFailure` or `onUpgrade`. */
export type ClientEvents = {
  onInform(head: ResponseHead): void;
  onResponse(head: ResponseHead, end: boolean): void;
  /** A piece, lent during the call. False: hold the rest back until `ClientStream.resume`. */
  onResponseBody(data: Buffer): boolean;
  onResponseEnd(trailers: HeaderBlock | null): void;
  /** The upstream switched protocols; the byte stream is handed over, and its next reader gets what it has sent since. */
  onUpgrade(head: ResponseHead, stream: ByteStream): void;
  onFailure(problem: UpstreamProblem): void;
  onUpstreamWritable(): void;
  /** Everything that one read brought has been delivered: time to flush. */
  onResponseTurnEnd(): void;
};

/** One upstream connection. */
export type ClientConnection = {
  /** Requests it could take now; 0 when it is busy or no longer usable. */
  capacity(): number;
  /** Whether no request is under way. */
  isIdle(): boolean;
  /** The body follows through the returned stream unless `end`. */
  send(head: RequestHead, end: boolean, events: ClientEvents): ClientStream;
  /** Closes once nothing is under way. */
  retire(): void;
};

/** How an upstream connection reports to the pool that owns it. */
export type ClientOwner = {
  /** It serves no more, and has ended its direction: the peer has to end its own. */
  onEnding(connection: ClientConnection): void;
  /** It can take a request, or one more. An HTTP/2 connection says so first when it knows how many the peer takes. */
  onIdle(connection: ClientConnection): void;
  /** It will take no more. */
  onClosed(connection: ClientConnection): void;
  /** A mistake of ours over one connection or stream; that one has failed. */
  onMistake(error: unknown): void;
};

/** HTTP/2 with prior knowledge over any byte stream. An effect, so that tests can compare it with another. */
export type Http2Engine = {
  /** Takes over a stream that begins with the client preface. `early`: what of it was taken from the stream before. */
  accept(stream: ByteStream, handler: RequestHandler, early: Buffer | null): ServerConnection;
  /** Starts a client connection on a fresh stream. */
  connect(stream: ByteStream, owner: ClientOwner): ClientConnection;
};
