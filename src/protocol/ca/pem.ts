import { X509Certificate } from 'node:crypto';

const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/** Every certificate of `text`, one PEM block each, ending with a newline; empty when there is none. */
export function splitCertificates(text: string): string[] {
  return [...text.matchAll(PEM_BLOCK)].map(([block]) => `${block}\n`);
}

/** What tools show of a certificate; `pem`: its PEM text in base64, times in ISO 8601. */
export type DescribedCertificate = { pem: string; serialNumber: string; validFrom: string; expirationTime: string };

/** Every certificate of `text`. Errors: those of OpenSSL, for one that cannot be read. */
export function describedCertificates(text: string): DescribedCertificate[] {
  return splitCertificates(text).map((pem) => {
    const { serialNumber, validFromDate, validToDate } = new X509Certificate(pem);
    return {
      pem: Buffer.from(pem).toString('base64'),
      serialNumber: BigInt(`0x${serialNumber}`).toString(),
      validFrom: validFromDate.toISOString(),
      expirationTime: validToDate.toISOString(),
    };
  });
}
