import type { Identity } from '#model/identity/identity.ts';

/** An X.509 SVID with its private key. Lives in memory only: never logged, never written to disk. */
export type Credentials = {
  identity: Identity;
  privateKeyPem: string;
  /** Leaf first, then intermediates; no root. */
  chainPem: string;
  /** Roots that peers are verified against. */
  rootsPem: readonly string[];
  notBeforeMs: number;
  notAfterMs: number;
};
