import type { JwtKeys } from '#model/authentication/judge.ts';
import { remembering } from '#model/authentication/remembering.ts';
import { JWT } from '#model/settings/jwt.ts';
import { type KeySource, keySourceId } from '#model/waypoint/jwt.ts';

/** What whoever fetches says of a source; `jwks` null: its keys are not known. */
export type ToldKeys = { readonly source: KeySource; readonly jwks: string | null };

type Known = { readonly jwks: string; readonly keys: JwtKeys };

/** Keys that another thread fetches, as one that serves has them. A request that needs others asks, and waits for the answer. */
export class FetchedKeys {
  readonly #keysOf: (jwks: string) => JwtKeys | null;
  readonly #ask: (source: KeySource) => void;
  readonly #known = new Map<string, Known>();
  readonly #asked = new Map<string, PromiseWithResolvers<void>>();
  #waiting = 0;

  /** `ask`: to be answered by `take`, whether there are newer keys or not. */
  constructor(keysOf: (jwks: string) => JwtKeys | null, ask: (source: KeySource) => void) {
    this.#keysOf = keysOf;
    this.#ask = ask;
  }

  /** Those of now; null: none are known. */
  of(source: KeySource): JwtKeys | null {
    return this.#known.get(keySourceId(source))?.keys ?? null;
  }

  /** Resolves when the source was asked again, or will not be for now; null: too many wait already. */
  renewed(source: KeySource): Promise<void> | null {
    if (this.#waiting >= JWT.waitingMax) return null;
    const id = keySourceId(source);
    let asked = this.#asked.get(id);
    if (asked === undefined) {
      asked = Promise.withResolvers<void>();
      this.#asked.set(id, asked);
      this.#ask(source);
    }
    this.#waiting++;
    return asked.promise.finally(() => {
      this.#waiting--;
    });
  }

  /** What was fetched, or that it could not be. */
  take({ source, jwks }: ToldKeys): void {
    const id = keySourceId(source);
    const keys = jwks === null ? null : this.#keysOf(jwks);
    if (jwks === null || keys === null) this.#known.delete(id);
    // Of the same keys it stays known which tokens they prove.
    else if (this.#known.get(id)?.jwks !== jwks) this.#known.set(id, { jwks, keys: remembering(keys) });
    this.#asked.get(id)?.resolve();
    this.#asked.delete(id);
  }
}
