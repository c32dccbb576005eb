import type { Roster } from '#model/effects/roster.ts';
import type { PathNormalization } from '#model/waypoint/config.ts';
import type { ProtocolProblem, RequestHandler, RequestHead, ServerEvents, ServerStream } from '#protocol/http/message.ts';
import type { ConnectionFacts } from '#waypoint/connection/connection-facts.ts';
import { refusalRecord } from '#waypoint/connection/report.ts';
import { Carrier } from '#waypoint/exchange/carrier.ts';
import { Exchange } from '#waypoint/exchange/exchange.ts';
import type { CarrierContext } from '#waypoint/exchange/flow.ts';
import { webCallOf } from '#waypoint/exchange/grpc-web.ts';
import type { Pipeline } from '#waypoint/exchange/pipeline.ts';
import type { Counters, Telemetry } from '#waypoint/self/counters.ts';
import type { WaypointEffects } from '#waypoint/self/effects.ts';
import type { LiveConnection } from '#waypoint/state/snapshot.ts';
import type { WaypointState } from '#waypoint/state/waypoint-state.ts';

/** What all exchanges of one waypoint share. */
export type RequestContext = {
  readonly effects: WaypointEffects;
  readonly counters: Counters;
  readonly telemetry: Telemetry;
  readonly pipeline: Pipeline;
  readonly live: Roster<LiveConnection>;
  /** Its configuration is that of the requests that start now; each keeps the one it started with. */
  readonly state: WaypointState;
};

/** Makes, for each downstream connection, what turns its requests into exchanges and sends them through the stages. */
export function requestHandlers(context: RequestContext): (facts: ConnectionFacts) => RequestHandler {
  const { effects, counters, pipeline, live } = context;
  const { clock, relay, mishaps } = effects;
  const carriers = { clock, counters, flow: pipeline, live, relay, mishaps };
  return (facts) => new Requests(context, carriers, facts);
}

/** The requests of one connection. */
class Requests implements RequestHandler {
  readonly #context: RequestContext;
  readonly #carriers: CarrierContext<Carrier>;
  readonly #facts: ConnectionFacts;

  constructor(context: RequestContext, carriers: CarrierContext<Carrier>, facts: ConnectionFacts) {
    this.#context = context;
    this.#carriers = carriers;
    this.#facts = facts;
  }

  /**
   * Asked for each request and not once per connection: a connection lives through many configurations, and what looks at
   * the path compares it with values of the one in force.
   */
  get pathNormalization(): PathNormalization {
    return this.#context.state.snapshot.pathNormalization;
  }

  onRequest(head: RequestHead, stream: ServerStream): ServerEvents {
    const { counters, state, effects, pipeline } = this.#context;
    counters.requests++;
    counters.openRequests++;
    const web = this.#takesGrpcWeb() ? webCallOf(head, stream) : null;
    const nowMs = effects.clock.monotonicMs();
    const exchange = new Exchange(this.#facts, web?.head ?? head, web?.stream ?? stream, state.snapshot, nowMs);
    const carrier = new Carrier(exchange, this.#carriers);
    try {
      pipeline.run(exchange, carrier);
    } catch (error) {
      effects.mishaps.report('request', error);
      carrier.giveUp();
    }
    return web === null ? carrier : web.events(carrier);
  }

  /** Whether the port says so: on any other one it is the app that may speak it. */
  #takesGrpcWeb(): boolean {
    const { destination } = this.#facts;
    if (destination.kind !== 'service') return false;
    const ports = this.#context.state.snapshot.services.get(destination.key)?.config.grpcWebPorts;
    return ports?.includes(destination.port) === true;
  }

  onProblem({ status, details }: ProtocolProblem): void {
    const { counters, telemetry, effects } = this.#context;
    counters.protocolErrors++;
    const record = refusalRecord(telemetry, this.#facts.record, 'protocol-error', details);
    effects.log.info({ ...record, response_code: status }, 'refused a message');
  }

  onMistake(error: unknown): void {
    this.#context.effects.mishaps.report('request', error);
  }
}
