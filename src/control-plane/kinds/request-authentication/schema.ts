import type { PolicyTarget } from '#control-plane/mesh/policy-targets.ts';
import type { Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';
import type { JwtRule } from '#model/waypoint/jwt.ts';

/** Which tokens are taken; nothing it refers to has been looked up yet. */
export type RequestAuthenticationResource = {
  kind: 'RequestAuthentication';
  metadata: Metadata;
  targets: readonly PolicyTarget[];
  rules: readonly JwtRule[];
};

/** A reference to a target, as written. */
export type RawTarget = { group?: string; kind: string; name: string; namespace?: string };

/** A rule, as written. */
export type RawJwtRule = {
  issuer?: string;
  audiences?: string[];
  jwksUri?: string;
  jwks_uri?: string;
  jwks?: string;
  fromHeaders?: { name: string; prefix?: string }[];
  fromParams?: string[];
  fromCookies?: string[];
  forwardOriginalToken?: boolean;
  outputPayloadToHeader?: string;
  outputClaimToHeaders?: { header: string; claim: string }[];
  spaceDelimitedClaims?: string[];
  timeout?: string;
};

/** The document, once its schema has passed. */
export type RawRequestAuthentication = {
  metadata: RawMetadata;
  spec?: { selector?: object; targetRef?: RawTarget; targetRefs?: RawTarget[]; jwtRules?: RawJwtRule[] };
};
