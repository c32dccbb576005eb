import type { JwtKeys } from '#model/authentication/judge.ts';
import { type ParsedToken, parseToken } from '#model/authentication/token.ts';
import { JWT } from '#model/settings/jwt.ts';

/** Tokens that were good once: a client sends one with many requests, and reading it costs more than all else that is done with it. */
export class KnownTokens {
  readonly #tokens = new Map<string, ParsedToken>();

  /** The same token for the same text, as long as it is known. Null for what is no token. */
  read(text: string): ParsedToken | null {
    return this.#tokens.get(text) ?? parseToken(text);
  }

  /** It was good: nobody can fill the memory with what they made up. */
  keep(text: string, token: ParsedToken): void {
    if (this.#tokens.has(text)) return;
    const [oldest] = this.#tokens.keys();
    if (this.#tokens.size >= JWT.knownTokensMax && oldest !== undefined) this.#tokens.delete(oldest);
    this.#tokens.set(text, token);
  }
}

/** A signature that was right stays right, for as long as these keys are in force; of tokens that are read anew it is computed anew. */
export function remembering(keys: JwtKeys): JwtKeys {
  const right = new WeakSet<ParsedToken>();
  return {
    has: (token) => keys.has(token),
    verifies(token) {
      if (right.has(token)) return true;
      if (!keys.verifies(token)) return false;
      right.add(token);
      return true;
    },
  };
}
