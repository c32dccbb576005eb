import type { Random } from '#model/effects/clock.ts';
import { chooseTarget } from '#model/routing/backends.ts';
import type { RouteRule } from '#model/routing/candidate.ts';
import type { HeaderEdits } from '#model/routing/header-edits.ts';
import { rewritePath } from '#model/routing/path-rewrite.ts';
import { type Redirect, redirectLocation } from '#model/routing/redirect.ts';
import type { Rewrite } from '#model/routing/rewrite.ts';
import type { HeaderBlock } from '#protocol/http/header-block.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { type LocalReply, REPLY, reply } from '#waypoint/exchange/local-reply.ts';
import { NEXT, replyWith, type Stage, type StageParts, type StageResult } from '#waypoint/exchange/stage.ts';

/** Redirects the request, or draws one of the rule's backends and changes the head for it (config-api 1.8). */
export function forwardStage({ effects: { random } }: StageParts): Stage {
  return {
    name: 'forward',
    request(exchange) {
      return exchange.route === null ? NEXT : applyRule(exchange, exchange.route, random);
    },
    response(exchange, { headers }, local) {
      const { route, target } = exchange;
      if (route === null) return;
      // A route speaks for its backends and for its own answer, not for us: our refusals stay recognisable.
      if (local && (route.directResponse === null || exchange.details !== 'direct_response')) return;
      if (route.responseHeaders !== null) applyEdits(headers, route.responseHeaders);
      const edits = target?.kind === 'service' ? target.edits : null;
      if (edits !== null && edits.responseHeaders !== null) applyEdits(headers, edits.responseHeaders);
    },
  };
}

/** What is answered where nothing can be drawn. */
const NOWHERE = { unresolved: REPLY.invalidBackend, 'no-cluster': REPLY.noCluster, 'no-backends': REPLY.noBackend } as const;

/** The target is drawn once: further tries go to the same service. */
function applyRule(exchange: Exchange, rule: RouteRule, random: Random): StageResult {
  if (rule.redirect !== null) return replyWith(redirected(exchange, rule.redirect));
  if (rule.directResponse !== null) {
    const { status, body } = rule.directResponse;
    return replyWith(reply(status, body, '-', 'direct_response'));
  }
  const target = exchange.pinned?.target ?? chooseTarget(rule.targets, random());
  if (target.kind === 'invalid') return replyWith(NOWHERE[target.why]);
  exchange.target = target;
  changeRequest(exchange, rule.requestHeaders, rule.rewrite);
  // What is said of one backend comes after what is said of all.
  if (target.kind === 'service' && target.edits !== null)
    changeRequest(exchange, target.edits.requestHeaders, target.edits.rewrite);
  return NEXT;
}

/** Of the rule or of the backend; null parts stay as they are. */
function changeRequest(exchange: Exchange, edits: HeaderEdits | null, rewrite: Rewrite | null): void {
  if (edits !== null) {
    applyEdits(exchange.request.headers, edits);
    exchange.authority = edits.authority ?? exchange.authority;
  }
  if (rewrite === null) return;
  exchange.authority = rewrite.hostname ?? exchange.authority;
  // `OPTIONS *` asks about the server and has no path.
  if (rewrite.path === null || !exchange.path.startsWith('/')) return;
  const path = rewritePath(exchange.path, rewrite.path);
  exchange.upstreamTarget = exchange.upstreamQuery === '' ? path : `${path}?${exchange.upstreamQuery}`;
}

function applyEdits(headers: HeaderBlock, edits: HeaderEdits): void {
  // What is set can still be added to, and removal has the last word (docs/rules/waypoint.md).
  for (const { name, value } of edits.set) headers.set(name, value);
  for (const { name, value } of edits.add) headers.add(name, value);
  for (const name of edits.remove) headers.remove(name);
}

/** Where to, made of what the redirect names and what the client asked for. */
function redirected(exchange: Exchange, redirect: Redirect): LocalReply {
  const { connection, request, path, query } = exchange;
  const { destination } = connection;
  const location = redirectLocation(redirect, {
    scheme: request.headers.get('x-forwarded-proto') === 'https' ? 'https' : 'http',
    authority: request.authority,
    hostname: destination.kind === 'service' ? destination.key.slice(destination.key.indexOf('/') + 1) : destination.address,
    port: destination.port,
    path,
    query,
  });
  return { ...reply(redirect.status, '', '-', 'direct_response'), headers: ['location', location] };
}
