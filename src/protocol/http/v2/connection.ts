import { NumberTable } from '#model/effects/number-table.ts';
import { DEFAULT_WINDOW_BYTES, ERROR_CODE, FLAG, FRAME, Http2Error, STREAM_ID_MAX, WINDOW_BYTES_LIMIT } from './constants.ts';
import { CutStreams } from './cut-streams.ts';
import type { Http2Options } from './events.ts';
import type { Header } from './field.ts';
import { FloodGuard } from './flood-guard.ts';
import { demand, FrameReader, readErrorCode, readGoaway, readIncrement, requireOther, requirePing } from './frame-reader.ts';
import { goawayFrame, pingFrame, rstStreamFrame, settingsAckFrame, windowUpdateFrame } from './frame-writer.ts';
import { type HeaderBlock, HeaderBlocks } from './header-blocks.ts';
import { HpackEncoder } from './hpack-encoder.ts';
import { ConnectionWindow, GrownWindows } from './receive-window.ts';
import { IGNORE, type StreamHandler, type StreamHost, type Transport } from './roles.ts';
import { applySettings, DEFAULT_PEER_SETTINGS, openingBytes, type PeerSettings } from './settings.ts';
import { Http2Stream } from './stream.ts';

/**
 * One HTTP/2 connection that carries byte tunnels (RFC 9113 without push and priorities).
 * Pure: bytes come in through `receive`, go out through the transport.
 */
export class Http2Connection implements StreamHost {
  readonly transport: Transport;
  readonly blocked: StreamHost['blocked'] = new Set();
  readonly encoder = new HpackEncoder();
  readonly window: ConnectionWindow;
  sendWindowBytes = DEFAULT_WINDOW_BYTES;
  /** What the peer has announced. */
  peer: PeerSettings = DEFAULT_PEER_SETTINGS;
  readonly #options: Http2Options;
  readonly #reader: FrameReader;
  readonly #blocks: HeaderBlocks;
  readonly #floods: FloodGuard;
  readonly #streams = new NumberTable<Http2Stream>();
  readonly #cut: CutStreams;
  #settled = false;
  #lastPeerStreamId = 0;
  #nextStreamId = 1;
  #refusing = false;
  #dead = false;

