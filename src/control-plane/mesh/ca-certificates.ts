import { X509Certificate } from 'node:crypto';
import { tableOf } from '#control-plane/index/table.ts';
import { messageOf } from '#model/error.ts';
import { splitCertificates } from '#protocol/ca/pem.ts';

/** Where a ConfigMap has them. Fixed by the Gateway API. */
export const CA_KEY = 'ca.crt';

/** Authorities that servers outside of the mesh may be certified by. */
export type CaCertificates =
  /** In PEM. */
  { readonly kind: 'usable'; readonly pem: string } | { readonly kind: 'unusable'; readonly why: string };

/** Those of ConfigMaps, by `<namespace>/<name>`. */
export const CA_CERTIFICATES = tableOf<CaCertificates>()('ca-certificates');

/** All certificates of a text: one that cannot be read spoils the others, for nobody could tell who is meant to be believed. */
export function readCaCertificates(text: string): CaCertificates {
  const certificates = splitCertificates(text);
  if (certificates.length === 0) return { kind: 'unusable', why: 'it holds no certificate in PEM' };
  for (const [at, pem] of certificates.entries()) {
    try {
      new X509Certificate(pem);
    } catch (error) {
      return { kind: 'unusable', why: `certificate ${at + 1} cannot be read: ${messageOf(error)}` };
    }
  }
  // Nothing but the certificates: whatever else stands there, such as a key, goes nowhere.
  return { kind: 'usable', pem: certificates.join('') };
}
