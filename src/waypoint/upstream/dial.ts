import { formatAddress } from '#model/address/ip.ts';
import { unreachable } from '#model/error.ts';
import { PORT } from '#model/mesh/ports.ts';
import { identityOf } from '#model/mesh/workload.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import type { UpstreamProblem } from '#protocol/http/message.ts';
import type { ClientInfo, WaypointEffects } from '#waypoint/self/effects.ts';
import type { WaypointSelf } from '#waypoint/self/self.ts';
import type { UpstreamEndpoint } from '#waypoint/state/kept.ts';
import type { DialOutcome } from '#waypoint/upstream/connection-pool.ts';

/**
 * Opens a byte stream to an endpoint: plainly on this node or where the endpoint has no HBONE, else through a
 * tunnel in which the endpoint proves the identity the mesh knows it by. Never throws.
 */
export function dial(
  self: WaypointSelf,
  effects: WaypointEffects,
  endpoint: UpstreamEndpoint,
  client: ClientInfo,
): Promise<DialOutcome> {
  return new Promise((resolve) => {
    let late = false;
    const cancel = effects.clock.after(TUNNEL.connectTimeoutMs, () => {
      late = true;
      resolve(failed('connect-timeout', `no connection within ${TUNNEL.connectTimeoutMs} ms`));
    });
    const settle = (outcome: DialOutcome): void => {
      cancel();
      if (late && outcome.kind === 'open') outcome.stream.destroy();
      else resolve(outcome);
    };
    const opening = needsTunnel(self, endpoint)
      ? dialTunnel(self, effects, endpoint, client)
      : dialPlain(effects, endpoint, client);
    opening.then(settle, (error: unknown) =>
      settle(failed('connect-failure', error instanceof Error ? error.message : String(error))),
    );
  });
}

/** An endpoint of the mesh on another node is never dialled in plain text (DESIGN section 11, promise 1). */
function needsTunnel(self: WaypointSelf, { workload }: UpstreamEndpoint): boolean {
  return workload.tunnelProtocol === 'hbone' && workload.node !== self.node;
}

async function dialPlain(
  effects: WaypointEffects,
  { workload, ip, port }: UpstreamEndpoint,
  client: ClientInfo,
): Promise<DialOutcome> {
  return { kind: 'open', stream: await effects.dialDirect(workload, ip, port, client) };
}

async function dialTunnel(
  self: WaypointSelf,
  effects: WaypointEffects,
  endpoint: UpstreamEndpoint,
  client: ClientInfo,
): Promise<DialOutcome> {
  const { workload, ip, port } = endpoint;
  const outcome = await effects.tunnels.open(
    { source: self.identity, peers: [identityOf(workload)], address: ip, port: PORT.hbone },
    {
      authority: formatAddress(ip, port),
      client: formatAddress(client.address, client.port),
      serviceHost: endpoint.serviceHost,
      baggage: `k8s.namespace.name=${self.namespace},k8s.deployment.name=${self.gateway},service.name=${self.gateway}`,
      traceparent: `00-${hexOf(effects.newUuid())}-${hexOf(effects.newUuid()).slice(0, 16)}-00`,
    },
  );
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

function refusal(status: number): string {
  return status === 401
    ? 'the endpoint refused the tunnel: an authorization policy there denies this waypoint'
    : `the endpoint refused the tunnel with ${status}`;
}

function hexOf(uuid: string): string {
  return uuid.replaceAll('-', '');
}

function failed(kind: UpstreamProblem['kind'], details: string): DialOutcome {
  return { kind: 'failed', problem: { kind, details, staleConnection: false } };
}
