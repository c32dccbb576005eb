import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { command } from '#testbed/processes/command.ts';

const DAYS = ['-days', '1'];

/**
 * An authority and two certificates for `peer`, one for each end of a pair of proxies: `ca.pem`, and `a.both` and `b.both` with
 * certificate and key. P-256, as the mesh's own are.
 */
export async function makeCertificates(dir: string): Promise<void> {
  const at = (name: string): string => join(dir, name);
  const key = (name: string): Promise<string> =>
    command(['openssl', 'ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', at(`${name}.key`)]);
  await key('ca');
  const self = ['-x509', '-new', '-key', at('ca.key'), '-subj', '/CN=bench', ...DAYS, '-out', at('ca.pem')];
  await command(['openssl', 'req', ...self]);
  await writeFile(at('names'), 'subjectAltName=DNS:peer');
  for (const name of ['a', 'b']) {
    await key(name);
    await command(['openssl', 'req', '-new', '-key', at(`${name}.key`), '-subj', '/CN=peer', '-out', at(`${name}.csr`)]);
    const signer = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', ...DAYS, '-extfile', at('names')];
    await command(['openssl', 'x509', '-req', '-in', at(`${name}.csr`), ...signer, '-out', at(`${name}.pem`)]);
    await command(['sh', '-c', 'cat "$1.pem" "$1.key" > "$1.both"', 'sh', at(name)]);
  }
}
