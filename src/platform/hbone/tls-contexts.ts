import { X509Certificate } from 'node:crypto';
import type { Credentials, Identity } from '#model/identity/identity.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';
import type { Io, SecureStream, TlsContext, TlsOptions } from '#platform/io/io.ts';
import { HBONE_ALPN } from '#protocol/hbone/settings.ts';
import { type IdentityVerdict, peerIdentities } from '#protocol/identity/spiffe.ts';

type Role = TlsOptions['role'];

/** The compiled form of credentials for each role, made once for each; a renewed certificate is a new object. */
export class TlsContexts {
  readonly #io: Io;
  readonly #made: Record<Role, WeakMap<Credentials, TlsContext>> = { client: new WeakMap(), server: new WeakMap() };
  /** A context is native memory, which no garbage collector sees. */
  readonly #dropped = new FinalizationRegistry<TlsContext>((context) => context.close());

  constructor(io: Io) {
    this.#io = io;
  }

  /** Errors: WEFT_TLS when key or certificates cannot be read. */
  of(role: Role, credentials: Credentials): TlsContext {
    const known = this.#made[role].get(credentials);
    if (known !== undefined) return known;
    const { chainPem, privateKeyPem, rootsPem } = credentials;
    const context = this.#io.tlsContext({
      role,
      chain: chainPem,
      key: privateKeyPem,
      roots: rootsPem.join('\n'),
      alpn: HBONE_ALPN,
    });
    this.#made[role].set(credentials, context);
    this.#dropped.register(credentials, context);
    return context;
  }
}

/** The end of a connection whose peer has lost its certificate. */
export function revokedPeer(): Refusal {
  return new Refusal('certificate-revoked', "the peer's certificate is revoked");
}

/** Judges a peer by the names in its certificate, whose chain TLS has checked. */
export function verifiedPeer(stream: SecureStream, judge: (names: Identity[]) => IdentityVerdict): IdentityVerdict {
  const [leaf] = stream.peerChain;
  if (leaf === undefined) return { kind: 'rejected', reason: 'the peer has shown no certificate' };
  return judge(peerIdentities(new X509Certificate(leaf).subjectAltName));
}
