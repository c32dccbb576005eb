import { compileHttpAuthorizer, type HttpAuthorizer } from '#model/authorizer/http-check.ts';
import type { ExternalVerdict } from '#model/authorizer/verdict.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { AuthorizerHttp, ExternalAuthorizer } from '#model/waypoint/authorizer.ts';
import type { CheckFacts } from '#protocol/authorizer/check.ts';
import { checkedEnds } from '#waypoint/connection/connection-authorizer.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { type Asking, askByGrpc, OpenQuestions } from '#waypoint/upstream/authorizer-questions.ts';
import { type CallOutcome, type CallParts, callService } from '#waypoint/upstream/service-call.ts';

/** What an authorizer is shown of a body; `partial`: there is more of it. */
export type Shown = { readonly bytes: Buffer; readonly partial: boolean };

/** Asks an authorizer about a request; `shown` null: without its body. */
export type Ask = (exchange: Exchange, authorizer: ExternalAuthorizer, shown: Shown | null) => Asking;

/** Asks over the connections of the waypoint. Questions under way are bounded: beyond that nobody is asked. */
export function asker(parts: CallParts): Ask {
  const compiled = new WeakMap<AuthorizerHttp, HttpAuthorizer>();
  const compiledOf = (http: AuthorizerHttp): HttpAuthorizer => {
    const known = compiled.get(http) ?? compileHttpAuthorizer(http);
    compiled.set(http, known);
    return known;
  };
  const questions = new OpenQuestions();
  return (exchange, authorizer, shown) =>
    questions.ask(() => {
      const { http, body } = authorizer;
      return http === null
        ? askByGrpc(authorizer, factsOf(exchange, shown, body?.asBytes === true, parts), parts)
        : byHttp(exchange, authorizer, compiledOf(http), shown, parts);
    });
}

/** Head and body as a request of HTTP, whose status is the answer. */
function byHttp(
  { method, request, upstreamTarget }: Exchange,
  { service, port, timeoutMs }: ExternalAuthorizer,
  http: HttpAuthorizer,
  shown: Shown | null,
  parts: CallParts,
): Asking {
  const { outcome, abort } = callService(
    {
      ...{ service, port, method, timeoutMs, version: null, answerBytesMax: WAYPOINT.checkAnswerBytesMax },
      target: http.target(upstreamTarget),
      authority: request.authority,
      headers: http.headers(request.headers.toPairs(), shown === null ? null : shown.partial),
      body: shown === null || shown.bytes.length === 0 ? null : shown.bytes,
    },
    parts,
  );
  const verdictOf = (answer: CallOutcome): ExternalVerdict =>
    answer.kind === 'failed'
      ? { kind: 'error', why: answer.why }
      : http.verdict(answer.status, answer.headers.toPairs(), answer.body);
  return { verdict: outcome.then(verdictOf), abort };
}

/** All that is known of a request. */
function factsOf(exchange: Exchange, shown: Shown | null, asBytes: boolean, { effects: { clock } }: CallParts): CheckFacts {
  const { connection, request, method, upstreamTarget, requestId, scheme, startedMs } = exchange;
  const headers = request.headers.toPairs();
  if (shown !== null) headers.push('x-envoy-auth-partial-body', String(shown.partial));
  return {
    ...checkedEnds(connection),
    startedMs: clock.nowMs() - (clock.monotonicMs() - startedMs),
    http: {
      id: requestId,
      method,
      target: upstreamTarget,
      authority: request.authority,
      scheme,
      protocol: request.version === 'http1' ? 'HTTP/1.1' : 'HTTP/2',
      contentLength: request.contentLength,
      headers,
      body: shown === null ? null : { bytes: shown.bytes, asBytes },
    },
  };
}
