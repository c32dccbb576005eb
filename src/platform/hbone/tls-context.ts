import tls from 'node:tls';
import type { Credentials } from '#model/identity/identity.ts';
import { HBONE_CIPHER_SUITES } from '#protocol/hbone/settings.ts';

/** What both sides of HBONE demand of TLS: version 1.3, two suites, our certificate, our roots. */
export function tlsOptions(credentials: Credentials): tls.SecureContextOptions {
  return {
    key: credentials.privateKeyPem,
    cert: credentials.chainPem,
    ca: [...credentials.rootsPem],
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: HBONE_CIPHER_SUITES.join(':'),
  };
}

const contexts = new WeakMap<Credentials, tls.SecureContext>();

/** The parsed form of `credentials`, made once for each. Throws when key or certificates cannot be read. */
export function secureContextOf(credentials: Credentials): tls.SecureContext {
  const known = contexts.get(credentials);
  if (known !== undefined) return known;
  const context = tls.createSecureContext(tlsOptions(credentials));
  contexts.set(credentials, context);
  return context;
}
