import type { ByteStream } from '#model/effects/byte-stream.ts';
import { Roster, type Rostered } from '#model/effects/roster.ts';
import { HTTP } from '#model/settings/http.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { CLOSE_CAUSES } from '#model/telemetry/close-cause.ts';
import type { RequestHandler, ServerConnection } from '#protocol/http/message.ts';
import { Http1ServerConnection } from '#protocol/http/v1/server-connection.ts';
import type { ConnectionContext } from '#waypoint/connection/connection-context.ts';
import type { ConnectionFacts } from '#waypoint/connection/connection-facts.ts';
import type { Destination } from '#waypoint/connection/destination.ts';
import { readServerName } from '#waypoint/connection/first-bytes.ts';
import { declaredBy, detectProtocol, type Protocol } from '#waypoint/connection/protocol-choice.ts';
import { refusalRecord } from '#waypoint/connection/report.ts';
import { TcpConnection } from '#waypoint/connection/tcp-connection.ts';

/** An open connection. `served`: who serves it and can end it; null: it is not known yet what it speaks. `http`: the same of HTTP. */
type Open = Rostered & {
  readonly stream: ByteStream;
  readonly facts: ConnectionFacts;
  served: { destroy(): void } | null;
  http: ServerConnection | null;
};

/** The downstream connections of a waypoint, each served in the protocol it speaks. */
export class Connections {
  readonly #context: ConnectionContext;
  readonly #requests: (facts: ConnectionFacts) => RequestHandler;
  #onEmpty: (() => void) | null = null;
  #draining = false;
  readonly #open = new Roster<Open>();

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
    const open: Open = { place: -1, stream, facts, served: null, http: null };
    this.#open.add(open);
    stream.onOver(() => {
      counters.openConnections--;
      this.#open.delete(open);
      if (this.#open.size === 0) this.#onEmpty?.();
    });
    const { destination } = facts;
    const declared = destination.kind === 'service' ? declaredBy(destination.appProtocol) : 'anything';
    detectProtocol(stream, declared, effects.clock, {
      decided: (protocol, early) => this.#begin(protocol, open, early),
      mistaken: (error) => {
        effects.mishaps.report('accept', error);
        stream.reset();
      },
    });
  }

  /** Lets every request finish, then closes; those that have not begun yet, with their first one. */
  drain(): void {
    this.#draining = true;
    // What says nothing now most likely never will; a first request that is on its way is answered.
    this.#context.effects.clock.after(HTTP.firstRequestMs, () => {
      for (const { served, http, stream } of this.#open.all()) {
        if (served === null) stream.reset();
        else http?.drain();
      }
    });
    for (const { http } of this.#open.all()) http?.drain();
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
    for (const { http, facts } of this.#open.all()) if (http !== null && isStranded(facts.destination)) http.drain();
  }

  destroyAll(): void {
    for (const { stream, served } of this.#open.all()) {
      served?.destroy();
      stream.reset();
    }
  }

  /** Once a minute. */
  sweep(): void {
    for (const { http } of this.#open.all()) http?.closeIfIdle(WAYPOINT.idleRoundsMax);
  }

  #begin(protocol: Protocol | 'silent', open: Open, early: Buffer | null): void {
    const { stream, facts } = open;
    const { counters, effects } = this.#context;
    switch (protocol) {
      case 'http1':
        counters.http1Connections++;
        this.#keep(open, new Http1ServerConnection(stream, this.#requests(facts), effects.clock, early));
        return;
      case 'http2':
        counters.http2Connections++;
        this.#keep(open, effects.http2.accept(stream, this.#requests(facts), early));
        return;
      case 'tcp':
        this.#beginTcp(open, early);
        return;
      case 'silent':
        this.#tellOff(
          open,
          'closed a connection that said nothing on a port of undeclared protocol',
          'set appProtocol: tcp on the Service port if the server speaks first',
        );
        return;
    }
  }

  /** Where a route goes by the name that is asked for, it is read first. */
  #beginTcp(open: Open, early: Buffer | null): void {
    const { stream, facts } = open;
    const { effects, routes, state } = this.#context;
    const start = (serverName: string | null, taken: Buffer | null): void => {
      const connection = new TcpConnection(this.#context, facts, stream, serverName);
      open.served = connection;
      connection.start(state.snapshot, taken);
    };
    if (!routes.asksForName(facts.destination, state.snapshot)) {
      start(null, early);
      return;
    }
    readServerName(stream, early, effects.clock, {
      said: ({ name }, taken) => start(name, taken),
      silent: () =>
        this.#tellOff(
          open,
          'closed a connection that did not say in time which name it asks for by TLS',
          'attach no route by names to a port where something else than TLS is spoken',
        ),
      mistaken: (error) => {
        effects.mishaps.report('accept', error);
        stream.reset();
      },
    });
  }

  #tellOff({ stream, facts }: Open, message: string, remedy: string): void {
    const record = refusalRecord(this.#context.telemetry, facts.record, 'silent-client', CLOSE_CAUSES['silent-client'].means);
    this.#context.effects.log.info({ ...record, remedy }, message);
    stream.reset();
  }

  #keep(open: Open, connection: ServerConnection): void {
    open.served = connection;
    open.http = connection;
    if (this.#draining) connection.drain();
  }
}
