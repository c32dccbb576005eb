/** Where a token may be; a name is that of a header, query parameter or cookie. */
export type TokenLocation =
  /** `name` in lower case; the value begins with `prefix`. */
  | { readonly in: 'header'; readonly name: string; readonly prefix: string }
  | { readonly in: 'query' | 'cookie'; readonly name: string };

/** Where the keys of an issuer are fetched. */
export type KeySource = {
  /** `jwks`: the keys are at `url`; `issuer`: an issuer is, who says where they are (OpenID Connect Discovery). */
  readonly kind: 'jwks' | 'issuer';
  readonly url: string;
  /** Milliseconds that one fetch may take. */
  readonly timeoutMs: number;
};

/** Tells sources apart. */
export function keySourceId({ kind, url, timeoutMs }: KeySource): string {
  return `${kind} ${timeoutMs} ${url}`;
}

/** A key set, as it was fetched; `freshMs`: for how long its server says that it may be kept, null when it does not say. */
export type FetchedKeySet = { readonly jwks: string; readonly freshMs: number | null };

/** Which tokens of one issuer are taken. A token in one of the places must be valid by some rule. */
export type JwtRule = {
  readonly issuer: string;
  /** Empty: any. */
  readonly audiences: readonly string[];
  /** Its keys, as a JSON Web Key Set; null: they are not written. */
  readonly jwks: string | null;
  /** Where they are fetched. Absent, and none written: no token of the issuer is valid. */
  readonly jwksFrom?: KeySource;
  readonly locations: readonly TokenLocation[];
  /** The token goes on to the upstream. */
  readonly forward: boolean;
  /** Header that gets the payload, as it came in the token; '' for none. */
  readonly payloadHeader: string;
  readonly claimHeaders: readonly { readonly header: string; readonly claim: string }[];
  /** Claims whose text is a list, beside `scope` and `permission`. */
  readonly spaceDelimitedClaims: readonly string[];
};
