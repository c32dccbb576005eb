import { generateKeyPair, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { formatIdentity, type Identity } from '#model/identity/identity.ts';

/** A CSR and the private key made for it; the key is PKCS#8 and stays with the caller. */
export type SigningRequest = { csrPem: string; privateKeyPem: string };

/**
 * A fresh EC P-256 key and a CSR with an empty subject and the identity as its one, critical SAN (B57). Written by hand: whoever only asks
 * for certificates would load a library of 350 KiB, and hold 10 MB, for these few bytes. The tests read them with that library.
 */
export async function createSigningRequest(identity: Identity): Promise<SigningRequest> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
  const request = requestOf(publicKey, formatIdentity(identity));
  const signature = sign('sha256', request, privateKey);
  const csr = der(SEQUENCE, request, der(SEQUENCE, ECDSA_WITH_SHA256), der(BIT_STRING, Buffer.of(0), signature));
  return {
    csrPem: toPem('CERTIFICATE REQUEST', csr),
    privateKeyPem: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  };
}

/** Tags of DER. Fixed by X.690. */
const [BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, SEQUENCE, SET] = [0x01, 0x02, 0x03, 0x04, 0x30, 0x31];
/** Attributes of a request, and a URI among names. Fixed by RFC 2986 4.1 and RFC 5280 4.2.1.6. */
const [ATTRIBUTES, URI] = [0xa0, 0x86];
/** Object identifiers, each as a whole element. Fixed by RFC 5758 3.2, RFC 2985 5.4.2 and RFC 5280 4.2.1.6. */
const ECDSA_WITH_SHA256 = Buffer.from('06082a8648ce3d040302', 'hex');
const EXTENSION_REQUEST = Buffer.from('06092a864886f70d01090e', 'hex');
const SUBJECT_ALT_NAME = Buffer.from('0603551d11', 'hex');

/** CertificationRequestInfo (RFC 2986 4.1). */
function requestOf(publicKey: KeyObject, uri: string): Buffer {
  const names = der(SEQUENCE, der(URI, Buffer.from(uri, 'latin1')));
  const san = der(SEQUENCE, SUBJECT_ALT_NAME, der(BOOLEAN, Buffer.of(0xff)), der(OCTET_STRING, names));
  const attribute = der(SEQUENCE, EXTENSION_REQUEST, der(SET, der(SEQUENCE, san)));
  const key = publicKey.export({ type: 'spki', format: 'der' });
  return der(SEQUENCE, der(INTEGER, Buffer.of(0)), der(SEQUENCE), key, der(ATTRIBUTES, attribute));
}

/** One element of DER: its tag, its length, its content. */
function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content);
  const { length } = body;
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...head), body]);
}

function toPem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
