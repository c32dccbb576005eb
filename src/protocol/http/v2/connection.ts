import { DEFAULT_WINDOW_BYTES, ERROR_CODE, FLAG, FRAME, Http2Error, STREAM_ID_MAX, WINDOW_BYTES_LIMIT } from './constants.ts';
import { FloodGuard } from './flood-guard.ts';
import { FrameReader, readErrorCode, readGoaway, readIncrement, requirePing } from './frame-reader.ts';
import { goawayFrame, pingFrame, rstStreamFrame, settingsAckFrame, windowUpdateFrame } from './frame-writer.ts';
import { type HeaderBlock, HeaderBlocks } from './header-blocks.ts';
import type { Header } from './hpack-table.ts';
import { ReceiveWindow } from './receive-window.ts';
import { applySettings, DEFAULT_PEER_SETTINGS, openingBytes, type PeerSettings } from './settings.ts';
import { type Http2Options, Http2Stream, type StreamHandler, type StreamHost, type Transport } from './stream.ts';

/**
 * One HTTP/2 connection that carries byte tunnels (RFC 9113 without push and priorities).
 * Pure: bytes come in through `receive`, go out through the transport.
 */
export class Http2Connection implements StreamHost {
  readonly transport: Transport;
  readonly blocked = new Set<Http2Stream>();
  sendWindowBytes = DEFAULT_WINDOW_BYTES;
  readonly #options: Http2Options;
  readonly #reader: FrameReader;
  readonly #blocks: HeaderBlocks;
  readonly #window: ReceiveWindow;
  readonly #floods: FloodGuard;
  readonly #streams = new Map<number, Http2Stream>();
  #peer: PeerSettings = DEFAULT_PEER_SETTINGS;
  #settled = false;
  #lastPeerStreamId = 0;
  #nextStreamId = 1;
  #refusing = false;
  #dead = false;

