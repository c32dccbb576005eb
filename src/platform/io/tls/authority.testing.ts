import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A certificate with its key, as files for the openssl command and as text for us. */
export type Certified = {
  readonly certificateFile: string;
  readonly keyFile: string;
  /** What leads from it to its root, without both. */
  readonly aboveFile: string;
  readonly chain: string;
  readonly key: string;
  readonly pem: string;
};

/** How a certificate is to differ from a good one. */
export type IssueOptions = {
  /** Null: signs itself. */
  readonly issuer: Certified | null;
  readonly subject?: string;
  /** Lines of an extension section. */
  readonly extensions?: readonly string[];
  /** As `openssl ca` takes them. */
  readonly from?: string;
  readonly until?: string;
  readonly key?: readonly string[];
  readonly digest?: string;
};

const P256 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
const CONFIG = `
[ca]
default_ca = it
[it]
database = ./index
new_certs_dir = ./made
policy = any
unique_subject = no
rand_serial = yes
[any]
commonName = optional
[req]
distinguished_name = name
[name]
`;

/** Extensions of an authority. */
export const CA_EXTENSIONS = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign'];
/** Extensions of a workload. */
export function workloadExtensions(uri: string): string[] {
  return [
    'basicConstraints=CA:FALSE',
    'keyUsage=digitalSignature',
    'extendedKeyUsage=serverAuth,clientAuth',
    `subjectAltName=URI:${uri}`,
  ];
}

/** Certificates made with the openssl command, which is not the OpenSSL under test, in a folder of their own. */
export class OpensslAuthority {
  readonly directory = mkdtempSync(join(tmpdir(), 'weft-io-tls-'));
  #count = 0;

  constructor() {
    mkdirSync(join(this.directory, 'made'));
    writeFileSync(join(this.directory, 'index'), '');
    writeFileSync(join(this.directory, 'config'), CONFIG);
  }

  /** A certificate of `issuer`, good but for what the options say. */
  issue({ issuer, subject, extensions = CA_EXTENSIONS, from, until, key = P256, digest = 'sha256' }: IssueOptions): Certified {
    const name = `c${++this.#count}`;
    const file = (end: string): string => join(this.directory, `${name}.${end}`);
    writeFileSync(file('ext'), `[all]\n${extensions.join('\n')}\n`);
    const subjectName = subject ?? `/CN=${name}`;
    this.#run(
      'req',
      '-new',
      '-config',
      'config',
      '-nodes',
      ...key,
      '-keyout',
      file('key'),
      '-out',
      file('csr'),
      '-subj',
      subjectName,
    );
    const signer =
      issuer === null ? ['-selfsign', '-keyfile', file('key')] : ['-cert', issuer.certificateFile, '-keyfile', issuer.keyFile];
    const dates = ['-startdate', from ?? '20200101000000Z', '-enddate', until ?? '20450101000000Z'];
    const common = ['-config', 'config', '-batch', '-notext', '-md', digest, '-preserveDN'];
    this.#run(
      'ca',
      ...common,
      ...signer,
      ...dates,
      '-extfile',
      file('ext'),
      '-extensions',
      'all',
      '-in',
      file('csr'),
      '-out',
      file('pem'),
    );
    const pem = readFileSync(file('pem'), 'latin1');
    const above = issuer === null ? '' : isRoot(issuer) ? '' : issuer.chain;
    writeFileSync(file('above'), above);
    const made = { certificateFile: file('pem'), keyFile: file('key'), aboveFile: file('above'), pem, chain: pem + above };
    return { ...made, key: readFileSync(file('key'), 'latin1') };
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }

  #run(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.directory, stdio: ['ignore', 'ignore', 'pipe'] });
  }
}

const roots = new WeakSet<Certified>();

/** A self-signed authority, which chains leave out. */
export function rootOf(authority: OpensslAuthority, options: Omit<IssueOptions, 'issuer'> = {}): Certified {
  const root = authority.issue({ issuer: null, ...options });
  roots.add(root);
  return root;
}

function isRoot(certified: Certified): boolean {
  return roots.has(certified);
}
