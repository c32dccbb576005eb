import { type Claims, claimTexts, type ParsedToken } from '#model/authentication/token.ts';
import { JWT } from '#model/settings/jwt.ts';
import type { JwtRule, KeySource } from '#model/waypoint/jwt.ts';

/** The keys of one issuer. */
export type JwtKeys = {
  /** Whether a key of this issuer, for this algorithm, has signed it. */
  verifies(token: ParsedToken): boolean;
  /** Whether there is the key that a token names. False for one that names none. */
  has(token: ParsedToken): boolean;
};

/** A rule with its keys; null: they are not known. Of keys that are fetched, those of this moment. */
export type KeyedRule = { readonly rule: JwtRule; readonly keys: JwtKeys | null };

/** Who a request comes from, by a token that is valid. */
export type Authenticated = {
  /** `<issuer>/<subject>`. */
  readonly principal: string;
  readonly claims: Claims;
  /** Claims whose text is a list. */
  readonly spaceDelimitedClaims: readonly string[];
};

/** What a token is worth. */
export type TokenVerdict =
  | { readonly kind: 'valid'; readonly who: Authenticated; readonly rule: JwtRule; readonly payload: string }
  /** `missing`: newer keys from there might prove it; null: nothing will. */
  | { readonly kind: 'refused'; readonly status: 401 | 403; readonly why: string; readonly missing: KeySource | null };

type Refused = Extract<TokenVerdict, { kind: 'refused' }>;

const BY_DEFAULT = ['scope', 'permission'];

/** Judges a token by the rules that look at where it was found; the words are those that clients know from Envoy (W64). */
export function judgeToken(token: ParsedToken, rules: readonly KeyedRule[], nowMs: number): TokenVerdict {
  const issuer = token.claims.iss;
  let refusal = refused('Jwt issuer is not configured');
  for (const { rule, keys } of rules) {
    if (typeof issuer !== 'string' || issuer !== rule.issuer) continue;
    const why = whyNot(token, rule, keys, nowMs);
    if (why !== null) {
      refusal = { ...why, missing: why.missing ?? refusal.missing };
      continue;
    }
    const subject = typeof token.claims.sub === 'string' ? token.claims.sub : '';
    const spaceDelimitedClaims = [...BY_DEFAULT, ...rule.spaceDelimitedClaims];
    const who = { principal: `${issuer}/${subject}`, claims: token.claims, spaceDelimitedClaims };
    return { kind: 'valid', who, rule, payload: token.payload };
  }
  return refusal;
}

/** The signature first: what is not proved is not looked at. */
function whyNot(token: ParsedToken, { audiences, jwksFrom }: JwtRule, keys: JwtKeys | null, nowMs: number): Refused | null {
  if (keys === null) return { ...refused('Jwks remote fetch is failed'), missing: jwksFrom ?? null };
  if (!keys.verifies(token)) return unproved(token, keys, jwksFrom);
  const { exp, nbf } = token.claims;
  const skewMs = JWT.clockSkewMs;
  if (exp !== undefined && !(typeof exp === 'number' && nowMs < exp * 1_000 + skewMs)) return refused('Jwt is expired');
  if (nbf !== undefined && !(typeof nbf === 'number' && nowMs >= nbf * 1_000 - skewMs)) return refused('Jwt not yet valid');
  if (audiences.length === 0) return null;
  const named = claimTexts(token.claims, ['aud']);
  return audiences.some((one) => named.includes(one)) ? null : refused('Audiences in Jwt are not allowed', 403);
}

/** An issuer that has replaced its key signs with one that is not known yet. */
function unproved(token: ParsedToken, keys: JwtKeys, source: KeySource | undefined): Refused {
  if (keys.has(token)) return refused('Jwt verification fails');
  const why = token.keyId === null ? 'Jwt verification fails' : "Jwks doesn't have key to match kid or alg from Jwt";
  return { ...refused(why), missing: source ?? null };
}

function refused(why: string, status: 401 | 403 = 401): Refused {
  return { kind: 'refused', status, why, missing: null };
}
