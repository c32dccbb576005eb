import { formatAddress, splitHostPort, tryParseIp } from '#model/address/ip.ts';
import { targetPort } from '#model/balancing/endpoints.ts';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import { Cut } from '#model/effects/cut.ts';
import { countedDoor } from '#model/guard/door.ts';
import type { Doorkeeper } from '#model/guard/doorkeeper.ts';
import { RESERVED_PORTS } from '#model/mesh/ports.ts';
import { type Service, serviceKeyOf } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { connectionOf, dryRunL4 } from '#model/policy/l4.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { NO_PATH, type RecordEnd, type RecordPath, type RecordSource } from '#model/telemetry/access-record.ts';
import { Refusal, refusalOf } from '#model/telemetry/close-cause.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import { baggageTextOf } from '#model/telemetry/propagation.ts';
import { type ConnectionReport, refusedEnd } from '#node-agent/connection/access-log.ts';
import type { AgentContext } from '#node-agent/connection/context.ts';
import { carry, decided, hasEnds, openStream } from '#node-agent/connection/context.ts';
import type { HboneServer } from '#node-agent/effects/agent-effects.ts';
import type { Enrolled } from '#node-agent/enrollment/enrollment.ts';
import { forwardedClient, forwardedHost } from '#protocol/hbone/headers.ts';
import type { InboundTunnel } from '#protocol/hbone/transport.ts';
import { dialledVip, openerOf, takeAttestation } from './attestation.ts';

/**
 * Makes the servers of the tunnels to workloads of this node. One doorkeeper for all of them: it is this process that a flood wears
 * out, whichever of them it is aimed at. The context is asked for when there is a workload.
 */
export function tunnelServers(context: () => AgentContext, trustDomain: string, meters: Meters) {
  let door: Doorkeeper | null = null;
  return (workload: Enrolled): HboneServer => {
    const { effects, mesh, clock, places } = context();
    door ??= countedDoor({ name: 'tunnel', meters, clock, isKnown: (ip) => mesh.workloadByIp(ip) !== null });
    return effects.createHboneServer({
      credentials: () => effects.credentials(workload.identity),
      trustDomain,
      // What it rejects with, the server tells and refuses.
      onTunnel: (tunnel) =>
        places.during(
          workload,
          'destination',
          () => handleTunnel(context(), workload, tunnel),
          () => tunnel.refuse(503),
        ),
      place: () => places.enter(workload, 'destination'),
      onRefused: (cause) => meters.counter('weft_refusals_total', { reporter: 'destination', cause }).add(),
      door,
    });
  };
}

/** A connection that arrived and whose target is known; `client` is whom the app shall see. */
type Arrival = {
  enrolled: Enrolled;
  workload: Workload;
  source: RecordSource;
  client: RecordEnd;
  target: RecordEnd;
  path: RecordPath;
  report: ConnectionReport;
};

/** Statuses that refuse a CONNECT (docs/rules/node-proxy.md). */
function statusOf({ why, flag }: Refusal): number {
  if (flag === 'DENY') return 401;
  return why === 'bad-authority' ? 400 : 503;
}

/**
 * One CONNECT for a workload of this node: check, connect to the app as the client, answer, carry. The peer is who its
 * certificate says; what its headers say (forwarded, baggage) is for the app and the log, within what that identity may claim.
 */
export async function handleTunnel(context: AgentContext, enrolled: Enrolled, tunnel: InboundTunnel): Promise<void> {
  const report = context.report({ reporter: 'destination', dialled: null });
  const remote = { ip: tunnel.remoteAddress, port: tunnel.remotePort };
  const known = context.ownRecord(enrolled) ?? (await localWorkload(context, enrolled));
  const port = known instanceof Refusal ? known : tunnelTarget(context, known, tunnel);
  const isKnown = !(known instanceof Refusal);
  const source = { end: remote, workload: isKnown ? context.mesh.workloadByIp(remote.ip) : null, identity: tunnel.peer };
  const path = {
    ...NO_PATH,
    end: { ip: tunnel.localAddress, port: port instanceof Refusal ? 0 : port },
    authority: tunnel.authority,
    service: isKnown ? dialledService(context, known, tunnel.forwarded) : null,
    workload: isKnown ? known : null,
    identity: enrolled.identity,
  };
  if (!isKnown || port instanceof Refusal) {
    const refusal = port instanceof Refusal ? port : refusalOf(known, 'unknown-workload');
    tunnel.refuse(statusOf(refusal));
    return report.ended(source, path, refusedEnd(refusal));
  }
  // Only another port of the peer's own address is believed: an agent speaks for the workload whose address it dials from.
  const client = forwardedClient(tunnel.forwarded, remote.ip) ?? remote;
  const arrival = { enrolled, workload: known, source, client, target: path.end, path, report };
  const refusal = await deliver(context, arrival, () => tunnel.accept(baggageTextOf(known)));
  if (refusal !== null) tunnel.refuse(statusOf(refusal));
}

/**
 * A connection that the kernel handed over with its original destination: plain text, for which policy decides without an
 * identity, or one of this node that was decided by older policies than those in force, which is judged as its opener's.
 */
