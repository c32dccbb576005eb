import { type Claims, claimTexts, type ParsedToken } from '#model/authentication/token.ts';
import { JWT } from '#model/settings/jwt.ts';
import type { JwtRule } from '#model/waypoint/jwt.ts';

/** The keys of one issuer. */
export type JwtKeys = {
  /** Whether a key of this issuer, for this algorithm, has signed it. */
  verifies(token: ParsedToken): boolean;
};

/** A rule with its keys; null: they are not known. */
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
  | { readonly kind: 'refused'; readonly status: 401 | 403; readonly why: string };

const BY_DEFAULT = ['scope', 'permission'];

/** Judges a token by the rules that look at where it was found; the words are those that clients know from Envoy (W64). */
export function judgeToken(token: ParsedToken, rules: readonly KeyedRule[], nowMs: number): TokenVerdict {
  const issuer = token.claims.iss;
  let refusal: TokenVerdict = refused('Jwt issuer is not configured');
  for (const { rule, keys } of rules) {
    if (typeof issuer !== 'string' || issuer !== rule.issuer) continue;
    const why = whyNot(token, rule, keys, nowMs);
    if (why !== null) {
      refusal = why;
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
function whyNot(token: ParsedToken, { audiences }: JwtRule, keys: JwtKeys | null, nowMs: number): TokenVerdict | null {
  if (keys === null) return refused('Jwks remote fetch is failed');
  if (!keys.verifies(token)) return refused('Jwt verification fails');
  const { exp, nbf } = token.claims;
  const skewMs = JWT.clockSkewMs;
  if (exp !== undefined && !(typeof exp === 'number' && nowMs < exp * 1_000 + skewMs)) return refused('Jwt is expired');
  if (nbf !== undefined && !(typeof nbf === 'number' && nowMs >= nbf * 1_000 - skewMs)) return refused('Jwt not yet valid');
  if (audiences.length === 0) return null;
  const named = claimTexts(token.claims, ['aud']);
  return audiences.some((one) => named.includes(one)) ? null : refused('Audiences in Jwt are not allowed', 403);
}

function refused(why: string, status: 401 | 403 = 401): TokenVerdict {
  return { kind: 'refused', status, why };
}
