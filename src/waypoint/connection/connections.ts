import type { ByteStream } from '#model/effects/byte-stream.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { CLOSE_CAUSES } from '#model/telemetry/close-cause.ts';
import type { RequestHandler, ServerConnection } from '#protocol/http/message.ts';
import { Http1ServerConnection } from '#protocol/http/v1/server-connection.ts';
import type { ConnectionFacts } from '#waypoint/connection/connection-facts.ts';
import type { Destination } from '#waypoint/connection/destination.ts';
import { declaredBy, detectProtocol, type Protocol } from '#waypoint/connection/protocol-choice.ts';
import { refusalRecord } from '#waypoint/connection/report.ts';
import { type ConnectionContext, TcpConnection } from '#waypoint/connection/tcp-connection.ts';

/** The downstream connections of a waypoint, each served in the protocol it speaks. */
export class Connections {
  readonly #context: ConnectionContext;
  readonly #requests: (facts: ConnectionFacts) => RequestHandler;
  /** With what is true of each. */
  readonly #http = new Map<ServerConnection, ConnectionFacts>();
  #onEmpty: (() => void) | null = null;
  /** Each with who serves it and can end it; null: it is not known yet what it speaks. */
  readonly #open = new Map<ByteStream, { destroy(): void } | null>();

  /** `requests`: who takes the HTTP requests of a connection. */
  constructor(context: ConnectionContext, requests: (facts: ConnectionFacts) => RequestHandler) {
    this.#context = context;
    this.#requests = requests;
  }

  get size(): number {
    return this.#open.size;
  }

  serve(stream: ByteStream, facts: ConnectionFacts): void {
    if (stream.isOver) return;
    const { counters, effects } = this.#context;
    counters.connections++;
    counters.openConnections++;
    this.#open.set(stream, null);
    stream.onOver(() => {
      counters.openConnections--;
      this.#open.delete(stream);
      if (this.#open.size === 0) this.#onEmpty?.();
    });
    const { destination } = facts;
    const declared = destination.kind === 'service' ? declaredBy(destination.appProtocol) : 'anything';
    detectProtocol(stream, declared, effects.clock, {
      decided: (protocol, early) => this.#begin(protocol, stream, facts, early),
      mistaken: (error) => {
        effects.mishaps.report('accept', error);
        stream.reset();
      },
    });
  }

  /** Lets every request finish, then closes. */
  drain(): void {
    for (const connection of [...this.#http.keys()]) connection.drain();
  }

  /** Calls `done` when none is left: at once if that is so already. */
  whenEmpty(done: () => void): void {
    if (this.#open.size === 0) done();
    else this.#onEmpty = done;
  }

  /**
   * Ends the HTTP connections that lead to what is no longer served here, each after the answer under way: their clients would
   * go on to send requests that only a new connection can bring to where they belong.
   */
  drainStranded(isStranded: (destination: Destination) => boolean): void {
    for (const [connection, { destination }] of [...this.#http]) if (isStranded(destination)) connection.drain();
  }

  destroyAll(): void {
    for (const [stream, server] of [...this.#open]) {
      server?.destroy();
      stream.reset();
    }
  }

  /** Once a minute. */
  sweep(): void {
    for (const connection of [...this.#http.keys()]) connection.closeIfIdle(WAYPOINT.idleRoundsMax);
  }

  #begin(protocol: Protocol | 'silent', stream: ByteStream, facts: ConnectionFacts, early: Buffer | null): void {
    const { counters, effects } = this.#context;
    switch (protocol) {
      case 'http1':
        counters.http1Connections++;
        this.#keep(stream, facts, new Http1ServerConnection(stream, this.#requests(facts), effects.clock, early));
        return;
      case 'http2':
        counters.http2Connections++;
        this.#keep(stream, facts, effects.http2.accept(stream, this.#requests(facts), early));
        return;
      case 'tcp': {
        const connection = new TcpConnection(this.#context, facts, stream);
        this.#open.set(stream, connection);
        connection.start(this.#context.state.snapshot, early);
        return;
      }
      case 'silent':
        effects.log.info(
          {
            ...refusalRecord(this.#context.telemetry, facts.record, 'silent-client', CLOSE_CAUSES['silent-client'].means),
            remedy: 'set appProtocol: tcp on the Service port if the server speaks first',
          },
          'closed a connection that said nothing on a port of undeclared protocol',
        );
        stream.reset();
        return;
    }
  }

  #keep(stream: ByteStream, facts: ConnectionFacts, connection: ServerConnection): void {
    if (stream.isOver) return;
    this.#open.set(stream, connection);
    this.#http.set(connection, facts);
    stream.onOver(() => this.#http.delete(connection));
  }
}
