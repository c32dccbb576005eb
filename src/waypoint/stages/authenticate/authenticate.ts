import { type JwtKeys, judgeToken, type KeyedRule, type TokenVerdict } from '#model/authentication/judge.ts';
import {
  claimHeaderNames,
  claimHeaders,
  type FoundToken,
  tokensAt,
  withoutCookie,
  withoutParam,
} from '#model/authentication/locations.ts';
import { type ParsedToken, parseToken } from '#model/authentication/token.ts';
import { JWT } from '#model/settings/jwt.ts';
import type { JwtRule, TokenLocation } from '#model/waypoint/jwt.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { type LocalReply, reply } from '#waypoint/exchange/local-reply.ts';
import { NEXT, replyWith, type Stage, type StageParts } from '#waypoint/exchange/stage.ts';

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
export function authenticateStage({ state, effects: { clock, jwtKeys } }: StageParts): Stage {
  const compiled = state.bindings.keep({
    make: ({ config, problem }) => compile(config.authentication ?? [], jwtKeys, problem),
  });
  return {
    name: 'authenticate',
    request(exchange) {
      const { bound } = exchange;
      if (bound === null || bound.config.authentication === undefined) return NEXT;
      const { places, ownHeaders } = compiled.of(bound);
      // Also where no token came: what a client says of itself there is nobody's word.
      for (const name of ownHeaders) exchange.request.headers.remove(name);
      if (isPreflight(exchange)) return NEXT;
      // One bad token is enough, whatever the others say: which of them the upstream would believe is not known.
      for (const { location, rules } of places) {
        for (const found of tokensAt(location, exchange)) {
          const refusal = take(exchange, found, rules, clock.nowMs());
          if (refusal !== null) return replyWith(refusal);
        }
      }
      return NEXT;
    },
  };
}

/** Null: the token is valid, and what it says is known. */
function take(exchange: Exchange, { text, location }: FoundToken, rules: readonly KeyedRule[], nowMs: number): LocalReply | null {
  const token = parseToken(text);
  if (token === null) return unauthorized(401, 'Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections');
  const verdict = judgeToken(token, rules, nowMs);
  if (verdict.kind === 'refused') return unauthorized(verdict.status, verdict.why);
  accept(exchange, verdict, location);
  return null;
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

/** Once for each configuration; keys that cannot be read are told, and prove nothing. */
function compile(rules: readonly JwtRule[], keysOf: (jwks: string) => JwtKeys | null, problem: (why: string) => void): Compiled {
  const keyed = rules.map((rule): KeyedRule => {
    const keys = rule.jwks === null ? null : keysOf(rule.jwks);
    if (rule.jwks !== null && keys === null) problem(`the keys of issuer ${rule.issuer} are no JSON Web Key Set`);
    return { rule, keys: keys === null ? null : remembering(keys) };
  });
  // Of several rules for one place each is asked: a token is good if one of them takes it.
  const locations = new Map(rules.flatMap((rule) => rule.locations).map((one) => [JSON.stringify(one), one]));
  return {
    places: [...locations].map(([text, location]) => ({
      location,
      rules: keyed.filter(({ rule }) => rule.locations.some((one) => JSON.stringify(one) === text)),
    })),
    ownHeaders: claimHeaderNames(rules),
  };
}

/** A client sends one token with many requests; a signature that was right stays right, for as long as these keys are in force. */
function remembering(keys: JwtKeys): JwtKeys {
  const right = new Set<string>();
  return {
    verifies(token: ParsedToken): boolean {
      const text = `${token.signed}.${Buffer.from(token.signature).toString('base64url')}`;
      if (right.has(text)) return true;
      if (!keys.verifies(token)) return false;
      const [oldest] = right;
      if (right.size >= JWT.knownTokensMax && oldest !== undefined) right.delete(oldest);
      right.add(text);
      return true;
    },
  };
}
