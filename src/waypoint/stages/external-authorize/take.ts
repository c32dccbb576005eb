import { withoutParam } from '#model/authentication/locations.ts';
import type { ExternalVerdict } from '#model/authorizer/verdict.ts';
import { isFraming } from '#model/routing/header-edits.ts';
import type { ExternalAuthorizer } from '#model/waypoint/authorizer.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { changeHeaders, mayBecome } from '#waypoint/exchange/header-changes.ts';
import { type LocalReply, reply } from '#waypoint/exchange/local-reply.ts';

/** Who answers, and when, is ours to say. */
const OURS = ['date', 'server'];

/** What an authorizer that allows changes in what the upstream gets. */
export function changeRequest(exchange: Exchange, verdict: Extract<ExternalVerdict, { kind: 'allow' }>): void {
  const { headers } = exchange.request;
  for (const name of verdict.removed) if (!isFraming(name)) headers.remove(name);
  changeHeaders(headers, verdict.toUpstream);
  const { removedParams, setParams } = verdict;
  if (removedParams.length + setParams.length === 0) return;
  // Percent-encoded alike, or a name could be written in a way that is not found.
  const names = [...removedParams, ...setParams.map(([name]) => name)];
  const left = names.reduce((query, name) => withoutParam(query, encodeURIComponent(name)), exchange.upstreamQuery);
  const added = setParams.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  exchange.upstreamQuery = [left, ...added].filter((part) => part !== '').join('&');
  exchange.upstreamTarget = exchange.upstreamQuery === '' ? exchange.path : `${exchange.path}?${exchange.upstreamQuery}`;
}

/** The client gets the authorizer's own answer. */
export function deniedBy({ status, headers, body }: Extract<ExternalVerdict, { kind: 'deny' }>): LocalReply {
  const pairs = headers
    .filter(({ name, value }) => mayBecome(name, value) && !OURS.includes(name))
    .flatMap(({ name, value }) => [name, value]);
  return { ...reply(status, '', 'UAEX', 'ext_authz_denied'), body, headers: pairs };
}

/** Nobody has decided; why is for the log alone. */
export function undecided({ statusOnError, name }: ExternalAuthorizer, why: string): LocalReply {
  return reply(statusOnError, '', 'UAEX', `ext_authz_error{${name}|${why}}`.replaceAll(' ', '_'));
}
