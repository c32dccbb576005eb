import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { parseIp } from '#model/address/ip.ts';
import type { RecordEnd } from '#model/telemetry/access-record.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';
import type { ConnectionEnd } from './access-log.ts';
import type { AgentContext } from './context.ts';

/** Addresses of an accepted socket; null when it is already gone. */
export function endsOf(socket: Socket): { remote: RecordEnd; local: RecordEnd } | null {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  if (remoteAddress === undefined || remotePort === undefined || localAddress === undefined || localPort === undefined)
    return null;
  return { remote: { ip: parseIp(remoteAddress), port: remotePort }, local: { ip: parseIp(localAddress), port: localPort } };
}

/** Relays until both sides are done or `signal` cuts them, and tells how it ended. */
export async function carry(
  context: AgentContext,
  client: Duplex,
  upstream: Duplex,
  signal: AbortSignal,
): Promise<ConnectionEnd> {
  const { bytesFromA, bytesFromB, error } = await context.effects.relay(client, upstream, signal);
  // A cut shows as an error of the streams; its cause is what is told.
  const cut = signal.aborted && signal.reason instanceof Refusal ? signal.reason : null;
  return { refusal: cut, error: cut ?? error, clientBytes: bytesFromA, serverBytes: bytesFromB };
}
