import type { Cancel, Clock } from '#model/effects/clock.ts';
import { errnoName } from '#platform/ffi/libc.ts';
import { opensslReason } from '#platform/ffi/openssl.ts';
import { Ssl, type SslFailure } from '#platform/ffi/ssl.ts';
import { SslContext, type SslContextOptions } from '#platform/ffi/ssl-context.ts';
import type { Syscalls } from '#platform/ffi/syscalls.ts';
import type { OutsideTlsOptions, Secured, TlsContext, TlsOptions } from '#platform/io/io.ts';
import { HBONE_CIPHER_SUITES, HBONE_GROUPS } from '#protocol/hbone/settings.ts';
import { OUTSIDE_CIPHER_SUITES, OUTSIDE_GROUPS, OUTSIDE_OLDER_CIPHER_SUITES } from '#protocol/tls/outside.ts';
import { TlsChannel } from './channel.ts';

/** TLS as the mesh speaks it, for one role and certificate, or as servers outside of it do. */
export class CoreTlsContext implements TlsContext {
  readonly ssl: SslContext;
  readonly needsAlpn: boolean;

  /** Errors: WEFT_TLS, WEFT_FFI. */
  constructor(options: TlsOptions | OutsideTlsOptions) {
    this.needsAlpn = options.role !== 'outside' || options.needsAlpn;
    this.ssl = new SslContext(options.role === 'outside' ? outside(options) : ofMesh(options));
  }

  close(): void {
    this.ssl.close();
  }
}

function ofMesh({ role, chain, key, roots, alpn }: TlsOptions): SslContextOptions {
  const suites = { cipherSuites: HBONE_CIPHER_SUITES, olderCipherSuites: [], groups: HBONE_GROUPS };
  return { role, own: { chain, key }, roots, alpn, serverName: null, ...suites };
}

function outside({ roots, alpn, serverName }: OutsideTlsOptions): SslContextOptions {
  const suites = {
    cipherSuites: OUTSIDE_CIPHER_SUITES,
    olderCipherSuites: OUTSIDE_OLDER_CIPHER_SUITES,
    groups: OUTSIDE_GROUPS,
  };
  return { role: 'client', own: null, roots, alpn, serverName, ...suites };
}

/** What a handshake came to; `open` has a channel for the descriptor. */
export type Shaken =
  | { readonly kind: 'open'; readonly channel: TlsChannel; readonly peerChain: readonly Buffer[]; readonly group: string }
  | Exclude<Secured, { kind: 'open' }>;

/** What a handshake needs of the connection that it secures. */
export type HandshakeOptions = {
  calls: Syscalls;
  fd: number;
  context: CoreTlsContext;
  clock: Clock;
  /** For all of it; null: the caller has one. */
  deadlineMs: number | null;
  /** Calls `step` when the descriptor is ready for this. */
  wait(wants: 'read' | 'write'): void;
  /** Called once. */
  done(shaken: Shaken): void;
};

/** TLS on a fresh descriptor, step by step as it becomes ready. */
export class Handshake {
  readonly #options: HandshakeOptions;
  readonly #cancel: Cancel;
  /** Null when it is over. */
  #ssl: Ssl | null;

  /** Errors: WEFT_TLS when the context was closed. */
  constructor(options: HandshakeOptions) {
    const { context, fd, clock, deadlineMs } = options;
    this.#options = options;
    this.#ssl = new Ssl(context.ssl, fd);
    this.#cancel = deadlineMs === null ? () => {} : clock.after(deadlineMs, () => this.#end({ kind: 'deadline' }));
  }

  /** Goes on as far as the descriptor lets it. */
  step(): void {
    const ssl = this.#ssl;
    if (ssl === null) return;
    if (ssl.shake()) {
      this.#judge(ssl);
      return;
    }
    const { failure } = ssl;
    if (failure.kind === 'again') this.#options.wait(failure.wants);
    else this.#end(whyNot(ssl, failure));
  }

  /** Gives it up. */
  abandon(): void {
    this.#end({ kind: 'gone', code: 'ECONNABORTED' });
  }

  #judge(ssl: Ssl): void {
    const { calls, fd, context, clock, done } = this.#options;
    const wanted = context.ssl.alpn ?? '';
    const peerChain = ssl.chain;
    const { protocol } = ssl;
    const isAgreed = protocol === wanted || (protocol === '' && !context.needsAlpn);
    if (!isAgreed || peerChain.length === 0) {
      const why = peerChain.length === 0 ? 'the peer has shown no certificate' : `the peer did not choose ${wanted} (ALPN)`;
      this.#end({ kind: 'refused', by: 'us', why });
      return;
    }
    const { group } = ssl;
    this.#cancel();
    this.#ssl = null; // the channel's from here on
    done({ kind: 'open', channel: new TlsChannel(calls, fd, ssl, () => clock.monotonicMs()), peerChain, group });
  }

  #end(shaken: Exclude<Shaken, { kind: 'open' }>): void {
    if (this.#ssl === null) return;
    this.#cancel();
    this.#ssl.close();
    this.#ssl = null;
    this.#options.done(shaken);
  }
}

function whyNot(ssl: Ssl, failure: Exclude<SslFailure, { kind: 'again' }>): Exclude<Shaken, { kind: 'open' }> {
  switch (failure.kind) {
    case 'closed':
      return { kind: 'gone', code: 'EOF' };
    case 'system':
      return { kind: 'gone', code: failure.errno === 0 ? 'EOF' : errnoName(failure.errno) };
    case 'tls':
      return refusal(ssl);
    default:
      return failure satisfies never;
  }
}

function refusal(ssl: Ssl): Exclude<Shaken, { kind: 'open' }> {
  const { text, isAlert, isTruncation } = opensslReason();
  if (isTruncation) return { kind: 'gone', code: 'EOF' };
  if (isAlert) return { kind: 'refused', by: 'peer', why: text };
  const chain = ssl.chainRefusal;
  return { kind: 'refused', by: 'us', why: chain === null ? text : `certificate verify failed: ${chain}` };
}
