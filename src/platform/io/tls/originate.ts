import { X509Certificate } from 'node:crypto';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import { messageOf } from '#model/error.ts';
import { type ServerName, whyNotServer } from '#model/trust/server-names.ts';
import type { OriginatedTls } from '#model/waypoint/upstream-tls.ts';
import type { Io, Secured, TlsContext } from '#platform/io/io.ts';
import { machineRoots } from '#platform/machine-roots.ts';
import { subjectNames } from '#protocol/identity/subject-names.ts';

/** The protocol that is offered to a server by ALPN; null: none is, what is spoken is not ours to know. */
export type OfferedProtocol = 'h2' | 'http/1.1' | null;

/** What came of it: `why` says what was wrong, for logs. */
export type Originated =
  | { readonly kind: 'open'; readonly stream: ByteStream }
  | { readonly kind: 'refused' | 'deadline'; readonly why: string };

/** TLS towards servers outside of the mesh. What settings are compiled to lives as long as they do. */
export class TlsOrigin {
  readonly #io: Io;
  readonly #made = new WeakMap<OriginatedTls, Map<OfferedProtocol, TlsContext>>();
  /** A context is native memory, which no garbage collector sees. */
  readonly #dropped = new FinalizationRegistry<TlsContext>((context) => context.close());

  constructor(io: Io) {
    this.#io = io;
  }

  /**
   * Takes over a stream that was just dialled, from which nothing was read; it comes back only if the server has proved one of the names
   * that are wanted. Never rejects. `deadlineMs`: for the handshake.
   */
  async secure(stream: ByteStream, tls: OriginatedTls, protocol: OfferedProtocol, deadlineMs: number): Promise<Originated> {
    let context: TlsContext;
    try {
      context = this.#contextOf(tls, protocol);
    } catch (error) {
      stream.reset();
      return { kind: 'refused', why: `TLS cannot be spoken: ${messageOf(error)}` };
    }
    const secured = await this.#io.secure(stream, context, deadlineMs);
    if (secured.kind !== 'open') return failed(secured, deadlineMs);
    const [leaf] = secured.stream.peerChain;
    const why = leaf === undefined ? 'it has shown no certificate' : whyNotServer(namesOf(leaf), tls.names);
    if (why === null) return { kind: 'open', stream: secured.stream };
    secured.stream.reset();
    return { kind: 'refused', why: `TLS: the server is refused: ${why}` };
  }

  #contextOf(tls: OriginatedTls, protocol: OfferedProtocol): TlsContext {
    const made = this.#made.get(tls) ?? new Map<OfferedProtocol, TlsContext>();
    this.#made.set(tls, made);
    const known = made.get(protocol);
    if (known !== undefined) return known;
    const context = this.#io.tlsContext({
      role: 'outside',
      roots: tls.roots ?? machineRoots().join('\n'),
      alpn: protocol,
      // Who is silent about protocols speaks HTTP/1.1 or what is not HTTP; HTTP/2 over TLS must be agreed on (RFC 9113 3.2).
      needsAlpn: protocol === 'h2',
      serverName: tls.serverName,
    });
    made.set(protocol, context);
    this.#dropped.register(tls, context);
    return context;
  }
}

function failed(secured: Exclude<Secured, { kind: 'open' }>, deadlineMs: number): Originated {
  switch (secured.kind) {
    case 'refused':
      return { kind: 'refused', why: `TLS: the server ${secured.by === 'us' ? 'is refused' : 'refuses us'}: ${secured.why}` };
    case 'gone':
      return { kind: 'refused', why: `TLS: the server left in the handshake (${secured.code})` };
    case 'deadline':
      return { kind: 'deadline', why: `TLS: no handshake within ${deadlineMs} ms` };
    default:
      return secured satisfies never;
  }
}

const KINDS: Readonly<Record<string, ServerName['kind']>> = { DNS: 'dns', URI: 'uri', 'IP Address': 'ip' };

/** What of a certificate cannot be read is no name of it. */
function namesOf(der: Buffer): ServerName[] {
  const names = subjectNames(new X509Certificate(der).subjectAltName ?? '') ?? [];
  return names.flatMap(({ type, value }): ServerName[] => {
    const kind = KINDS[type];
    return kind === undefined || value === null ? [] : [{ kind, value }];
  });
}
