import { JWT } from '#model/settings/jwt.ts';

/** Claims of a token, as its JSON says. */
export type Claims = Readonly<Record<string, unknown>>;

/** A token in its parts; nothing of it is proved. */
export type ParsedToken = {
  readonly algorithm: string;
  /** Which key has signed it; null: it does not say. */
  readonly keyId: string | null;
  readonly claims: Claims;
  /** As it came: base64url. */
  readonly payload: string;
  /** What was signed. */
  readonly signed: string;
  readonly signature: Uint8Array;
};

const PART = /^[A-Za-z0-9_-]+$/;

/** Null for what is no JWT in its compact form. */
export function parseToken(text: string): ParsedToken | null {
  if (text.length > JWT.tokenCharactersMax) return null;
  const parts = text.split('.');
  const [header = '', payload = '', signature = ''] = parts;
  if (parts.length !== 3 || !parts.every((part) => PART.test(part))) return null;
  const head = parseObject(header);
  const claims = parseObject(payload);
  if (head === null || claims === null || typeof head.alg !== 'string') return null;
  // Extensions that must be understood: none is here.
  if (head.crit !== undefined) return null;
  return {
    algorithm: head.alg,
    keyId: typeof head.kid === 'string' ? head.kid : null,
    claims,
    payload,
    signed: `${header}.${payload}`,
    signature: Buffer.from(signature, 'base64url'),
  };
}

function parseObject(part: string): Claims | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Claims) : null;
  } catch {
    return null;
  }
}

/** The texts of a claim, which may lie in others: one, or those of a list; numbers and booleans as JSON writes them. */
export function claimTexts(claims: Claims, path: readonly string[], spaceDelimited: readonly string[] = []): string[] {
  let value: unknown = claims;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) return [];
    value = (value as Claims)[name];
  }
  const list = Array.isArray(value) ? value : [value];
  const texts = list.filter((one) => ['string', 'number', 'boolean'].includes(typeof one)).map(String);
  const [only] = path;
  const splits = path.length === 1 && only !== undefined && spaceDelimited.includes(only);
  return splits && typeof value === 'string' ? value.split(' ').filter((one) => one !== '') : texts;
}
