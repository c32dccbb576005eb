import type { HeaderEdit } from '#model/authorizer/verdict.ts';
import { type Question, questionsAbout } from '#model/policy/custom.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { StringHeaders } from '#protocol/http/header-block.ts';
import { policyFacts } from '#waypoint/connection/connection-facts.ts';
import { policiesFor } from '#waypoint/connection/destination.ts';
import { BodyKeeper, KeptBodies } from '#waypoint/exchange/body-keeper.ts';
import type { Carrier } from '#waypoint/exchange/carrier.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { changeHeaders } from '#waypoint/exchange/header-changes.ts';
import { reply } from '#waypoint/exchange/local-reply.ts';
import { NEXT, replyWith, type Stage, type StageParts, type StageResult } from '#waypoint/exchange/stage.ts';
import { type Ask, asker, type Shown } from './ask.ts';
import { changeRequest, deniedBy, undecided } from './take.ts';

/** What one request remembers of those who were asked about it. */
type Pending = { abort: () => void; toClient: readonly HeaderEdit[] };

const TOO_LARGE = reply(413, 'payload too large', '-', 'ext_authz_request_body_too_large');
const NO_PLACE = reply(503, 'request bodies take too much memory', '-', 'ext_authz_request_body_not_kept');

/**
 * Asks external authorizers about the requests that policies with action CUSTOM name (W67), before anything else judges them. Only those
 * requests wait; who leaves takes its question back. What was asked in a dry run is told, and nothing waits for it.
 */
export function externalAuthorizeStage(parts: StageParts): Stage {
  const { perExchange } = parts;
  const pending = perExchange.add<Pending>();
  const ask = asker(parts);
  const judge = judgeOf(parts, ask, (exchange) => {
    const known = pending.peek(exchange) ?? { abort: () => {}, toClient: [] };
    pending.set(exchange, known);
    return known;
  });
  return {
    name: 'external-authorize',
    request(exchange, carrier) {
      const { connection, snapshot } = exchange;
      const custom = policiesFor(connection.destination, snapshot)?.custom ?? [];
      if (custom.length === 0) return NEXT;
      const questions = questionsAbout(custom, policyFacts(connection, exchange));
      for (const question of questions) if (!question.waits) tryOut(exchange, question, ask, parts);
      const waiting = questions.filter(({ waits }) => waits);
      if (waiting.length === 0) return NEXT;
      exchange.askedOf = waiting.map(({ authorizer }) => authorizer.name);
      return judge(exchange, carrier, waiting);
    },
    response(exchange, { headers }) {
      if (exchange.askedOf.length > 0) changeHeaders(headers, pending.peek(exchange)?.toClient ?? []);
    },
    end(exchange) {
      if (exchange.askedOf.length > 0) pending.peek(exchange)?.abort();
    },
  };
}

type Judge = (exchange: Exchange, carrier: Carrier, waiting: readonly Question[]) => Promise<StageResult>;

/** One after the other: each sees what those before have changed, and the first that does not allow decides. */
function judgeOf(
  { effects: { clock }, telemetry: { meters } }: StageParts,
  ask: Ask,
  pendingOf: (e: Exchange) => Pending,
): Judge {
  const gather = gatherer();
  return async (exchange, carrier, waiting) => {
    const body = await gather(exchange, carrier, waiting);
    if (body.kind === 'refused') return body.result;
    const pending = pendingOf(exchange);
    for (const { authorizer, by } of waiting) {
      if (exchange.over) return NEXT;
      const asking = ask(exchange, authorizer, authorizer.body === null ? null : shownOf(body.bytes, authorizer.body.bytesMax));
      pending.abort = asking.abort;
      const verdict = await asking.verdict;
      if (exchange.over) return NEXT;
      const answer = verdict.kind === 'error' && authorizer.failOpen ? 'failed-open' : verdict.kind;
      meters.counter('weft_external_authorizations_total', { provider: authorizer.name, answer }).add();
      if (verdict.kind === 'allow') {
        changeRequest(exchange, verdict);
        pending.toClient = [...pending.toClient, ...verdict.toClient];
      } else if (answer === 'failed-open') exchange.details = 'ext_authz_failure_mode_allowed';
      else {
        exchange.verdict = { kind: 'deny', by };
        return replyWith(verdict.kind === 'deny' ? deniedBy(verdict) : undecided(authorizer, verdict.why));
      }
    }
    // A route's time begins when it is decided that it may.
    if (exchange.requestEndedMs > 0) exchange.requestEndedMs = clock.monotonicMs();
    return NEXT;
  };
}

type Body = { readonly kind: 'taken'; readonly bytes: Buffer } | { readonly kind: 'refused'; readonly result: StageResult };
const NO_BODY: Body = { kind: 'taken', bytes: Buffer.alloc(0) };

/** Takes in as much of the body as is to be shown, and a byte more, which tells that it is longer. */
function gatherer(): (exchange: Exchange, carrier: Carrier, waiting: readonly Question[]) => Promise<Body> {
  // One for the waypoint: many requests of allowed size must not add up to all of its memory.
  const bodies = new KeptBodies(WAYPOINT.keptBodiesBytesMax);
  return async (exchange, carrier, waiting) => {
    const shown = waiting.flatMap(({ authorizer: { body } }) => (body === null ? [] : [body]));
    const { request, stream } = exchange;
    if (shown.length === 0 || !request.hasBody) return NO_BODY;
    const wholeMax = Math.min(...shown.map(({ allowPartial, bytesMax }) => (allowPartial ? Number.POSITIVE_INFINITY : bytesMax)));
    if ((request.contentLength ?? 0) > wholeMax) return { kind: 'refused', result: replyWith(TOO_LARGE) };
    const bytesMax = Math.max(...shown.map((one) => one.bytesMax));
    const keeper = new BodyKeeper(bytesMax + WAYPOINT.shownBodySlackBytes, bodies);
    carrier.keepBody(keeper);
    const gathered = keeper.gather(bytesMax + 1);
    // The client waits for a word before it sends the body; the upstream's would come too late.
    if (request.headers.get('expect') !== null) {
      request.headers.remove('expect');
      stream.inform({ status: 100, headers: new StringHeaders([]), contentLength: null });
    }
    stream.startBody();
    const how = await gathered;
    if (exchange.over) return { kind: 'refused', result: NEXT };
    if (how === 'lost') return { kind: 'refused', result: replyWith(NO_PLACE) };
    const { kept } = keeper;
    return kept.length > wholeMax ? { kind: 'refused', result: replyWith(TOO_LARGE) } : { kind: 'taken', bytes: kept };
  };
}

/** As much of what was taken in as one authorizer may see. */
function shownOf(bytes: Buffer, bytesMax: number): Shown {
  return { bytes: bytes.subarray(0, bytesMax), partial: bytes.length > bytesMax };
}

/** What the answer would have led to; the body is not waited for either. */
function tryOut(
  exchange: Exchange,
  { authorizer, by }: Question,
  ask: Ask,
  { effects: { log, mishaps }, telemetry: { meters } }: StageParts,
): void {
  const { requestId } = exchange;
  const told = ask(exchange, authorizer, null).verdict.then((verdict) => {
    const decision = verdict.kind === 'error' && authorizer.failOpen ? 'allow' : verdict.kind;
    meters.counter('weft_dry_run_decisions_total', { policy: by.policy, decision, layer: 'request' }).add();
    log.info({ request_id: requestId, decision, policy: by.policy, rule: by.index }, 'a policy in dry run would have decided');
  });
  told.catch((error: unknown) => mishaps.report('request', error));
}
