import { tagOf } from '#model/telemetry/compiled-rules.ts';
import {
  b3Of,
  type Span,
  speaksB3,
  type TraceContext,
  type TraceHeaders,
  traceOf,
  traceparentOf,
} from '#model/telemetry/trace.ts';
import type { HeaderBlock } from '#protocol/http/header-block.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { NEXT, type Stage, type StageParts } from '#waypoint/exchange/stage.ts';

const SERVER_ERROR = 500;
/** Of gRPC's codes those that say that the server failed (OpenTelemetry's conventions for RPC). */
const FAILED_CODES = ['2', '4', '12', '13', '14', '15'];

/**
 * Takes the request on in its trace (W71), and tells of what was done for it if it is sampled: one span of a server's kind. Where no
 * collector is named nothing is touched: headers pass as they came.
 */
export function traceStage({ effects, perExchange }: StageParts): Stage {
  const { tracing, clock } = effects;
  if (tracing === null) return { name: 'trace' };
  const contexts = perExchange.add<TraceContext>();
  return {
    name: 'trace',
    request(exchange) {
      const { headers } = exchange.request;
      const told = readHeaders(headers);
      const { percent = tracing.percent, byRequestId, propagated } = exchange.telemetry.tracing;
      const context = traceOf(told, byRequestId === false ? null : exchange.requestId, percent, effects.randomBytes);
      contexts.set(exchange, context);
      // The span is there all the same: whoever is called hangs below whoever called.
      if (propagated === false) return NEXT;
      headers.set('traceparent', traceparentOf(context));
      if (speaksB3(told)) writeB3(headers, context);
      return NEXT;
    },
    end(exchange) {
      const context = contexts.peek(exchange);
      if (context?.sampled !== true || exchange.telemetry.tracing.reported === false) return;
      const span = spanOf(exchange, context, clock.nowMs(), clock.monotonicMs());
      tracing.record(asRuled(span, exchange, effects));
    },
  };
}

/** With the tags that a Telemetry asks for, which go before those of the same name, and without those that it does not want. */
function asRuled(span: Span, { telemetry, request }: Exchange, { shownVariable }: StageParts['effects']): Span {
  const { tags, istioTags } = telemetry.tracing;
  // Most services have no such rules, and their spans are not made twice.
  if (tags === undefined && istioTags === undefined) return span;
  const own = Object.entries(span.attributes).filter(([name]) => istioTags !== false || !name.startsWith('istio.'));
  const asked = (tags ?? []).flatMap((tag): [string, string][] => {
    const value = tagOf(tag, (name) => request.headers.get(name), shownVariable);
    return value === null ? [] : [[tag.tag, value]];
  });
  return { ...span, attributes: Object.fromEntries([...own, ...asked]) };
}

function readHeaders(headers: HeaderBlock): TraceHeaders {
  return {
    traceparent: headers.get('traceparent'),
    b3: headers.get('b3'),
    b3TraceId: headers.get('x-b3-traceid'),
    b3SpanId: headers.get('x-b3-spanid'),
    b3Sampled: headers.get('x-b3-sampled'),
  };
}

/** In the form in which it was asked, since whoever is next may read that one alone. */
function writeB3(headers: HeaderBlock, context: TraceContext): void {
  if (headers.get('b3') !== null) headers.set('b3', b3Of(context));
  if (headers.get('x-b3-traceid') === null) return;
  headers.set('x-b3-traceid', context.traceId);
  headers.set('x-b3-spanid', context.spanId);
  if (context.parentSpanId !== '') headers.set('x-b3-parentspanid', context.parentSpanId);
  headers.set('x-b3-sampled', context.sampled ? '1' : '0');
}

/** Names and attributes as Envoy gives them, which Kiali and Istio's dashboards look for. */
function spanOf(exchange: Exchange, context: TraceContext, nowMs: number, monotonicMs: number): Span {
  const { connection, request, attempt, grpcStatus } = exchange;
  const optional = {
    'grpc.status_code': grpcStatus,
    'user_agent.original': request.headers.get('user-agent'),
    'istio.canonical_service': attempt?.endpoint?.workload.canonicalName ?? null,
    'istio.namespace': attempt?.endpoint?.workload.namespace ?? null,
    'source.principal': connection.principal,
    'upstream_cluster.name': exchange.target?.kind === 'service' ? placeOf(exchange) : null,
    'weft.route': exchange.route?.name || null,
    'weft.policy': exchange.verdict?.by?.policy ?? null,
  };
  return {
    context,
    name: `${placeOf(exchange)}/*`,
    // The machine's clock may have been set meanwhile: how long it took is the other one's to say.
    startMs: nowMs - (monotonicMs - exchange.startedMs),
    endMs: nowMs,
    failed: exchange.status === 0 || exchange.status >= SERVER_ERROR || FAILED_CODES.includes(grpcStatus ?? ''),
    attributes: {
      component: 'proxy',
      'http.method': exchange.method,
      'http.url': `http://${request.authority}${request.target}`,
      'http.status_code': exchange.status,
      'http.protocol': request.version === 'http1' ? 'HTTP/1.1' : 'HTTP/2',
      'guid:x-request-id': exchange.requestId,
      response_flags: exchange.flag,
      request_size: exchange.bytesReceived,
      response_size: exchange.bytesSent,
      ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== null)),
    },
  };
}

/** Where the request went, or was to go: host and port. */
function placeOf({ target, connection, request }: Exchange): string {
  if (target?.kind === 'service') return `${target.service.slice(target.service.indexOf('/') + 1)}:${target.port}`;
  return connection.record.origin.dialled ?? request.authority;
}
