import { type Cors, preflightHeaders, sharedHeaders } from '#model/routing/cors.ts';
import type { HeaderBlock } from '#protocol/http/header-block.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { reply } from '#waypoint/exchange/local-reply.ts';
import { NEXT, replyWith, type Stage, type StageParts, type StageResult } from '#waypoint/exchange/stage.ts';

/** What only the route may say: an app that says more would open what its route keeps closed. */
const SPOKEN_FOR = [
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-expose-headers',
  'access-control-allow-methods',
  'access-control-allow-headers',
  'access-control-max-age',
];

/**
 * Answers preflights and tells browsers who may read a response (W63). After the policies: an ALLOW policy that does not
 * name OPTIONS refuses preflights. Other requests go on whatever their origin, but their responses can then not be read.
 */
export function corsStage({ perExchange }: StageParts): Stage {
  // The origin as it came: a route may change the header.
  const origins = perExchange.add<string>();
  return {
    name: 'cors',
    request(exchange) {
      const cors = exchange.route?.cors ?? null;
      if (cors === null) return NEXT;
      const origin = exchange.request.headers.get('origin');
      if (origin === null) return NEXT;
      // Of those nothing is said here, in the response neither.
      if (cors.leavesOthers === true && !cors.allows(origin)) return NEXT;
      origins.set(exchange, origin);
      return answerPreflight(exchange, cors, origin);
    },
    response(exchange, { headers }, local) {
      const cors = exchange.route?.cors ?? null;
      if (cors === null) return;
      const origin = origins.peek(exchange);
      if (origin === null && cors.leavesOthers === true) return;
      if (!local) for (const name of SPOKEN_FOR) headers.remove(name);
      // A cache must not give one origin what was meant for another.
      headers.add('vary', 'origin');
      const isPreflight = local && exchange.details === PREFLIGHT;
      if (origin === null || isPreflight || !cors.allows(origin)) return;
      addAll(
        headers,
        sharedHeaders(cors, origin, () => namesOf(headers)),
      );
    },
  };
}

/** How the log names it, and how its own response is told from those of other stages. */
const PREFLIGHT = 'cors_preflight';

/** OPTIONS alone is none: what makes it one is that it asks for a method. */
function answerPreflight({ method, request }: Exchange, cors: Cors, origin: string): StageResult {
  if (method !== 'OPTIONS') return NEXT;
  const asked = request.headers.get('access-control-request-method');
  if (asked === null) return NEXT;
  const headers = preflightHeaders(cors, {
    origin,
    method: asked,
    headers: request.headers.get('access-control-request-headers'),
  });
  return replyWith({ ...reply(204, '', '-', PREFLIGHT), headers });
}

/** Each name once, added ones included. */
function namesOf(headers: HeaderBlock): string[] {
  return [...new Set(headers.toPairs().filter((_, at) => at % 2 === 0))];
}

function addAll(headers: HeaderBlock, pairs: readonly string[]): void {
  for (let at = 0; at < pairs.length; at += 2) headers.add(pairs[at] ?? '', pairs[at + 1] ?? '');
}
