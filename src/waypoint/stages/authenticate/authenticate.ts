import { type JwtKeys, judgeToken, type KeyedRule, type TokenVerdict } from '#model/authentication/judge.ts';
import { claimHeaderNames, claimHeaders, tokensAt, withoutCookie, withoutParam } from '#model/authentication/locations.ts';
import { KnownTokens, remembering } from '#model/authentication/remembering.ts';
import type { JwtRule, KeySource, TokenLocation } from '#model/waypoint/jwt.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { type LocalReply, reply } from '#waypoint/exchange/local-reply.ts';
import { NEXT, replyWith, type Stage, type StageParts, type StageResult } from '#waypoint/exchange/stage.ts';
import type { FetchedKeys } from '#waypoint/keys/fetched-keys.ts';

const NO_TOKEN: TokenVerdict = {
  ...{ kind: 'refused', status: 401, missing: null },
  why: 'Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections',
};

/** The rules of one service, and which of them look where. */
type Compiled = {
  readonly places: readonly { readonly location: TokenLocation; readonly rules: readonly KeyedRule[] }[];
  /** Only tokens set these. */
  readonly ownHeaders: readonly string[];
};

/**
 * Proves the tokens of requests (W64). A request without one passes, as nobody in particular: policies say who must be somebody. Every token
 * in a place where one is looked for must be valid. Before the policies, which ask for what it says.
 */
export function authenticateStage({ state, effects: { clock, jwtKeys, fetchedKeys } }: StageParts): Stage {
  const compiled = state.bindings.keep({
    make: ({ config, problem }) => compile(config.authentication ?? [], keyed(jwtKeys, fetchedKeys, problem)),
  });
  const judged = judge(new KnownTokens());
  return {
    name: 'authenticate',
    request(exchange) {
      const { bound } = exchange;
      if (bound === null || bound.config.authentication === undefined) return NEXT;
      const { places, ownHeaders } = compiled.of(bound);
      // Also where no token came: what a client says of itself there is nobody's word.
      for (const name of ownHeaders) exchange.request.headers.remove(name);
      if (isPreflight(exchange)) return NEXT;
      const found = judged(exchange, places, clock.nowMs());
      const renewed = missing(found).map((source) => fetchedKeys.renewed(source));
      if (renewed.length === 0 || renewed.includes(null)) return resultOf(exchange, found);
      // Its issuer may have replaced a key, or its keys are on their way.
      return Promise.all(renewed).then(() =>
        exchange.over ? NEXT : resultOf(exchange, judged(exchange, places, clock.nowMs())),
      );
    },
  };
}

/** A token that a request brought, and what it is worth. */
type Judged = { readonly location: TokenLocation; readonly verdict: TokenVerdict };

/** Changes nothing of a request: what was judged may have to be judged again. */
function judge(known: KnownTokens): (exchange: Exchange, places: Compiled['places'], nowMs: number) => Judged[] {
  return (exchange, places, nowMs) =>
    places.flatMap(({ location, rules }) =>
      tokensAt(location, exchange).map(({ text }) => {
        const token = known.read(text);
        const verdict = token === null ? NO_TOKEN : judgeToken(token, rules, nowMs);
        if (token !== null && verdict.kind === 'valid') known.keep(text, token);
        return { location, verdict };
      }),
    );
}

/** From where newer keys might prove what is not proved; none where a token is no good whatever they are. */
function missing(found: readonly Judged[]): KeySource[] {
  const refused = found.map(({ verdict }) => verdict).filter((verdict) => verdict.kind === 'refused');
  const sources = refused.map((verdict) => verdict.missing).filter((source) => source !== null);
  return sources.length < refused.length ? [] : sources;
}

/** One bad token is enough, whatever the others say: which of them the upstream would believe is not known. */
function resultOf(exchange: Exchange, found: readonly Judged[]): StageResult {
  for (const { verdict } of found) if (verdict.kind === 'refused') return replyWith(unauthorized(verdict.status, verdict.why));
  for (const { location, verdict } of found) if (verdict.kind === 'valid') accept(exchange, verdict, location);
  return NEXT;
}

/** What a valid token changes: who the request is from, and its headers. */
function accept(
  exchange: Exchange,
  { who, rule, payload }: Extract<TokenVerdict, { kind: 'valid' }>,
  location: TokenLocation,
): void {
  // Of several tokens the first one says who it is.
  exchange.authenticated ??= who;
  if (!rule.forward) strip(exchange, location);
  for (const [name, value] of claimHeaders(rule, who.claims, payload)) exchange.request.headers.set(name, value);
}

/** What has proved who it is may be used by others: it goes no further than needed. */
function strip(exchange: Exchange, location: TokenLocation): void {
  const { headers } = exchange.request;
  if (location.in === 'header') headers.remove(location.name);
  else if (location.in === 'cookie') {
    const left = headers.values('cookie').map((line) => withoutCookie(line, location.name));
    headers.remove('cookie');
    for (const line of left) if (line !== '') headers.add('cookie', line);
  } else {
    exchange.upstreamQuery = withoutParam(exchange.upstreamQuery, location.name);
    exchange.upstreamTarget = exchange.upstreamQuery === '' ? exchange.path : `${exchange.path}?${exchange.upstreamQuery}`;
  }
}

/** Browsers send no token with it. It passes as nobody. */
function isPreflight({ method, request: { headers } }: Exchange): boolean {
  return method === 'OPTIONS' && headers.get('origin') !== null && headers.get('access-control-request-method') !== null;
}

/** 401 asks for a better token; with another audience the token itself is right (W64). */
function unauthorized(status: 401 | 403, why: string): LocalReply {
  const answer = reply(status, why, '-', `jwt_authn_access_denied{${why.replaceAll(' ', '_')}}`);
  return status === 403 ? answer : { ...answer, headers: ['www-authenticate', 'Bearer realm="waypoint", error="invalid_token"'] };
}

/** The keys of a rule; those that are written and cannot be read are told, and prove nothing. */
function keyed(
  keysOf: (jwks: string) => JwtKeys | null,
  fetched: FetchedKeys,
  problem: (why: string) => void,
): (rule: JwtRule) => KeyedRule {
  return (rule) => {
    const { jwks, jwksFrom, issuer } = rule;
    if (jwks === null)
      return jwksFrom === undefined
        ? { rule, keys: null }
        : {
            rule,
            get keys() {
              return fetched.of(jwksFrom);
            },
          };
    const keys = keysOf(jwks);
    if (keys === null) problem(`the keys of issuer ${issuer} are no JSON Web Key Set`);
    return { rule, keys: keys === null ? null : remembering(keys) };
  };
}

/** Once for each configuration. */
function compile(rules: readonly JwtRule[], withKeys: (rule: JwtRule) => KeyedRule): Compiled {
  const all = rules.map(withKeys);
  // Of several rules for one place each is asked: a token is good if one of them takes it.
  const locations = new Map(rules.flatMap((rule) => rule.locations).map((one) => [JSON.stringify(one), one]));
  return {
    places: [...locations].map(([text, location]) => ({
      location,
      rules: all.filter(({ rule }) => rule.locations.some((one) => JSON.stringify(one) === text)),
    })),
    ownHeaders: claimHeaderNames(rules),
  };
}
