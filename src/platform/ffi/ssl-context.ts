import { WeftError } from '#model/error.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { Memory } from './memory.ts';
import { type Address, alpnList, alpnSelector, openssl, opensslReason } from './openssl.ts';

/** What a context is made of. */
export type SslContextOptions = {
  readonly role: 'client' | 'server';
  /** What we show; null: nothing. */
  readonly own: {
    /** PEM: our certificate first, then what leads to a root. */
    readonly chain: string;
    readonly key: string;
  } | null;
  readonly roots: string;
  /** Null: none is offered. */
  readonly alpn: string | null;
  /** Of a client: what the server is asked for by; null: it is not told. */
  readonly serverName: string | null;
  readonly cipherSuites: readonly string[];
  /** Those of TLS 1.2; empty: TLS 1.3 alone is spoken. */
  readonly olderCipherSuites: readonly string[];
  /** Key agreements, the preferred one first. Those that this OpenSSL does not know are left out. */
  readonly groups: readonly string[];
};

/** Commands, options and modes. Fixed by OpenSSL. */
const CTRL = {
  mode: 33,
  readAhead: 41,
  sessionCache: 44,
  maxCertList: 51,
  chainCert: 89,
  groups: 92,
  minVersion: 123,
  maxVersion: 124,
} as const;
const MODE = { partialWrite: 1, movingBuffer: 2, noAutoChain: 8, releaseBuffers: 16 } as const;
const OPTION = { noTicket: 1n << 14n, noRenegotiation: 1n << 30n, noCompression: 1n << 17n } as const;
const VERIFY = { peer: 1, failWithout: 2 } as const;
const TLS_1_2 = 0x0303;
const TLS_1_3 = 0x0304;
/** No RSA below 2,048 bits, no SHA-1. */
const SECURITY_LEVEL = 2;

let live = 0;

/** SSL_CTX objects that are not freed. */
export function liveSslContextCount(): number {
  return live;
}

/** SSL_CTX with an owner: alive until it is closed and its last connection is. */
export class SslContext {
  readonly role: SslContextOptions['role'];
  readonly alpn: string | null;
  readonly serverName: string | null;
  #context: Address<'SSL_CTX'>;
  #users = 0;
  #closed = false;

