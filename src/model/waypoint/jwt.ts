/** Where a token may be; a name is that of a header, query parameter or cookie. */
export type TokenLocation =
  /** `name` in lower case; the value begins with `prefix`. */
  | { readonly in: 'header'; readonly name: string; readonly prefix: string }
  | { readonly in: 'query' | 'cookie'; readonly name: string };

/** Which tokens of one issuer are taken. A token in one of the places must be valid by some rule. */
export type JwtRule = {
  readonly issuer: string;
  /** Empty: any. */
  readonly audiences: readonly string[];
  /** Its keys, as a JSON Web Key Set; null: they are not known, so no token of the issuer is valid. */
  readonly jwks: string | null;
  readonly locations: readonly TokenLocation[];
  /** The token goes on to the upstream. */
  readonly forward: boolean;
  /** Header that gets the payload, as it came in the token; '' for none. */
  readonly payloadHeader: string;
  readonly claimHeaders: readonly { readonly header: string; readonly claim: string }[];
  /** Claims whose text is a list, beside `scope` and `permission`. */
  readonly spaceDelimitedClaims: readonly string[];
};
