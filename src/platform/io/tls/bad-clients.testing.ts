import {
  CA_EXTENSIONS,
  type Certified,
  type IssueOptions,
  type OpensslAuthority,
  rootOf,
  workloadExtensions,
} from './authority.testing.ts';

/** The identity that certificates here name. */
export const WEB = 'spiffe://td.local/ns/shop/sa/web';

/** A client as nobody should be: in words, the reason that our server has to name, and options of `openssl s_client`. */
export type BadClient = readonly [name: string, expected: RegExp, args: () => string[]];

/** An authority of workloads, and clients that our server has to refuse. */
export type BadClients = {
  readonly root: Certified;
  /** A good one. */
  readonly web: Certified;
  /** Whose certificate is bad. */
  readonly certificates: readonly BadClient[];
  /** Whose handshake is bad. */
  readonly hellos: readonly BadClient[];
};

/** Options of `openssl s_client` that show a certificate. */
export const shows = ({ certificateFile, keyFile, aboveFile, chain, pem }: Certified): string[] => [
  ...['-cert', certificateFile, '-key', keyFile],
  ...(chain === pem ? [] : ['-cert_chain', aboveFile]),
];

const RSA = (bits: number): string[] => ['-newkey', `rsa:${bits}`];
const WEAK = ['-cipher', 'DEFAULT@SECLEVEL=0'];

/** Makes them. */
export function badClients(authority: OpensslAuthority): BadClients {
  const root = rootOf(authority);
  const workload = (options: Partial<IssueOptions> = {}): Certified =>
    authority.issue({ issuer: root, extensions: workloadExtensions(WEB), ...options });
  const below = (issuer: Certified, extensions: readonly string[] = CA_EXTENSIONS): Certified =>
    authority.issue({ issuer, extensions });
  const parts = { authority, root, web: workload(), workload, below };
  return { root, web: parts.web, certificates: badCertificates(parts), hellos: badHellos(parts) };
}

type Parts = Readonly<Record<'root' | 'web', Certified>> & {
  readonly authority: OpensslAuthority;
  workload(options?: Partial<IssueOptions>): Certified;
  /** An authority below another one. */
  below(issuer: Certified, extensions?: readonly string[]): Certified;
};

function badCertificates({ authority, root, web, workload, below }: Parts): readonly BadClient[] {
  const otherRoot = rootOf(authority);
  const namesake = rootOf(authority, { subject: '/CN=c1' });
  const intermediate = below(root);
  const longest = Array.from({ length: 12 }).reduce<Certified>((issuer) => below(issuer), root);
  return [
    ['expired', /certificate has expired/, () => shows(workload({ until: '20210101000000Z' }))],
    ['not yet valid', /certificate is not yet valid/, () => shows(workload({ from: '20400101000000Z' }))],
    ['of another root', /unable to get local issuer certificate/, () => shows(workload({ issuer: otherRoot }))],
    [
      "of another root with our root's name",
      /certificate signature failure/,
      () => shows(workload({ issuer: namesake, extensions: [...workloadExtensions(WEB), 'authorityKeyIdentifier=none'] })),
    ],
    [
      'that shows the other root, too',
      /self-signed certificate in certificate chain/,
      () => [...shows(workload({ issuer: otherRoot })), '-cert_chain', otherRoot.certificateFile],
    ],
    ['signed by itself', /self-signed certificate/, () => shows(workload({ issuer: null }))],
    [
      'without its intermediate',
      /unable to get local issuer certificate/,
      () => shows(workload({ issuer: intermediate })).slice(0, 4),
    ],
    [
      'under an expired intermediate',
      /certificate has expired/,
      () => shows(workload({ issuer: authority.issue({ issuer: root, until: '20210101000000Z' }) })),
    ],
    ['signed by a workload', /invalid CA certificate|unsuitable certificate purpose/, () => shows(workload({ issuer: web }))],
    [
      'signed by an authority that may not sign',
      /invalid CA certificate|key usage does not include/,
      () => shows(workload({ issuer: below(root, ['basicConstraints=critical,CA:TRUE', 'keyUsage=digitalSignature']) })),
    ],
    [
      'below a path that is too long',
      /path length constraint exceeded/,
      () => shows(workload({ issuer: below(below(root, ['basicConstraints=critical,CA:TRUE,pathlen:0'])) })),
    ],
    [
      "outside of its authority's names",
      /permitted subtree violation/,
      () => shows(workload({ issuer: below(root, [...CA_EXTENSIONS, 'nameConstraints=critical,permitted;URI:other.local']) })),
    ],
    [
      'for servers only',
      /unsuitable certificate purpose/,
      () =>
        shows(
          workload({ extensions: ['basicConstraints=CA:FALSE', 'extendedKeyUsage=serverAuth', `subjectAltName=URI:${WEB}`] }),
        ),
    ],
    [
      'whose key may not sign',
      /unsuitable certificate purpose/,
      () => shows(workload({ extensions: ['basicConstraints=CA:FALSE', 'keyUsage=keyEncipherment'] })),
    ],
    [
      'with an unknown critical extension',
      /unhandled critical extension/,
      () => shows(workload({ extensions: [...workloadExtensions(WEB), '1.2.3.4=critical,ASN1:UTF8:x'] })),
    ],
    ['with an RSA key of 1,024 bits', /key too (small|weak)/, () => [...shows(workload({ key: RSA(1024) })), ...WEAK]],
    ['signed with SHA-1', /(md|digest|algorithm) too weak/, () => [...shows(workload({ digest: 'sha1' })), ...WEAK]],
    ['behind 12 intermediates', /certificate chain too long|unable to get/, () => shows(workload({ issuer: longest }))],
  ];
}

function badHellos({ web, workload }: Parts): readonly BadClient[] {
  return [
    ['without a certificate', /^peer did not return a certificate$/, () => []],
    [
      'with a key of a curve that TLS 1.3 does not know',
      /^peer did not return a certificate$/,
      () => shows(workload({ key: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1'] })),
    ],
    [
      'with a certificate of 100 KiB',
      /^excessive message size$/,
      () => shows(workload({ extensions: [...workloadExtensions(WEB), `1.2.3.4=ASN1:UTF8:${'x'.repeat(100_000)}`] })),
    ],
    ['that knows a shared secret only', /^peer did not return a certificate$/, () => ['-psk', 'abcd', '-psk_identity', 'x']],
    ['of TLS 1.2', /^unsupported protocol$/, () => ['-tls1_2', ...shows(web)]],
    ['of TLS 1.1', /^(unsupported protocol|.*version.*)$/, () => ['-tls1_1', ...WEAK, ...shows(web)]],
    ['of another ALPN', /^no application protocol$/, () => ['-alpn', 'http/1.1', ...shows(web)]],
    ['without a common key agreement', /^no suitable key share$/, () => ['-groups', 'P-384', ...shows(web)]],
    [
      'without a common cipher suite',
      /^no shared cipher$/,
      () => ['-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256', ...shows(web)],
    ],
    [
      'without a common signature algorithm',
      /^no suitable signature algorithm$/,
      () => ['-sigalgs', 'RSA-PSS+SHA256', ...shows(web)],
    ],
  ];
}
