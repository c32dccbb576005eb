import type net from 'node:net';
import tls from 'node:tls';
import type { Clock } from '#model/effects/clock.ts';
import { WeftError } from '#model/error.ts';
import type { Credentials, Identity } from '#model/identity/identity.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import type { ResponseFlag } from '#model/telemetry/close-cause.ts';
import { secureContextOf } from '#platform/hbone/tls-context.ts';
import { HBONE_ALPN } from '#protocol/hbone/settings.ts';
import { peerIdentities, verifyServer } from '#protocol/identity/spiffe.ts';

/** An attempt that failed, with the flag that logs and metrics show. */
export type ConnectFailure = { kind: 'failed'; flag: ResponseFlag; error: Error };
/** A secured socket and who is at its other end, or why there is none. */
export type HandshakeOutcome = { kind: 'secure'; socket: tls.TLSSocket; peer: Identity } | ConnectFailure;

/** A failed attempt with its flag, as an error that names the remedy. */
export function failure(flag: ResponseFlag, code: string, message: string, remedy: string, cause?: unknown): ConnectFailure {
  return { kind: 'failed', flag, error: new WeftError(code, message, { remedy, ...(cause === undefined ? {} : { cause }) }) };
}

function tlsFailure(message: string, cause?: unknown): ConnectFailure {
  const remedy = 'compare both workloads: identity, trust domain, root certificates and the time on their nodes';
  return failure('TLS_FAILURE', 'WEFT_HBONE_TLS', message, remedy, cause);
}

/**
 * TLS on a connected socket, as client: no server name (B5), no resumption, the server's chain verified against our
 * roots and its identity against `expected` (B4). Owns the socket: it is closed unless the outcome is `secure`.
 */
export function clientHandshake(
  raw: net.Socket,
  credentials: Credentials,
  expected: readonly Identity[],
  clock: Clock,
): Promise<HandshakeOutcome> {
  const { promise, resolve } = Promise.withResolvers<HandshakeOutcome>();
  const peer = { identity: null as Identity | null };
  const socket = connectTls(raw, credentials, (certificate) => {
    const verdict = verifyServer(peerIdentities(certificate.subjectaltname), expected);
    if (verdict.kind === 'rejected') return new Error(verdict.reason);
    peer.identity = verdict.peer;
    return undefined;
  });
  const cancelTimer = clock.after(TUNNEL.handshakeTimeoutMs, () =>
    finish(tlsFailure('the TLS handshake was not finished within 10 s')),
  );
  const onError = (error: Error) => finish(tlsFailure(`the TLS handshake failed: ${error.message}`, error));
  const onClose = () => finish(tlsFailure('the peer closed the connection during the TLS handshake'));
  const finish = (outcome: HandshakeOutcome) => {
    cancelTimer();
    socket.off('close', onClose);
    if (outcome.kind === 'failed') socket.destroy();
    else socket.off('error', onError);
    resolve(outcome);
  };
  socket.on('error', onError);
  socket.on('close', onClose);
  socket.on('secureConnect', () => {
    if (socket.alpnProtocol !== HBONE_ALPN) finish(tlsFailure('the peer did not choose HTTP/2 (ALPN h2)'));
    else if (peer.identity === null) finish(tlsFailure('the peer has shown no certificate'));
    else finish({ kind: 'secure', socket, peer: peer.identity });
  });
  return promise;
}

function connectTls(
  raw: net.Socket,
  credentials: Credentials,
  checkIdentity: (certificate: tls.PeerCertificate) => Error | undefined,
): tls.TLSSocket {
  return tls.connect({
    socket: raw,
    secureContext: secureContextOf(credentials),
    ALPNProtocols: [HBONE_ALPN],
    rejectUnauthorized: true,
    // Replaces the check of host names, which mean nothing here: the identity decides.
    checkServerIdentity: (_name, certificate) => checkIdentity(certificate),
  });
}

/** A connected TCP socket, or why there is none. */
export type DialOutcome = { kind: 'dialled'; socket: net.Socket } | ConnectFailure;

/** Dials, for at most 10 s; a socket that comes later is closed. */
export async function dialWithin(dial: () => Promise<net.Socket>, clock: Clock): Promise<DialOutcome> {
  const { promise: timeout, resolve: giveUp } = Promise.withResolvers<ConnectFailure>();
  let late = false;
  const cancelTimer = clock.after(TUNNEL.handshakeTimeoutMs, () => {
    late = true;
    const remedy = 'see whether a firewall or NetworkPolicy lets TCP to port 15008 through';
    giveUp(failure('NETWORK_POLICY', 'WEFT_HBONE_DIAL_TIMEOUT', 'the peer has not answered TCP within 10 s', remedy));
  });
  const dialled = dial().then(
    (socket): DialOutcome => {
      if (late) socket.destroy();
      else socket.setNoDelay(true);
      return { kind: 'dialled', socket };
    },
    (cause: unknown): DialOutcome => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      return failure(
        'CONNECT',
        'WEFT_HBONE_DIAL',
        `cannot connect to the peer: ${reason}`,
        'see whether the agent of its node runs',
        cause,
      );
    },
  );
  const outcome = await Promise.race([dialled, timeout]);
  cancelTimer();
  return outcome;
}
