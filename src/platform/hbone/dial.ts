import type net from 'node:net';
import type { Clock } from '#model/effects/clock.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { type ConnectFailure, failure } from '#platform/hbone/client-handshake.ts';

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
