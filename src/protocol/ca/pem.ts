const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/** Every certificate of `text`, one PEM block each, ending with a newline; empty when there is none. */
export function splitCertificates(text: string): string[] {
  return [...text.matchAll(PEM_BLOCK)].map(([block]) => `${block}\n`);
}
