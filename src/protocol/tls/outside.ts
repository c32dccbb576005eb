// TLS towards servers that are not of the mesh, as RFC 9325 recommends it: nothing without forward secrecy or authenticated encryption.

/** Of TLS 1.3, in order of preference. */
export const OUTSIDE_CIPHER_SUITES: readonly string[] = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_AES_128_GCM_SHA256',
  'TLS_CHACHA20_POLY1305_SHA256',
];

/** Of TLS 1.2. */
export const OUTSIDE_OLDER_CIPHER_SUITES: readonly string[] = [
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
];

/** Key agreements, the preferred first. */
export const OUTSIDE_GROUPS: readonly string[] = ['X25519MLKEM768', 'X25519', 'P-256', 'P-384'];
