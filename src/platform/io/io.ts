import type { ByteStream, Dialled, Endpoint, StreamOver } from '#model/effects/byte-stream.ts';

/** Something that accepts until it is closed. */
export type Listener = {
  readonly port: number;
  /** Of the listening socket; the listener's own. */
  readonly fd: number;
  close(): void;
};

/** What a side of a TLS connection shows and asks for. TLS 1.3 only; both sides show a certificate. */
export type TlsOptions = {
  role: 'client' | 'server';
  /** PEM: our certificate first, then what leads to a root. */
  chain: string;
  /** PEM (PKCS #8). Lives in the process's memory only. */
  key: string;
  /** PEM of the roots that the peer's chain must lead to; the machine's own are never asked. */
  roots: string;
  /** The one protocol that both sides must agree on, such as `h2`. */
  alpn: string;
};

/** What is asked of a server outside of the mesh: TLS 1.2 or newer, as the public Internet has it. */
export type OutsideTlsOptions = {
  role: 'outside';
  /** PEM of the roots that the server's chain must lead to, and of no others. */
  roots: string;
  /** The one protocol that is offered; null: none is. */
  alpn: string | null;
  /** Whether it must be chosen. A server that knows nothing of such offers chooses none. */
  needsAlpn: boolean;
  /** What the server is asked for by (SNI); null: it is not told. */
  serverName: string | null;
};

/** Compiled TlsOptions: shared by connections, and alive until the last of them is over after `close`. */
export type TlsContext = { close(): void };

/** TCP ended where TLS had not said so: whoever sits in between can do that. */
export const TRUNCATED: StreamOver = { kind: 'reset', code: 'TLS_TRUNCATED' };

/** An established TLS connection. */
export type SecureStream = ByteStream & {
  /** The peer's certificates in DER, its own first. OpenSSL has checked the chain against our roots; who it is, the caller judges. */
  readonly peerChain: readonly Buffer[];
  /** The key agreement, such as `X25519MLKEM768`. */
  readonly group: string;
};

/**
 * What came of a handshake. `refused`: by us or by the peer, `why` in OpenSSL's words, such as "certificate verify failed";
 * `gone`: the peer left without a word.
 */
export type Secured =
  | { readonly kind: 'open'; readonly stream: SecureStream }
  | { readonly kind: 'refused'; readonly by: 'us' | 'peer'; readonly why: string }
  | { readonly kind: 'gone'; readonly code: string }
  | { readonly kind: 'deadline' };

/**
 * Sockets and TLS of one loop. Two implementations keep the contract of byte-stream.ts: the I/O core, and node:net with
 * node:tls, which is the oracle in tests and the way out where FFI is not allowed (WEFT_IO=node).
 */
export type Io = {
  /**
   * Accepts on a bound socket, whose descriptor it owns from here on. Streams come unread. What `accept` throws costs that
   * one connection. Errors of accept(2) are reported, and it goes on.
   */
  listen(fd: number, accept: (stream: ByteStream) => void): Listener;
  /** Connects a socket that was made elsewhere (in a namespace, marked, bound); owns the descriptor from here on. Without a promise when it is known at once. */
  connect(fd: number, to: Endpoint, deadlineMs: number): Dialled | Promise<Dialled>;
  /** Errors: WEFT_TLS with OpenSSL's reason: a chain, key or root that cannot be used. */
  tlsContext(options: TlsOptions | OutsideTlsOptions): TlsContext;
  /**
   * Takes over a stream of `listen` or `connect` from which nothing was read. `deadlineMs`: for the whole handshake; null:
   * its caller has one. A `reset` of the stream meanwhile ends it: `gone`.
   */
  secure(stream: ByteStream, context: TlsContext, deadlineMs: number | null): Promise<Secured>;
};
