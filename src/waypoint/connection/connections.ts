import type { Duplex } from 'node:stream';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { CLOSE_CAUSES } from '#model/telemetry/close-cause.ts';
import type { RequestHandler, ServerConnection } from '#protocol/http/message.ts';
import { Http1ServerConnection } from '#protocol/http/v1/server-connection.ts';
import type { ConnectionFacts } from '#waypoint/connection/connection-facts.ts';
import { declaredBy, detectProtocol, type Protocol } from '#waypoint/connection/protocol-choice.ts';
import { refusalRecord } from '#waypoint/connection/report.ts';
import { type ConnectionContext, TcpConnection } from '#waypoint/connection/tcp-connection.ts';

/** The downstream connections of a waypoint, each served in the protocol it speaks. */
export class Connections {
  readonly #context: ConnectionContext;
  readonly #requests: (facts: ConnectionFacts) => RequestHandler;
  readonly #http = new Set<ServerConnection>();
  readonly #streams = new Set<Duplex>();

  /** `requests`: who takes the HTTP requests of a connection. */
  constructor(context: ConnectionContext, requests: (facts: ConnectionFacts) => RequestHandler) {
    this.#context = context;
    this.#requests = requests;
  }

  get size(): number {
    return this.#streams.size;
  }

  serve(stream: Duplex, facts: ConnectionFacts): void {
    if (stream.destroyed) return;
    const { counters, effects } = this.#context;
    counters.connections++;
    counters.openConnections++;
    this.#streams.add(stream);
    // Engines listen for themselves; this one keeps an early error from being nobody's.
    stream.on('error', () => {});
    stream.on('close', () => {
      counters.openConnections--;
      this.#streams.delete(stream);
    });
    const { destination } = facts;
    const declared = destination.kind === 'service' ? declaredBy(destination.appProtocol) : 'anything';
    detectProtocol(stream, declared, effects.clock, {
      decided: (protocol, early) => this.#begin(protocol, stream, facts, early),
      mistaken: (error) => {
        effects.mishaps.report('accept', error);
        stream.destroy();
      },
    });
  }

  /** Lets every request finish, then closes. */
  drain(): void {
    for (const connection of [...this.#http]) connection.drain();
  }

  destroyAll(): void {
    for (const stream of [...this.#streams]) stream.destroy();
  }

  /** Once a minute. */
  sweep(): void {
    for (const connection of [...this.#http]) connection.closeIfIdle(WAYPOINT.idleRoundsMax);
  }

  #begin(protocol: Protocol | 'silent', stream: Duplex, facts: ConnectionFacts, early: Buffer): void {
    const { counters, effects } = this.#context;
    switch (protocol) {
      case 'http1':
        counters.http1Connections++;
        this.#keep(stream, new Http1ServerConnection(stream, this.#requests(facts), effects.clock, early));
        return;
      case 'http2':
        counters.http2Connections++;
        // This engine wants the preface itself; the one for HTTP/1 takes early bytes as an argument.
        stream.unshift(early);
        this.#keep(stream, effects.http2.accept(stream, this.#requests(facts)));
        return;
      case 'tcp':
        // It lives by its streams' events and is in `live`; nobody else needs to hold it.
        new TcpConnection(this.#context, facts, stream).start(this.#context.state.snapshot, early);
        return;
      case 'silent':
        effects.log.info(
          {
            ...refusalRecord(this.#context.telemetry, facts.record, 'silent-client', CLOSE_CAUSES['silent-client'].means),
            remedy: 'set appProtocol: tcp on the Service port if the server speaks first',
          },
          'closed a connection that said nothing on a port of undeclared protocol',
        );
        stream.destroy();
        return;
    }
  }

  #keep(stream: Duplex, connection: ServerConnection): void {
    this.#http.add(connection);
    stream.on('close', () => this.#http.delete(connection));
  }
}
