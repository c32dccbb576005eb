import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { formatAddress, type IpAddress, splitHostPort, tryParseIp } from '#model/address/ip.ts';
import { targetPort } from '#model/balancing/endpoints.ts';
import type { Identity } from '#model/identity/identity.ts';
import { RESERVED_PORTS } from '#model/mesh/ports.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { evaluate, policiesFor } from '#model/policy/evaluate.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { type AccessRecord, openAccessRecord } from '#node-agent/connection/access-log.ts';
import { carry, endsOf, outcomeOf, Refusal } from '#node-agent/connection/carry.ts';
import type { AgentContext } from '#node-agent/connection/context.ts';
import type { Enrolled } from '#node-agent/enrollment/enrollment.ts';
import { baggageOf, formatBaggage } from '#protocol/hbone/baggage.ts';
import { forwardedClient } from '#protocol/hbone/forwarded.ts';
import type { InboundTunnel } from '#protocol/hbone/transport.ts';

type Target = { ip: IpAddress; port: number };
type Arrival = { source: Identity | null; client: Target; target: Target };

/** A refusal of a CONNECT, with the status that says so (spec node-proxy 2.3). */
class TunnelRefusal extends Refusal {
  readonly status: number;
  constructor(status: number, cause: Refusal) {
    super(cause.message, cause.flag, cause.policy, cause.rule);
    this.status = status;
  }
}

/** One CONNECT for a workload of this node: check, connect to the app as the client, answer, carry. */
export async function handleTunnel(context: AgentContext, enrolled: Enrolled, tunnel: InboundTunnel): Promise<void> {
  const record = inboundRecord({ ip: tunnel.remoteAddress, port: tunnel.remotePort }, { ip: tunnel.localAddress, port: 0 });
  record.sourceIdentity = tunnel.peer;
  record.authority = tunnel.authority;
  record.destinationIdentity = enrolled.identity;
  const close = openAccessRecord(record, context.clock, context.log);
  try {
    const workload = await localRecord(context, enrolled);
    record.destinationWorkload = workload;
    record.sourceWorkload = context.mesh.workloadByIp(tunnel.remoteAddress);
    const target = { ip: tunnel.localAddress, port: tunnelTarget(context, workload, tunnel) };
    record.destination = target;
    const client = forwardedClient(tunnel.forwarded, tunnel.remoteAddress) ?? {
      ip: tunnel.remoteAddress,
      port: tunnel.remotePort,
    };
    const arrival = { source: tunnel.peer, client, target };
    await deliver(context, enrolled, workload, arrival, close, () => tunnel.accept(formatBaggage(baggageOf(workload))));
  } catch (error) {
    tunnel.refuse(error instanceof TunnelRefusal ? error.status : error instanceof Refusal && error.flag === 'DENY' ? 401 : 503);
    close(outcomeOf(error));
  }
}

/** Plain text that the kernel handed over with its original destination: policy decides without an identity. */
export async function handlePlaintext(context: AgentContext, enrolled: Enrolled, socket: Socket): Promise<void> {
  socket.on('error', () => {});
  const ends = endsOf(socket);
  if (ends === null) return void socket.destroy(); // reset before it was accepted
  const record = inboundRecord(ends.remote, ends.local);
  const close = openAccessRecord(record, context.clock, context.log);
  try {
    if (RESERVED_PORTS.has(ends.local.port)) throw new Refusal('attempted recursive call to ourselves', 'CONNECT');
    const workload = await localRecord(context, enrolled);
    record.destinationWorkload = workload;
    context.verdicts.remember(null, workload, ends.local.port);
    await deliver(context, enrolled, workload, { source: null, client: ends.remote, target: ends.local }, close, () => socket);
  } catch (error) {
    socket.resetAndDestroy();
    close(outcomeOf(error));
  }
}

/** Policy, then the app's socket, then the client's stream: a refused client never gets a 200 first (B10, B11). */
async function deliver(
  context: AgentContext,
  enrolled: Enrolled,
  workload: Workload,
  arrival: Arrival,
  close: Parameters<typeof carry>[5],
  accept: () => Duplex,
): Promise<void> {
  const abort = new AbortController();
  const connection = {
    source: arrival.source,
    sourceIp: arrival.client.ip,
    destinationUid: enrolled.request.uid,
    destinationIp: arrival.target.ip,
    destinationPort: arrival.target.port,
  };
  const release = context.carried.add({ ...connection, abort: (reason) => abort.abort(reason) });
  try {
    const decision = evaluate(policiesFor(context.mesh, workload), connection);
    if (!decision.allowed) throw new Refusal(decision.reason, 'DENY', decision.policy, decision.rule);
    const app = await enrolled.netns.dialApp(arrival.target.ip, arrival.target.port, arrival.client, TUNNEL.connectTimeoutMs);
    await carry(context, accept(), app, 'inbound', abort.signal, close);
  } finally {
    release();
  }
}

async function localRecord(context: AgentContext, enrolled: Enrolled): Promise<Workload> {
  const workload = (await context.synced()) ? await context.record(enrolled) : null;
  if (workload === null) throw new Refusal('the control plane does not know this workload', 'CONNECT');
  return workload;
}

/** The app's port that a CONNECT asks for (B6-B9, B23); only the port of an IP authority counts. */
function tunnelTarget(context: AgentContext, workload: Workload, tunnel: InboundTunnel): number {
  const authority = splitHostPort(tunnel.authority);
  if (authority === null) throw new TunnelRefusal(400, new Refusal(`malformed authority "${tunnel.authority}"`, 'CONNECT'));
  const ip = tryParseIp(authority.host);
  if (ip !== null && ip !== tunnel.localAddress) {
    throw new TunnelRefusal(
      400,
      new Refusal(`ip mismatch: asked for ${formatAddress(ip, authority.port)} at ${tunnel.localAddress}`, 'CONNECT'),
    );
  }
  const port = ip !== null ? authority.port : servicePort(context, workload, authority.host, authority.port);
  if (RESERVED_PORTS.has(port)) throw new TunnelRefusal(503, new Refusal('attempted recursive call to ourselves', 'CONNECT'));
  return port;
}

function servicePort(context: AgentContext, workload: Workload, hostname: string, port: number): number {
  const services = context.mesh.servicesByHostname(hostname);
  const service = services.find((one) => one.namespace === workload.namespace) ?? services[0];
  const resolved = service === undefined ? null : targetPort(service, workload, port);
  if (resolved === null)
    throw new TunnelRefusal(503, new Refusal(`no service ${hostname} with port ${port} on this workload`, 'CONNECT'));
  return resolved;
}

function inboundRecord(source: Target, destination: Target): AccessRecord {
  return {
    direction: 'inbound',
    source,
    sourceWorkload: null,
    sourceIdentity: null,
    destination,
    destinationWorkload: null,
    destinationIdentity: null,
    authority: null,
    service: null,
  };
}
