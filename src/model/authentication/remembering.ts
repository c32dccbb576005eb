import type { JwtKeys } from '#model/authentication/judge.ts';
import { JWT } from '#model/settings/jwt.ts';

/** A client sends one token with many requests; a signature that was right stays right, for as long as these keys are in force. */
export function remembering(keys: JwtKeys): JwtKeys {
  const right = new Set<string>();
  return {
    has: (token) => keys.has(token),
    verifies(token) {
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
