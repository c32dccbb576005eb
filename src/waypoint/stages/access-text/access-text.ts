import type { LineRequest } from '#model/telemetry/line-operators.ts';
import { clusterName, takenPath } from '#waypoint/connection/report.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { httpOf, outcomeOf, serviceOf } from '#waypoint/exchange/report.ts';
import { requestShown } from '#waypoint/exchange/shown.ts';
import type { Stage, StageParts } from '#waypoint/exchange/stage.ts';

/** Headers of an answer that a line shows. */
type Answered = ReadonlyMap<string, string | null>;

/** Requests are told of whatever became of them: none of their lines is left out. */
const NOTHING = {};

/** Writes one line for each request in the format that the operator has given (W70), but for those that a Telemetry wants none of. */
export function accessTextStage({ effects, perExchange, upstreams }: StageParts): Stage {
  const { accessText, clock } = effects;
  if (accessText === null) return { name: 'access-text' };
  const { responseHeaders } = accessText;
  const answers = perExchange.add<Answered>();
  return {
    name: 'access-text',
    // Read now: the head is not there any more when the answer ends.
    response(exchange, { status, headers, contentLength }) {
      if (responseHeaders.length === 0) return;
      const pseudo = { ':status': String(status), 'content-length': contentLength === null ? null : String(contentLength) };
      answers.set(exchange, new Map(responseHeaders.map((name) => [name, headerOf(name, pseudo, headers)])));
    },
    end(exchange) {
      const durationMs = clock.monotonicMs() - exchange.startedMs;
      if (exchange.telemetry.logged?.(requestShown(exchange, durationMs)) === false) return;
      const { connection, target, attempt } = exchange;
      const { source, origin } = connection.record;
      const line = accessText.line({
        startedMs: clock.nowMs() - durationMs,
        ...{ source, origin, serverName: null },
        path: takenPath(serviceOf(exchange, upstreams), connection.destination, attempt?.endpoint ?? null),
        outcome: outcomeOf(exchange, durationMs),
        cluster: target?.kind === 'service' ? clusterName('http', target) : null,
        http: requestOf(exchange, answers.peek(exchange)),
      });
      accessText.write(line, NOTHING);
    },
  };
}

function requestOf(exchange: Exchange, answered: Answered | null): LineRequest {
  const { request, attempt, startedMs, requestEndedMs, respondedMs } = exchange;
  const outcome = attempt?.outcome;
  const isUnconnected = typeof outcome === 'object' && (outcome.kind === 'connect-failure' || outcome.kind === 'connect-timeout');
  const pseudo = pseudoHeaders(exchange);
  return {
    ...httpOf(exchange),
    attempts: attempt?.number ?? 0,
    requestMs: requestEndedMs === 0 ? null : requestEndedMs - startedMs,
    responseMs: respondedMs === 0 ? null : respondedMs - startedMs,
    transportFailure: isUnconnected ? outcome.details : null,
    requestHeader: (name) => headerOf(name, pseudo, request.headers),
    responseHeader: (name) => answered?.get(name) ?? null,
  };
}

/** As it was sent upstream, as in Envoy's logs; a path that was rewritten has its first form in the header that Envoy keeps it in. */
function pseudoHeaders({ request, method, scheme, authority, upstreamTarget }: Exchange): Pseudo {
  return {
    ...{ ':method': method, ':scheme': scheme, ':path': upstreamTarget, ':authority': authority, host: authority },
    'content-length': request.contentLength === null ? null : String(request.contentLength),
    // Never the client's own, which could show another path than it asked for.
    'x-envoy-original-path': upstreamTarget === request.target ? null : request.target,
  };
}

/** What is no header of a message here, and is one in Envoy. */
type Pseudo = Readonly<Record<string, string | null>>;

function headerOf(name: string, pseudo: Pseudo, headers: Exchange['request']['headers']): string | null {
  return Object.hasOwn(pseudo, name) ? (pseudo[name] ?? null) : headers.get(name);
}