export async function handlePlaintext(context: AgentContext, enrolled: Enrolled, stream: ByteStream): Promise<void> {
  if (!hasEnds(stream)) return stream.reset();
  const { remote: client, local: target } = stream;
  const report = context.report({ reporter: 'destination', dialled: null });
  const attestation = takeAttestation(context, enrolled, stream); // now: the record goes when its opener closes
  // Before anything else: a connection to our own listeners would come back here, again and again.
  const known = RESERVED_PORTS.has(target.port)
    ? recursion()
    : (context.ownRecord(enrolled) ?? (await localWorkload(context, enrolled)));
  const opener = known instanceof Refusal ? known : await openerOf(context, attestation, target);
  if (known instanceof Refusal || opener instanceof Refusal) {
    const source = { end: client, workload: null, identity: null };
    stream.reset();
    return report.ended(source, { ...NO_PATH, end: target }, refusedEnd(refusalOf(opener, 'unknown-workload')));
  }
  const source = { end: client, ...opener };
  // The next SYN to this port is then decided in the kernel, for STRICT with ECONNREFUSED instead of a reset.
  context.verdicts.remember(source.workload, known, target.port);
  const path = { ...NO_PATH, end: target, service: dialledVip(context, attestation), workload: known };
  const refusal = await deliver(context, { enrolled, workload: known, source, client, target, path, report }, () => stream);
  if (refusal !== null) stream.reset();
}

/**
 * Policy, then the app's socket, then the client's stream: a refused client never gets a 200 first (B10, B11).
 * Returns the refusal that is left to tell the client; it is in the log already.
 */
async function deliver(context: AgentContext, arrival: Arrival, accept: () => ByteStream): Promise<Refusal | null> {
  const { enrolled, workload, source, client, target, path, report } = arrival;
  const cut = new Cut();
  const connection = connectionOf(source.identity, client.ip, target);
  // In the list before it is evaluated, and until its end: no change of policy can fall between check and list.
  const release = context.carried.add({ connection, destinationUid: enrolled.request.uid, abort: (why) => cut.abort(why) });
  try {
    const { policies, decision } = await decided(context, workload, connection);
    context.dryRun(dryRunL4(policies, connection), source, path);
    if (!decision.allowed) throw new Refusal('policy', decision.reason, decision);
    const app = openStream(await enrolled.netns.dialApp(target.ip, target.port, client, TUNNEL.connectTimeoutMs));
    // The app may have taken its time: a policy that came meanwhile answers, not a 200 that is cut at once.
    if (cut.reason !== null) {
      app.reset();
      throw cut.reason;
    }
    report.opened(source, path);
    report.ended(source, path, await carry(accept(), app, cut));
    return null;
  } catch (error) {
    const refusal = refusalOf(error, 'connect-failed');
    report.ended(source, path, refusedEnd(refusal));
    return refusal;
  } finally {
    release();
  }
}

/** The record of the workload that is dialled, waited for within bounds: without it no policy is known to apply. */
async function localWorkload(context: AgentContext, enrolled: Enrolled): Promise<Workload | Refusal> {
  const workload = (await context.synced()) ? await context.record(enrolled) : null;
  return workload ?? new Refusal('unknown-workload', 'the control plane does not know this workload');
}

/** The app's port that a CONNECT asks for (B6-B9, B23); only the port of an IP authority counts. */
function tunnelTarget(context: AgentContext, workload: Workload, tunnel: InboundTunnel): number | Refusal {
  const authority = splitHostPort(tunnel.authority);
  if (authority === null) return new Refusal('bad-authority', `malformed authority "${tunnel.authority}"`);
  const ip = tryParseIp(authority.host);
  if (ip !== null && ip !== tunnel.localAddress) {
    const asked = formatAddress(ip, authority.port);
    return new Refusal('bad-authority', `ip mismatch: asked for ${asked} at ${tunnel.localAddress}`);
  }
  const port = ip !== null ? authority.port : servicePort(context, workload, authority.host, authority.port);
  return !(port instanceof Refusal) && RESERVED_PORTS.has(port) ? recursion() : port;
}

/** The service that the client says it dialled, if this workload is behind it: for the log, nothing is decided by it (B14). */
function dialledService(context: AgentContext, workload: Workload, forwarded: string): Service | null {
  const host = forwardedHost(forwarded);
  const named = host === null ? [] : context.mesh.servicesByHostname(host);
  return named.find((service) => workload.services.has(serviceKeyOf(service))) ?? null;
}

/** The port behind a service's port at this workload; the workload's own namespace is asked first (B23). */
function servicePort(context: AgentContext, workload: Workload, hostname: string, port: number): number | Refusal {
  const services = context.mesh.servicesByHostname(hostname);
  const service = services.find((one) => one.namespace === workload.namespace) ?? services[0];
  const resolved = service === undefined ? null : targetPort(service, workload, port);
  return resolved ?? new Refusal('no-such-port', `no service ${hostname} with port ${port} on this workload`);
}

function recursion(): Refusal {
  return new Refusal('reserved-port', 'attempted recursive call to ourselves');
}