  /** Errors: WEFT_TLS with OpenSSL's reason, WEFT_FFI. */
  constructor(options: SslContextOptions) {
    this.role = options.role;
    this.alpn = options.alpn;
    this.serverName = options.serverName;
    this.#context = openssl().SSL_CTX_new(openssl().TLS_method());
    need(this.#context !== 0, 'set up TLS');
    live++;
    try {
      configure(this.#context, options);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** For a new connection; `release` ends its use. Errors: WEFT_TLS after `close`. */
  use(): Address<'SSL_CTX'> {
    if (this.#closed) {
      throw new WeftError('WEFT_TLS', 'a TLS context was used after it was closed', { remedy: 'report this as a bug' });
    }
    this.#users++;
    return this.#context;
  }

  release(): void {
    this.#users--;
    if (this.#closed && this.#users === 0) this.#free();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#users === 0) this.#free();
  }

  #free(): void {
    openssl().SSL_CTX_free(this.#context);
    live--;
  }
}

function configure(context: Address<'SSL_CTX'>, options: SslContextOptions): void {
  const ssl = openssl();
  ssl.ERR_clear_error();
  const control = (command: number, value: number): boolean => Number(ssl.SSL_CTX_ctrl(context, command, value, 0)) !== 0;
  const oldest = options.olderCipherSuites.length === 0 ? TLS_1_3 : TLS_1_2;
  need(control(CTRL.minVersion, oldest) && control(CTRL.maxVersion, TLS_1_3), 'ask for TLS 1.3');
  need(control(CTRL.mode, MODE.partialWrite | MODE.movingBuffer | MODE.noAutoChain | MODE.releaseBuffers), 'set up TLS');
  // These answer with what was before.
  control(CTRL.readAhead, 1);
  control(CTRL.sessionCache, 0);
  control(CTRL.maxCertList, TUNNEL.peerChainBytesMax);
  ssl.SSL_CTX_set_default_read_buffer_len(context, TUNNEL.tlsReadBytes);
  // A resumed session would skip the check of the peer's certificate.
  ssl.SSL_CTX_set_options(context, OPTION.noTicket | OPTION.noRenegotiation | OPTION.noCompression);
  need(ssl.SSL_CTX_set_num_tickets(context, 0) === 1, 'turn session tickets off');
  ssl.SSL_CTX_set_security_level(context, SECURITY_LEVEL);
  need(ssl.SSL_CTX_set_ciphersuites(context, options.cipherSuites.join(':')) === 1, 'choose cipher suites');
  if (options.olderCipherSuites.length > 0)
    need(ssl.SSL_CTX_set_cipher_list(context, options.olderCipherSuites.join(':')) === 1, 'choose cipher suites of TLS 1.2');
  // A question mark: not an error when it is unknown.
  const groups = options.groups.map((group) => `?${group}`).join(':');
  need(Number(ssl.SSL_CTX_ctrl_text(context, CTRL.groups, 0, groups)) === 1, 'choose key agreements');
  ssl.SSL_CTX_set_verify(context, VERIFY.peer | VERIFY.failWithout, null);
  ssl.SSL_CTX_set_verify_depth(context, TUNNEL.peerChainDepthMax);
  if (options.own !== null) {
    useChain(context, options.own.chain);
    useKey(context, options.own.key);
  }
  useRoots(context, options.roots);
  if (options.alpn === null) return;
  if (options.role === 'server') ssl.SSL_CTX_set_alpn_select_cb(context, alpnSelector(options.alpn), 0);
  else {
    const { buffer } = alpnList(options.alpn);
    need(ssl.SSL_CTX_set_alpn_protos(context, buffer, buffer.length) === 0, 'offer a protocol'); // 0 is success here
  }
}

function need(done: boolean, what: string): void {
  if (done) return;
  const { text } = opensslReason();
  throw new WeftError('WEFT_TLS', `cannot ${what}: ${text || 'OpenSSL does not say why'}`, {
    remedy: 'look at what the control plane issued, and at its CA certificates',
  });
}

/** Our certificate, then what leads from it to a root. */
function useChain(context: Address<'SSL_CTX'>, pem: string): void {
  const ssl = openssl();
  let count = 0;
  eachCertificate(pem, (certificate) => {
    if (count++ === 0) need(ssl.SSL_CTX_use_certificate(context, certificate) === 1, 'use the certificate');
    // With 1 it takes a reference of its own (SSL_CTX_add1_chain_cert).
    else need(Number(ssl.SSL_CTX_ctrl(context, CTRL.chainCert, 1, certificate)) === 1, 'use a certificate of the chain');
  });
  need(count > 0, 'read a certificate');
}

/** A context's store is empty at first: the machine's roots are never asked. */
function useRoots(context: Address<'SSL_CTX'>, pem: string): void {
  const ssl = openssl();
  const store: number = ssl.SSL_CTX_get_cert_store(context);
  let count = 0;
  eachCertificate(pem, (certificate) => {
    count++;
    need(ssl.X509_STORE_add_cert(store, certificate) === 1, 'use a root certificate');
  });
  need(count > 0, 'read a root certificate');
}

function useKey(context: Address<'SSL_CTX'>, pem: string): void {
  const ssl = openssl();
  withBio(pem, (bio) => {
    // With an empty password nobody is asked for one on the terminal.
    const key: number = ssl.PEM_read_bio_PrivateKey(bio, null, null, '');
    need(key !== 0, 'read the private key');
    const used = ssl.SSL_CTX_use_PrivateKey(context, key) === 1 && ssl.SSL_CTX_check_private_key(context) === 1;
    ssl.EVP_PKEY_free(key);
    need(used, 'use the private key with this certificate');
  });
}

function eachCertificate(pem: string, use: (certificate: number) => void): void {
  const ssl = openssl();
  withBio(pem, (bio) => {
    for (;;) {
      const certificate: number = ssl.PEM_read_bio_X509(bio, null, null, null);
      if (certificate === 0) break;
      try {
        use(certificate);
      } finally {
        ssl.X509_free(certificate);
      }
    }
  });
  ssl.ERR_clear_error(); // the end of the text is an error to the one who looks for one more
}

function withBio(text: string, use: (bio: number) => void): void {
  const ssl = openssl();
  const memory = new Memory(Math.max(1, Buffer.byteLength(text, 'latin1')));
  const bytes = memory.buffer.write(text, 'latin1');
  const bio: number = ssl.BIO_new_mem_buf(memory.at(0, bytes), bytes);
  need(bio !== 0, 'read from memory');
  try {
    use(bio);
  } finally {
    ssl.BIO_free(bio);
    memory.buffer.fill(0);
  }
}