  /** Sends the preface and our settings at once. */
  constructor(options: Http2Options) {
    const { settings, role } = options;
    this.#options = options;
    this.transport = options.transport;
    const sink = { data: this.#onData.bind(this), frame: this.#onFrame.bind(this) };
    this.#reader = new FrameReader(sink, settings.frameBytesMax, role === 'server');
    this.#blocks = new HeaderBlocks(settings.headerListBytesMax);
    this.#window = new ReceiveWindow(settings.connectionWindowBytes);
    this.#floods = new FloodGuard(options.nowMs);
    this.transport.write(openingBytes(role, settings));
  }

  /** Largest frame the peer takes. */
  get peerFrameBytesMax(): number {
    return this.#peer.frameBytesMax;
  }

  /** Open streams the peer allows us. */
  get peerStreamsMax(): number {
    return this.#peer.concurrentStreamsMax;
  }

  /** Number of open streams. */
  get streams(): number {
    return this.#streams.size;
  }

  /** Feeds bytes of the peer; the chunk may be reused afterwards. */
  receive(chunk: Buffer): void {
    if (this.#dead) return;
    try {
      this.#reader.receive(chunk);
    } catch (error) {
      if (!(error instanceof Http2Error)) throw error;
      this.#fail(error);
    }
  }

  /** Client only: opens a stream; null when no stream identifier is left. */
  open(headers: readonly Header[], handler: StreamHandler): Http2Stream | null {
    if (this.#dead || this.#nextStreamId > STREAM_ID_MAX) return null;
    const stream = this.#addStream(this.#nextStreamId, handler);
    this.#nextStreamId += 2;
    stream.sendHeaders(headers, false);
    return stream;
  }

  /** The transport can take more bytes. */
  drained(): void {
    if (this.blocked.size > 0) this.#flushBlocked();
  }

  /** `payload` is eight bytes; `pong` follows. */
  ping(payload: Uint8Array): void {
    if (!this.#dead) this.transport.write(pingFrame(payload, false));
  }

  /** Announces the end: `final` names the last stream that we will serve, else all that are on their way still count. */
  goaway(errorCode: number, reason: string, final: boolean): void {
    this.#refusing ||= final;
    if (!this.#dead) this.transport.write(goawayFrame(final ? this.#lastPeerStreamId : STREAM_ID_MAX, errorCode, reason));
  }

  /** The transport is gone: every stream is reset. */
  lost(): void {
    this.#dead = true;
    for (const stream of [...this.#streams.values()]) stream.receiveReset(ERROR_CODE.connectError, false);
  }

  giveBack(bytes: number): void {
    const announced = this.#window.giveBack(bytes);
    if (announced > 0 && !this.#dead) this.transport.write(windowUpdateFrame(0, announced));
  }

  closed(stream: Http2Stream): void {
    if (this.#streams.delete(stream.id)) this.#options.events.streamClosed();
  }

  #addStream(id: number, handler: StreamHandler): Http2Stream {
    const stream = new Http2Stream(id, this, handler, this.#peer.initialWindowBytes, this.#options.settings.streamWindowBytes);
    this.#streams.set(id, stream);
    return stream;
  }

  #fail(error: Http2Error): void {
    this.transport.write(goawayFrame(this.#lastPeerStreamId, error.http2Code, error.message));
    this.lost();
    this.#options.events.failed(error);
  }

  #flushBlocked(): void {
    const waiting = [...this.blocked];
    this.blocked.clear();
    for (const stream of waiting) stream.flush();
  }

  #onData(streamId: number, chunk: Buffer, flowBytes: number, ended: boolean): void {
    demand(!this.#blocks.open, ERROR_CODE.protocolError, INTERRUPTED);
    demand(this.#window.spend(flowBytes), ERROR_CODE.flowControlError, 'the peer overran the connection window');
    if (flowBytes === 0 && !ended) this.#floods.count('empty');
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      this.#requireKnown(streamId);
      this.giveBack(flowBytes);
      return;
    }
    const errorCode = stream.receive(chunk, flowBytes, ended);
    if (errorCode === 0) return;
    this.transport.write(rstStreamFrame(streamId, errorCode));
    stream.receiveReset(errorCode, false);
  }

  #onFrame(type: number, flags: number, streamId: number, payload: Buffer): void {
    demand(this.#settled || type === FRAME.settings, ERROR_CODE.protocolError, 'the first frame is not SETTINGS');
    demand(!this.#blocks.open || type === FRAME.continuation, ERROR_CODE.protocolError, INTERRUPTED);
    switch (type) {
      case FRAME.headers:
        this.#onHeaderBlock(this.#blocks.start(flags, streamId, payload));
        break;
      case FRAME.continuation:
        this.#onHeaderBlock(this.#blocks.proceed(flags, streamId, payload));
        break;
      case FRAME.priority:
        this.#floods.count('control');
        break;
      case FRAME.rstStream:
        this.#onReset(streamId, payload);
        break;
      case FRAME.settings:
        this.#onSettings(flags, streamId, payload);
        break;
      case FRAME.ping:
        this.#onPing(flags, payload);
        break;
      case FRAME.goaway:
        this.#onGoaway(payload);
        break;
      case FRAME.windowUpdate:
        this.#onWindowUpdate(streamId, payload);
        break;
      default:
        throw new Http2Error(ERROR_CODE.protocolError, 'PUSH_PROMISE was not asked for');
    }
  }

  #onHeaderBlock(block: HeaderBlock | null): void {
    if (block === null) return;
    const stream = this.#streams.get(block.streamId);
    if (stream !== undefined) {
      // A server sees only trailers here; a client its response, then trailers.
      if (this.#options.role === 'client') stream.handler.response(block.headers, block.ended);
      if (block.ended) stream.receiveEnd();
      return;
    }
    if (this.#options.role === 'client' || block.streamId <= this.#lastPeerStreamId) {
      this.#requireKnown(block.streamId);
      return;
    }
    demand(block.streamId % 2 === 1, ERROR_CODE.protocolError, 'even stream identifier');
    this.#lastPeerStreamId = block.streamId;
    if (this.#refusing || this.#streams.size >= this.#options.settings.concurrentStreamsMax) {
      this.#floods.count('reset');
      this.transport.write(rstStreamFrame(block.streamId, ERROR_CODE.refusedStream));
      return;
    }
    const opened = this.#addStream(block.streamId, IGNORE);
    opened.handler = this.#options.events.request(opened, block.headers, block.ended);
    if (block.ended) opened.receiveEnd();
  }

  #onReset(streamId: number, payload: Buffer): void {
    const errorCode = readErrorCode(payload);
    this.#requireKnown(streamId);
    const stream = this.#streams.get(streamId);
    // A tunnel that was answered has been paid for; a late reset has crossed with our end. Both are how apps hang up.
    if (stream === undefined || !stream.answered) this.#floods.count('reset');
    stream?.receiveReset(errorCode, errorCode === ERROR_CODE.refusedStream);
  }

  #onSettings(flags: number, streamId: number, payload: Buffer): void {
    demand(streamId === 0, ERROR_CODE.protocolError, 'SETTINGS on a stream');
    if ((flags & FLAG.ack) !== 0) return;
    this.#floods.count('control');
    const before = this.#peer;
    this.#peer = applySettings(before, payload);
    const wider = this.#peer.initialWindowBytes - before.initialWindowBytes;
    for (const stream of this.#streams.values()) {
      demand(stream.widen(wider, WINDOW_BYTES_LIMIT), ERROR_CODE.flowControlError, 'a stream window overflows');
    }
    this.transport.write(settingsAckFrame());
    if (!this.#settled) {
      this.#settled = true;
      this.#options.events.ready();
    }
    if (wider > 0) this.drained();
  }

  #onPing(flags: number, payload: Buffer): void {
    requirePing(payload);
    if ((flags & FLAG.ack) !== 0) {
      this.#options.events.pong();
      return;
    }
    this.#floods.count('control');
    this.transport.write(pingFrame(payload, true));
  }

  #onGoaway(payload: Buffer): void {
    const { lastStreamId, errorCode } = readGoaway(payload);
    this.#options.events.goaway(errorCode);
    if (this.#options.role === 'server') return;
    for (const stream of [...this.#streams.values()])
      if (stream.id > lastStreamId) stream.receiveReset(ERROR_CODE.refusedStream, true);
  }

  #onWindowUpdate(streamId: number, payload: Buffer): void {
    const bytes = readIncrement(payload);
    if (streamId === 0) {
      this.sendWindowBytes += bytes;
      demand(this.sendWindowBytes <= WINDOW_BYTES_LIMIT, ERROR_CODE.flowControlError, 'the connection window overflows');
      this.drained();
      return;
    }
    this.#requireKnown(streamId);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return;
    if (!stream.widen(bytes, WINDOW_BYTES_LIMIT)) {
      stream.receiveReset(ERROR_CODE.flowControlError, false);
      this.transport.write(rstStreamFrame(streamId, ERROR_CODE.flowControlError));
    } else if (this.blocked.delete(stream)) stream.flush();
  }

  /** Frames may arrive late for streams that are gone, never for streams that were not opened yet. */
  #requireKnown(streamId: number): void {
    const known =
      this.#options.role === 'client' ? streamId % 2 === 1 && streamId < this.#nextStreamId : streamId <= this.#lastPeerStreamId;
    demand(streamId !== 0 && known, ERROR_CODE.protocolError, 'a frame for an idle stream');
  }
}

const IGNORE: StreamHandler = { response() {}, data() {}, end() {}, reset() {}, writable() {} };

const INTERRUPTED = 'a header block was interrupted';

function demand(kept: boolean, errorCode: number, violation: string): void {
  if (!kept) throw new Http2Error(errorCode, violation);
}
