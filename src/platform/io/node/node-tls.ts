import { X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import { messageOf, WeftError } from '#model/error.ts';
import type { OutsideTlsOptions, TlsContext, TlsOptions } from '#platform/io/io.ts';
import { HBONE_CIPHER_SUITES, HBONE_GROUPS } from '#protocol/hbone/settings.ts';
import { OUTSIDE_CIPHER_SUITES, OUTSIDE_GROUPS, OUTSIDE_OLDER_CIPHER_SUITES } from '#protocol/tls/outside.ts';
import type { Wire } from './wire.ts';

/** OpenSSL's SSL_OP_NO_TICKET: a resumed session would skip the check of the client's certificate. */
const NO_TICKET = 0x4000;

/** What came of a handshake: an established connection, or why it is none. */
type Settle = (outcome: tls.TLSSocket | Error) => void;

/** TLS of node:tls: what all connections of one role and certificate share. */
export class NodeTlsContext implements TlsContext {
  readonly role: 'client' | 'server';
  readonly #alpn: string | null;
  readonly #needsAlpn: boolean;
  readonly #serverName: string | null;
  readonly #context: tls.SecureContext;

  constructor(options: TlsOptions | OutsideTlsOptions) {
    const isOutside = options.role === 'outside';
    this.role = options.role === 'server' ? 'server' : 'client';
    this.#alpn = options.alpn;
    this.#needsAlpn = options.role !== 'outside' || options.needsAlpn;
    this.#serverName = options.role === 'outside' ? options.serverName : null;
    try {
      // Without any, Node.js would trust the roots it brings along.
      new X509Certificate(options.roots);
      const suites = isOutside ? [...OUTSIDE_CIPHER_SUITES, ...OUTSIDE_OLDER_CIPHER_SUITES] : HBONE_CIPHER_SUITES;
      this.#context = tls.createSecureContext({
        ...(options.role === 'outside' ? {} : { key: options.key, cert: options.chain }),
        ...{ ca: options.roots, minVersion: isOutside ? 'TLSv1.2' : 'TLSv1.3', maxVersion: 'TLSv1.3' },
        ciphers: suites.join(':'),
        ecdhCurve: (isOutside ? OUTSIDE_GROUPS : HBONE_GROUPS).join(':'),
        secureOptions: NO_TICKET,
      });
    } catch (cause) {
      throw new WeftError('WEFT_TLS', `a certificate or key cannot be used: ${messageOf(cause)}`, {
        cause,
        remedy: 'look at what the control plane issued, and at its CA certificates',
      });
    }
  }

  close(): void {}

  /** Begins; `settle` may be called more than once, and the first call counts. Destroy what is returned to give up. */
  handshake(wire: Wire, settle: Settle): tls.TLSSocket {
    const socket = this.role === 'client' ? this.#connect(wire) : this.#accept(wire, settle);
    wire.carries(socket);
    socket.on('error', settle);
    socket.on(this.role === 'client' ? 'secureConnect' : 'secure', () => {
      if (socket.destroyed) return;
      const chosen = socket.alpnProtocol === false ? null : socket.alpnProtocol;
      if (chosen === this.#alpn || (chosen === null && !this.#needsAlpn)) settle(socket);
      else settle(new Error(`the peer did not ${this.role === 'client' ? 'choose' : 'ask for'} ${this.#alpn} (ALPN)`));
    });
    return socket;
  }

  #connect(wire: Wire): tls.TLSSocket {
    return tls.connect({
      socket: wire,
      secureContext: this.#context,
      ...(this.#alpn === null ? {} : { ALPNProtocols: [this.#alpn] }),
      ...(this.#serverName === null ? {} : { servername: this.#serverName }),
      rejectUnauthorized: true,
      checkServerIdentity: () => undefined, // host names mean nothing here: the caller judges the identity
    });
  }

  #accept(wire: Wire, settle: Settle): tls.TLSSocket {
    const socket = new tls.TLSSocket(wire, {
      isServer: true,
      secureContext: this.#context,
      requestCert: true,
      rejectUnauthorized: true,
      ...(this.#alpn === null ? {} : { ALPNProtocols: [this.#alpn] }),
    });
    // What tls.Server does, which would want to listen: OpenSSL keeps the verdict on a chain until somebody asks.
    socket.prependListener('secure', () => {
      const verdict = verifyError(socket);
      if (verdict !== null) settle(verdict);
    });
    return socket;
  }
}

function verifyError(socket: tls.TLSSocket): Error | null {
  const handle: unknown = Reflect.get(socket, 'ssl');
  const verify: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'verifyError') : undefined;
  // Not to be taken for a yes.
  if (typeof verify !== 'function') return new Error('this Node.js does not tell whether the certificate is valid');
  const verdict: unknown = Reflect.apply(verify, handle, []);
  if (verdict === null || verdict === undefined) return null;
  const reason = verdict instanceof Error ? String(Reflect.get(verdict, 'code') ?? verdict.message) : String(verdict);
  return new Error(`certificate verify failed: the client's certificate is not valid: ${reason}`);
}