  /** Sends the preface and our settings at once. */
  constructor(options: Http2Options) {
    const { settings, role, grown = new GrownWindows() } = options;
    this.#options = options;
    this.transport = options.transport;
    this.#cut = new CutStreams(role);
    const sink = { data: this.#onData.bind(this), frame: this.#onFrame.bind(this) };
    this.#reader = new FrameReader(sink, settings.frameBytesMax, role === 'server');
    this.#blocks = new HeaderBlocks(settings.headerListBytesMax, settings.headerBlockBytesMax ?? settings.headerListBytesMax);
    this.window = new ConnectionWindow(settings, grown, (bytes) => {
      if (!this.#dead) this.#put(windowUpdateFrame(0, bytes));
    });
    this.#floods = new FloodGuard(options.nowMs, options.floods);
    this.#put(openingBytes(role, settings));
  }

  /** Number of open streams. */
  get streams(): number {
    return this.#streams.size;
  }

  /** Feeds bytes `start` to `end` of a buffer, which may be reused afterwards. */
  receive(buffer: Buffer, start = 0, end: number = buffer.length): void {
    if (this.#dead) return;
    try {
      this.#reader.receive(buffer, start, end);
    } catch (error) {
      if (!(error instanceof Http2Error)) throw error;
      this.#fail(error);
    }
  }

  /** Client only: opens a stream; null when no stream identifier is left. */
  open(headers: readonly Header[], handler: StreamHandler): Http2Stream | null {
    const stream = this.#next(handler);
    stream?.sendHeaders(headers, false);
    return stream;
  }

  /** As `open`, for a head that `encoder` has just put into BLOCK. */
  openWithBlock(ended: boolean, handler: StreamHandler): Http2Stream | null {
    const stream = this.#next(handler);
    stream?.sendBlock(ended, true);
    return stream;
  }

  /** The transport can take more bytes. */
  drained(): void {
    if (this.blocked.size === 0) return;
    const waiting = [...this.blocked];
    this.blocked.clear();
    for (const stream of waiting) stream.flush();
  }

  /** `payload` is eight bytes; `pong` follows. */
  ping(payload: Uint8Array): void {
    if (!this.#dead) this.#put(pingFrame(payload, false));
  }

  /** Announces the end: `final` names the last stream that we will serve, else all that are on their way still count. */
  goaway(errorCode: number, reason: string, final: boolean): void {
    this.#refusing ||= final;
    if (!this.#dead) this.#put(goawayFrame(final ? this.#lastPeerStreamId : STREAM_ID_MAX, errorCode, reason));
  }

  /** The transport is gone: every stream is reset. */
  lost(errorCode: number = ERROR_CODE.connectError): void {
    this.#dead = true;
    for (const stream of this.#streams.all()) stream.receiveReset(errorCode, false);
  }

  closed(stream: Http2Stream): void {
    if (!stream.remoteEnded && !this.#dead) this.#cut.add(stream.id);
    if (this.#streams.delete(stream)) this.#options.events.streamClosed();
  }

  #put(frame: Buffer): void {
    this.transport.write(frame, 0, frame.length);
  }

  #next(handler: StreamHandler): Http2Stream | null {
    if (this.#dead || this.#nextStreamId > STREAM_ID_MAX) return null;
    this.#nextStreamId += 2;
    return this.#addStream(this.#nextStreamId - 2, handler);
  }

  #addStream(id: number, handler: StreamHandler): Http2Stream {
    const stream = new Http2Stream(id, this, handler, this.peer.initialWindowBytes, this.#options.settings.streamWindowBytes);
    this.#streams.add(stream);
    return stream;
  }

  #fail(error: Http2Error): void {
    this.#put(goawayFrame(this.#lastPeerStreamId, error.http2Code, error.message));
    this.lost(ERROR_CODE.protocolError);
    this.#options.events.failed(error);
  }

  #onData(streamId: number, buffer: Buffer, start: number, end: number, flowBytes: number, ended: boolean): void {
    demand(!this.#blocks.open, ERROR_CODE.protocolError, INTERRUPTED);
    demand(this.window.arrived(flowBytes), ERROR_CODE.flowControlError, 'the peer overran the connection window');
    if (flowBytes === 0 && !ended) this.#floods.count('empty');
    const stream = this.#streams.get(streamId);
    if (stream === null) {
      this.#requireKnown(streamId);
      this.window.taken(flowBytes);
      if (!this.#cut.hears(streamId, ended)) this.#refuse(streamId, ERROR_CODE.streamClosed);
      return;
    }
    const errorCode = stream.receive(buffer, start, end, flowBytes, ended);
    if (errorCode !== 0) this.#cutOff(stream, errorCode);
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
        requireOther(streamId, payload);
        this.#floods.count('control');
        break;
      case FRAME.rstStream:
        this.#onReset(streamId, payload);
        break;
      case FRAME.settings:
        this.#onSettings(flags, payload);
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
    const { role, events } = this.#options;
    demand(block.fields !== null || events.tooLarge !== undefined, ERROR_CODE.enhanceYourCalm, 'header list too large');
    if (stream !== null) return void this.#onFurtherBlock(stream, block);
    if (role === 'client' || block.streamId <= this.#lastPeerStreamId) {
      this.#requireKnown(block.streamId);
      demand(this.#cut.hears(block.streamId, block.ended), ERROR_CODE.streamClosed, 'HEADERS on a stream that was closed');
      return;
    }
    demand(block.streamId % 2 === 1, ERROR_CODE.protocolError, 'even stream identifier');
    this.#lastPeerStreamId = block.streamId;
    if (this.#refusing || this.#streams.size >= this.#options.settings.concurrentStreamsMax) {
      this.#refuse(block.streamId, ERROR_CODE.refusedStream);
      if (!block.ended) this.#cut.add(block.streamId);
      return;
    }
    const opened = this.#addStream(block.streamId, IGNORE);
    opened.receivedBytes = block.bytes;
    if (block.fields !== null) opened.handler = events.request(opened, block.fields, block.ended);
    else opened.handler = events.tooLarge?.(opened) ?? IGNORE;
    if (block.ended) opened.receiveEnd();
  }

  /** A client's response, then trailers; a server sees only trailers here. */
  #onFurtherBlock(stream: Http2Stream, { fields, ended, bytes }: HeaderBlock): void {
    stream.receivedBytes += bytes;
    if (stream.remoteEnded) this.#cutOff(stream, ERROR_CODE.streamClosed);
    else stream.handler.response(fields, ended);
    if (ended) stream.receiveEnd();
  }

  /** Resets a stream over a fault of the peer. */
  #cutOff(stream: Http2Stream, errorCode: number): void {
    this.#put(rstStreamFrame(stream.id, errorCode));
    stream.receiveReset(errorCode, false);
  }

  /** Answers what may not be there with an error of its stream, which costs the peer. */
  #refuse(streamId: number, errorCode: number): void {
    this.#floods.count('reset');
    this.#put(rstStreamFrame(streamId, errorCode));
  }

  #onReset(streamId: number, payload: Buffer): void {
    const errorCode = readErrorCode(payload);
    this.#requireKnown(streamId);
    const stream = this.#streams.get(streamId);
    // A tunnel that was answered has been paid for; a late reset has crossed with our end. Both are how apps hang up.
    if (stream === null || !stream.answered) this.#floods.count('reset');
    stream?.receiveReset(errorCode, errorCode === ERROR_CODE.refusedStream);
    this.#cut.hears(streamId, true);
  }

  #onSettings(flags: number, payload: Buffer): void {
    if ((flags & FLAG.ack) !== 0) return;
    this.#floods.count('control');
    const before = this.peer;
    this.peer = applySettings(before, payload);
    if (this.peer.headerTableBytes !== before.headerTableBytes) this.encoder.limit(this.peer.headerTableBytes);
    const wider = this.peer.initialWindowBytes - before.initialWindowBytes;
    for (const stream of this.#streams.all())
      demand(stream.widen(wider, WINDOW_BYTES_LIMIT), ERROR_CODE.flowControlError, 'a stream window overflows');
    this.#put(settingsAckFrame());
    if (!this.#settled) {
      this.#settled = true;
      this.#options.events.ready();
    }
    if (wider > 0) this.drained();
  }

  #onPing(flags: number, payload: Buffer): void {
    requirePing(payload);
    if ((flags & FLAG.ack) !== 0) this.#options.events.pong();
    else {
      this.#floods.count('control');
      this.#put(pingFrame(payload, true));
    }
  }

  #onGoaway(payload: Buffer): void {
    const { lastStreamId, errorCode } = readGoaway(payload);
    this.#options.events.goaway(errorCode);
    if (this.#options.role === 'server') return;
    for (const stream of this.#streams.all()) if (stream.id > lastStreamId) stream.receiveReset(ERROR_CODE.refusedStream, true);
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
    if (stream === null) return;
    if (!stream.widen(bytes, WINDOW_BYTES_LIMIT)) this.#cutOff(stream, ERROR_CODE.flowControlError);
    else if (this.blocked.delete(stream)) stream.flush();
  }

  /** Frames may arrive late for streams that are gone, never for streams that were not opened yet. */
  #requireKnown(streamId: number): void {
    const known =
      this.#options.role === 'client' ? streamId % 2 === 1 && streamId < this.#nextStreamId : streamId <= this.#lastPeerStreamId;
    demand(streamId !== 0 && known, ERROR_CODE.protocolError, 'a frame for an idle stream');
  }
}

const INTERRUPTED = 'a header block was interrupted';
