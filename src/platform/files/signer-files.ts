import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { refusalOf } from '#model/system-error.ts';
import { splitCertificates } from '#protocol/ca/pem.ts';
import type { SignerFiles } from '#protocol/ca/signer.ts';

const REMEDY =
  'give a directory with ca-cert.pem, ca-key.pem, cert-chain.pem and root-cert.pem, as in the secret `cacerts` of Istio';

/**
 * A signer that was made elsewhere, from a directory laid out as Istio's secret `cacerts`: ca-cert.pem and ca-key.pem sign, cert-chain.pem
 * leads from them to a root (it may leave out either end, or be absent when a root signed ca-cert.pem), root-cert.pem has all roots.
 * Errors: WEFT_CA_SIGNER when one of them cannot be read.
 */
export async function readSignerFiles(dir: string): Promise<SignerFiles> {
  const read = async (name: string): Promise<string> => {
    try {
      return await readFile(join(dir, name), 'utf8');
    } catch (cause) {
      throw new WeftError('WEFT_CA_SIGNER', `${join(dir, name)} cannot be read: ${refusalOf(cause)}`, { cause, remedy: REMEDY });
    }
  };
  const readChain = (): Promise<string> =>
    read('cert-chain.pem').catch((error: unknown) => {
      if (error instanceof WeftError && error.cause instanceof Error && 'code' in error.cause && error.cause.code === 'ENOENT')
        return '';
      throw error;
    });
  const [own, privateKeyPem, rootsPem, chain] = await Promise.all([
    read('ca-cert.pem'),
    read('ca-key.pem'),
    read('root-cert.pem'),
    readChain(),
  ]);
  const [signing = ''] = splitCertificates(own);
  // The chain usually begins with it.
  const above = splitCertificates(chain).filter((pem) => pem !== signing);
  return { certificatePem: [signing, ...above].join(''), privateKeyPem, rootsPem };
}
