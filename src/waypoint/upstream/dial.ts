import { formatAddress } from '#model/address/ip.ts';
import type { Dialled } from '#model/effects/byte-stream.ts';
import { unreachable } from '#model/error.ts';
import { openingOf, reachOf, type Tunnel } from '#model/path/reach.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { tlsTowards, type UpstreamTls } from '#model/waypoint/upstream-tls.ts';
import { describeTunnelStatus } from '#protocol/hbone/headers.ts';
import type { HttpVersion, UpstreamProblem } from '#protocol/http/message.ts';
import type { ClientInfo, WaypointEffects } from '#waypoint/self/effects.ts';
import { callerOf, type WaypointSelf } from '#waypoint/self/self.ts';
import type { UpstreamEndpoint } from '#waypoint/state/kept.ts';
import type { DialOutcome } from '#waypoint/upstream/connection-pool.ts';

/** As ALPN calls them. Fixed by RFC 7301 and RFC 9113 3.2. */
const ALPN = { http1: 'http/1.1', http2: 'h2' } as const;

/** How a connection is to be opened. */
export type DialOptions = {
  /** Of all of it; null: as everywhere, which is the most. */
  readonly timeoutMs: number | null;
  /** Of the cluster it is for. */
  readonly tls: UpstreamTls | undefined;
  /** What is to be spoken; null: not ours to know. */
  readonly version: HttpVersion | null;
};

/**
 * Opens a byte stream to an endpoint: on this node or where the endpoint has no HBONE directly, in TLS if that is asked for, else through a
 * tunnel in which the endpoint proves the identity the mesh knows it by. Never throws.
 */
export function dial(
  self: WaypointSelf,
  effects: WaypointEffects,
  endpoint: UpstreamEndpoint,
  client: ClientInfo,
  { timeoutMs, tls, version }: DialOptions,
): Promise<DialOutcome> {
  return new Promise((resolve) => {
    let late = false;
    const withinMs = Math.min(timeoutMs ?? TUNNEL.connectTimeoutMs, TUNNEL.connectTimeoutMs);
    const cancel = effects.clock.after(withinMs, () => {
      late = true;
      resolve(failed('connect-timeout', `no connection within ${withinMs} ms`));
    });
    const settle = (outcome: DialOutcome): void => {
      cancel();
      // Its request has been answered with the time-out: nobody would ever close this stream.
      if (late && outcome.kind === 'open') outcome.stream.reset();
      else resolve(outcome);
    };
    open(self, effects, endpoint, client, { timeoutMs: withinMs, tls, version }).then(settle, (error: unknown) =>
      settle(failed('connect-failure', error instanceof Error ? error.message : String(error))),
    );
  });
}

async function open(
  self: WaypointSelf,
  effects: WaypointEffects,
  endpoint: UpstreamEndpoint,
  client: ClientInfo,
  { timeoutMs, tls: wanted, version }: DialOptions & { readonly timeoutMs: number },
): Promise<DialOutcome> {
  const { workload, ip, port } = endpoint;
  const reach = reachOf(endpoint, workload.node === self.node);
  const tls = tlsTowards(wanted, reach.kind !== 'plain');
  if (tls.kind === 'refused') return failed('connect-failure', `nothing is sent without TLS: ${tls.why}`);
  if (reach.kind === 'tunnel') return openTunnel(self, effects, reach.tunnel, client);
  const dialled = directly(await effects.dialDirect(workload, ip, port, client), endpoint);
  if (tls.kind === 'none' || dialled.kind === 'failed') return dialled;
  const protocol = version === null ? null : ALPN[version];
  const secured = await effects.originate(dialled.stream, tls, protocol, timeoutMs);
  if (secured.kind === 'open') return secured;
  return failed(secured.kind === 'deadline' ? 'connect-timeout' : 'connect-failure', secured.why);
}

async function openTunnel(
  self: WaypointSelf,
  effects: WaypointEffects,
  tunnel: Tunnel,
  client: ClientInfo,
): Promise<DialOutcome> {
  const from = { ip: client.address, port: client.port };
  const { target, request } = openingOf(tunnel, callerOf(self), from, effects.randomBytes);
  const outcome = await effects.tunnels.open(target, request);
  switch (outcome.kind) {
    case 'open':
      return { kind: 'open', stream: outcome.stream };
    case 'refused':
      return failed('connect-failure', refusal(outcome.status));
    case 'failed':
      return failed('connect-failure', `${outcome.flag} ${outcome.error.message}`);
    default:
      return unreachable(outcome);
  }
}

/** What came of a dial without a tunnel, as requests fail of it. */
function directly(dialled: Dialled, { ip, port }: UpstreamEndpoint): DialOutcome {
  const to = formatAddress(ip, port);
  switch (dialled.kind) {
    case 'open':
      return dialled;
    case 'refused':
      return failed('connect-failure', `connect ${dialled.code} ${to}`);
    case 'deadline':
      return failed('connect-timeout', `no connection to ${to} within ${TUNNEL.connectTimeoutMs} ms`);
    case 'failed':
      return failed('connect-failure', dialled.error.message);
    default:
      return unreachable(dialled);
  }
}

function refusal(status: number): string {
  return `the endpoint refused the tunnel with ${status}: ${describeTunnelStatus(status)}`;
}

function failed(kind: UpstreamProblem['kind'], details: string): DialOutcome {
  return { kind: 'failed', problem: { kind, details, staleConnection: false, unprocessed: true } };
}
