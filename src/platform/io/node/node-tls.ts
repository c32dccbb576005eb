import net from 'node:net';
import tls from 'node:tls';
import { WeftError } from '#model/error.ts';
import type { TlsContext, TlsOptions } from '#platform/io/io.ts';
import { HBONE_CIPHER_SUITES, HBONE_GROUPS } from '#protocol/hbone/settings.ts';

/** OpenSSL's SSL_OP_NO_TICKET: a resumed session would skip the check of the client's certificate. */
const NO_TICKET = 0x4000;
/** Fixed by Node.js: 0 is no time-out of its own. */
const NO_TIMEOUT_MS = 0;

/** What came of a handshake: a socket, an error, or null for a peer that left without a word. */
type Settle = (outcome: tls.TLSSocket | Error | null) => void;

/** TLS of node:tls: what all connections of one role and certificate share. */
export class NodeTlsContext implements TlsContext {
  readonly #alpn: string;
  readonly #context: tls.SecureContext;
  /** Never listens: sockets are handed to it. */
  readonly #server: tls.Server | null;
  readonly #handshakes = new WeakMap<net.Socket, Settle>();

  constructor({ role, chain, key, roots, alpn }: TlsOptions) {
    this.#alpn = alpn;
    const options: tls.SecureContextOptions = {
      ...{ key, cert: chain, ca: roots, minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' },
      ciphers: HBONE_CIPHER_SUITES.join(':'),
      ecdhCurve: HBONE_GROUPS.join(':'),
      secureOptions: NO_TICKET,
    };
    try {
      this.#context = tls.createSecureContext(options);
      this.#server = role === 'server' ? this.#createServer(options) : null;
    } catch (cause) {
      throw new WeftError('WEFT_TLS', `a certificate or key cannot be used: ${cause instanceof Error ? cause.message : cause}`, {
        cause,
        remedy: 'look at what the control plane issued, and at its CA certificates',
      });
    }
  }

  close(): void {}

  /** Ends with one call of `settle`. */
  handshake(raw: net.Socket, settle: Settle): void {
    if (this.#server === null) this.#connect(raw, settle);
    else {
      this.#handshakes.set(raw, settle);
      raw.on('error', settle);
      raw.on('close', () => setImmediate(() => settle(null))); // a reason, where there is one, is told after it
      this.#server.emit('connection', raw);
    }
  }

  #connect(raw: net.Socket, settle: Settle): void {
    const socket = tls.connect({
      socket: raw,
      secureContext: this.#context,
      ALPNProtocols: [this.#alpn],
      rejectUnauthorized: true,
      checkServerIdentity: () => undefined, // host names mean nothing here: the caller judges the identity
    });
    socket.on('error', settle);
    socket.on('close', () => settle(null));
    socket.on('secureConnect', () => {
      if (socket.alpnProtocol === this.#alpn) return settle(socket);
      socket.destroy();
      settle(new Error(`the peer did not choose ${this.#alpn} (ALPN)`));
    });
  }

  #createServer(options: tls.SecureContextOptions): tls.Server {
    const server = tls.createServer({
      ...options,
      requestCert: true,
      rejectUnauthorized: true,
      ALPNProtocols: [this.#alpn],
      handshakeTimeout: NO_TIMEOUT_MS,
    });
    server.on('secureConnection', (socket) => {
      if (socket.alpnProtocol === this.#alpn) return this.#of(socket)?.(socket);
      socket.destroy();
      this.#of(socket)?.(new Error(`the client did not ask for ${this.#alpn} (ALPN)`));
    });
    server.on('tlsClientError', (error, socket) => {
      const reason = socket.authorizationError;
      this.#of(socket)?.(reason ? new Error(`the client's certificate is not valid: ${String(reason)}`) : error);
    });
    return server;
  }

  /** Node.js has no public way from a secured socket to the one that it was given. */
  #of(socket: tls.TLSSocket): Settle | undefined {
    const raw: unknown = Reflect.get(socket, '_parent');
    return raw instanceof net.Socket ? this.#handshakes.get(raw) : undefined;
  }
}
