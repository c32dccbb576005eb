// The certificate library needs this polyfill to be loaded before it.
import 'reflect-metadata';
import type { webcrypto } from 'node:crypto';
import { Pkcs10CertificateRequest, PublicKey } from '@peculiar/x509';
import { WeftError } from '#model/error.ts';

/** EC P-256 with SHA-256: what every key of the mesh is made for. */
export const EC_P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A fresh EC P-256 key for a certificate that its own holder signs for; the private key is PKCS#8. */
export async function createServerKey(): Promise<{ publicKey: PublicKey; privateKeyPem: string }> {
  const { keys, privateKeyPem } = await generateKey();
  return { publicKey: await PublicKey.create(keys.publicKey), privateKeyPem };
}

/** A fresh EC P-256 key pair, and its private key as PKCS#8. */
export async function generateKey(): Promise<{ keys: webcrypto.CryptoKeyPair; privateKeyPem: string }> {
  const keys = await crypto.subtle.generateKey(EC_P256, true, ['sign', 'verify']);
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey));
  return { keys, privateKeyPem: toPem('PRIVATE KEY', pkcs8) };
}

/** What an authority takes from a CSR: the key it is for, and whether the subject names a CN. Its SANs are not read. */
export type AcceptedRequest = { publicKey: PublicKey; hasCommonName: boolean };

/** Errors: WEFT_CSR when the text is no CSR, or is not signed by the key it carries. */
export async function readSigningRequest(csrPem: string): Promise<AcceptedRequest> {
  try {
    const csr = new Pkcs10CertificateRequest(csrPem);
    if (!(await csr.verify())) throw new Error('it is not signed by its own key');
    return { publicKey: csr.publicKey, hasCommonName: csr.subjectName.getField('CN').length > 0 };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new WeftError('WEFT_CSR', `the certificate request cannot be used: ${reason}`, { cause: error });
  }
}

function toPem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
