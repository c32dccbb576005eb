import type { ByteStream, Dialled } from '#model/effects/byte-stream.ts';
import { WeftError } from '#model/error.ts';
import type { Credentials, Identity } from '#model/identity/identity.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import type { ResponseFlag } from '#model/telemetry/close-cause.ts';
import { revokedPeer, type TlsContexts, verifiedPeer } from '#platform/hbone/tls-contexts.ts';
import type { Io, Secured, SecureStream, TlsContext } from '#platform/io/io.ts';
import type { Revocations } from '#protocol/identity/revocation.ts';
import { verifyServer } from '#protocol/identity/spiffe.ts';

/** An attempt that failed, with the flag that logs and metrics show. */
export type ConnectFailure = { kind: 'failed'; flag: ResponseFlag; error: Error };
/** A TLS connection and who is at its other end, or why there is none. */
export type HandshakeOutcome = { kind: 'secure'; stream: SecureStream; peer: Identity } | ConnectFailure;

/** A failed attempt with its flag, as an error that names the remedy. */
export function failure(flag: ResponseFlag, code: string, message: string, remedy: string, cause?: unknown): ConnectFailure {
  return { kind: 'failed', flag, error: new WeftError(code, message, { remedy, ...(cause === undefined ? {} : { cause }) }) };
}

function tlsFailure(message: string, cause?: unknown): ConnectFailure {
  const remedy = 'compare both workloads: identity, trust domain, root certificates and the time on their nodes';
  return failure('TLS_FAILURE', 'WEFT_HBONE_TLS', message, remedy, cause);
}

/**
 * TLS on a connected stream, as client: no server name (B5), no resumption, the server's chain verified against our
 * roots and its identity against `expected` (B4). Owns the stream: it is over unless the outcome is `secure`.
 */
export async function clientHandshake(
  raw: ByteStream,
  credentials: Credentials,
  expected: readonly Identity[],
  { io, contexts, revocations }: { io: Io; contexts: TlsContexts; revocations: Revocations | undefined },
): Promise<HandshakeOutcome> {
  let context: TlsContext;
  try {
    context = contexts.of('client', credentials);
  } catch (cause) {
    raw.reset();
    return tlsFailure('our own certificate cannot be used', cause);
  }
  const secured = await io.secure(raw, context, TUNNEL.handshakeTimeoutMs);
  if (secured.kind !== 'open') return tlsFailure(whyNot(secured));
  const verdict = verifiedPeer(secured.stream, (names) => verifyServer(names, expected));
  if (revocations?.isRevoked(secured.stream.peerChain) === true) {
    secured.stream.reset();
    const cause = revokedPeer();
    return failure('CERT_REVOKED', 'WEFT_HBONE_TLS', cause.message, 'see which list --crl names, and why it is on it', cause);
  }
  if (verdict.kind === 'accepted') return { kind: 'secure', stream: secured.stream, peer: verdict.peer };
  secured.stream.reset();
  return tlsFailure(`the TLS handshake failed: ${verdict.reason}`);
}

/** A handshake that failed, in words. */
export function whyNot(secured: Exclude<Secured, { kind: 'open' }>): string {
  switch (secured.kind) {
    case 'refused':
      return `the TLS handshake failed: ${secured.by === 'us' ? secured.why : `the peer refused it: ${secured.why}`}`;
    case 'gone':
      return `the peer closed the connection during the TLS handshake (${secured.code})`;
    case 'deadline':
      return 'the TLS handshake was not finished within 10 s';
    default:
      return secured satisfies never;
  }
}

/** A connected stream, or why there is none. */
export type DialOutcome = { kind: 'dialled'; stream: ByteStream } | ConnectFailure;

/** What came of dialling a peer, as its tunnels' users are told. */
export function dialOutcome(dialled: Dialled): DialOutcome {
  switch (dialled.kind) {
    case 'open':
      return { kind: 'dialled', stream: dialled.stream };
    case 'deadline': {
      const remedy = 'see whether a firewall or NetworkPolicy lets TCP to port 15008 through';
      return failure('NETWORK_POLICY', 'WEFT_HBONE_DIAL_TIMEOUT', 'the peer has not answered TCP within 10 s', remedy);
    }
    case 'refused':
      return cannotConnect(dialled.code);
    case 'failed':
      return cannotConnect(dialled.error.message, dialled.error);
    default:
      return dialled satisfies never;
  }
}

function cannotConnect(reason: string, cause?: Error): ConnectFailure {
  const remedy = 'see whether the agent of its node runs';
  return failure('CONNECT', 'WEFT_HBONE_DIAL', `cannot connect to the peer: ${reason}`, remedy, cause);
}
