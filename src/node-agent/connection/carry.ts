import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type IpAddress, parseIp } from '#model/address/ip.ts';
import type { ResponseFlag } from '#protocol/hbone/transport.ts';
import type { AccessOutcome } from './access-log.ts';
import type { AgentContext } from './context.ts';

/** Addresses of an accepted socket; null when it is already gone. */
export function endsOf(
  socket: Socket,
): { remote: { ip: IpAddress; port: number }; local: { ip: IpAddress; port: number } } | null {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  if (remoteAddress === undefined || remotePort === undefined || localAddress === undefined || localPort === undefined)
    return null;
  return { remote: { ip: parseIp(remoteAddress), port: remotePort }, local: { ip: parseIp(localAddress), port: localPort } };
}

/** A refusal that carries its flag and the policy that caused it. */
export class Refusal extends Error {
  readonly flag: ResponseFlag;
  readonly policy: string | null;
  readonly rule: number | null;

  constructor(message: string, flag: ResponseFlag, policy: string | null = null, rule: number | null = null) {
    super(message);
    this.name = 'Refusal';
    this.flag = flag;
    this.policy = policy;
    this.rule = rule;
  }
}

/** The access-log outcome of a failure. */
export function outcomeOf(error: unknown): AccessOutcome {
  const message = error instanceof Error ? error.message : String(error);
  const base = { error: message, bytesSent: 0, bytesReceived: 0 };
  if (error instanceof Refusal) return { ...base, flag: error.flag, policy: error.policy, rule: error.rule };
  return { ...base, flag: 'CONNECT' };
}

/** Relays until both sides are done; `close` gets the one outcome. The client's bytes count as sent when `clientIsA`. */
export async function carry(
  context: AgentContext,
  client: Duplex,
  upstream: Duplex,
  direction: 'inbound' | 'outbound',
  signal: AbortSignal,
  close: (outcome: AccessOutcome) => void,
): Promise<void> {
  const result = await context.effects.relay(client, upstream, signal);
  const cause: unknown = signal.reason;
  const error = signal.aborted && cause instanceof Error ? cause : result.error;
  const flag: ResponseFlag = signal.aborted ? 'DENY' : '-';
  const [toUpstream, toClient] = [result.bytesFromA, result.bytesFromB];
  // "sent" is from the reporter's viewpoint (spec node-proxy 8.2).
  const [bytesSent, bytesReceived] = direction === 'outbound' ? [toUpstream, toClient] : [toClient, toUpstream];
  close({ flag, error: error === null ? null : error.message, bytesSent, bytesReceived });
}
