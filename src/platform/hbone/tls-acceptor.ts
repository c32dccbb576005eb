import net from 'node:net';
import tls from 'node:tls';
import type { Credentials } from '#model/identity/identity.ts';
import { tlsOptions } from '#platform/hbone/tls-context.ts';
import { HBONE_ALPN } from '#protocol/hbone/settings.ts';

/** Fixed by Node.js: 0 is no time-out of its own, for the doorkeeper has one. */
const NO_TIMEOUT_MS = 0;
/** OpenSSL's SSL_OP_NO_TICKET: a resumed session would skip the check of the client's certificate. */
const NO_TICKET = 0x4000;

/** One handshake under way. */
type Handshake = { settle(outcome: tls.TLSSocket | Error): void };

/** Server side of TLS on accepted sockets: version 1.3, client certificate required and verified (B1, B2). */
export class TlsAcceptor {
  readonly #server: tls.Server;
  readonly #handshakes = new WeakMap<net.Socket, Handshake>();
  #credentials: Credentials | null = null;

  constructor() {
    // Never listens: sockets are handed to it.
    this.#server = tls.createServer({
      requestCert: true,
      rejectUnauthorized: true,
      ALPNProtocols: [HBONE_ALPN],
      handshakeTimeout: NO_TIMEOUT_MS,
    });
    this.#server.on('secureConnection', (socket) => this.#of(socket)?.settle(socket));
    this.#server.on('tlsClientError', (error, socket) => {
      const reason = socket.authorizationError;
      this.#of(socket)?.settle(reason ? new Error(`the client's certificate is not valid: ${String(reason)}`) : error);
    });
  }

  /** The secured socket. Rejects, with `raw` closed, when the handshake fails or is abandoned; how long it may take is the caller's. */
  accept(raw: net.Socket, credentials: Credentials): Promise<tls.TLSSocket> {
    this.#use(credentials);
    const { promise, resolve, reject } = Promise.withResolvers<tls.TLSSocket>();
    let settled = false;
    const settle = (outcome: tls.TLSSocket | Error) => {
      if (settled) return;
      settled = true;
      if (outcome instanceof tls.TLSSocket) return resolve(outcome);
      raw.destroy();
      reject(outcome);
    };
    raw.on('error', settle);
    this.#handshakes.set(raw, { settle });
    this.#server.emit('connection', raw);
    return promise;
  }

  /** Ends a handshake that is under way. */
  abandon(raw: net.Socket): void {
    this.#handshakes.get(raw)?.settle(new Error('the handshake was abandoned'));
  }

  /** Node.js has no public way from a secured socket to the one that it was given. */
  #of(socket: tls.TLSSocket): Handshake | undefined {
    const raw: unknown = Reflect.get(socket, '_parent');
    return raw instanceof net.Socket ? this.#handshakes.get(raw) : undefined;
  }

  /** New handshakes show the renewed certificate; established ones are not touched. */
  #use(credentials: Credentials): void {
    if (this.#credentials === credentials) return;
    this.#credentials = credentials;
    this.#server.setSecureContext({ ...tlsOptions(credentials), secureOptions: NO_TICKET });
  }
}
