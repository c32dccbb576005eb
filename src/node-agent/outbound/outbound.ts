import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { formatAddress, type IpAddress } from '#model/address/ip.ts';
import type { Identity } from '#model/identity/identity.ts';
import type { Service } from '#model/mesh/service.ts';
import { identityOf, type Workload } from '#model/mesh/workload.ts';
import { decideOutbound, type OutboundPath } from '#model/path/decide.ts';
import { evaluate, policiesFor } from '#model/policy/evaluate.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { type AccessRecord, openAccessRecord } from '#node-agent/connection/access-log.ts';
import { carry, endsOf, outcomeOf, Refusal } from '#node-agent/connection/carry.ts';
import type { AgentContext } from '#node-agent/connection/context.ts';
import type { Origin } from '#node-agent/effects/agent-effects.ts';
import type { Enrolled } from '#node-agent/enrollment/enrollment.ts';
import { baggageOf, formatBaggage } from '#protocol/hbone/baggage.ts';
import { newTraceparent } from '#protocol/hbone/traceparent.ts';

type Client = { ip: IpAddress; port: number };
type Tunnelled = Extract<OutboundPath, { kind: 'hbone' | 'waypoint' }>;
type Local = Extract<OutboundPath, { kind: 'local' }>;

/** A connection that the kernel captured: find who opened it and where to, decide, carry it there. */
export async function handleOutbound(context: AgentContext, enrolled: Enrolled, socket: Socket): Promise<void> {
  socket.on('error', () => {}); // the relay reports; before it runs there is nothing to report to
  const ends = endsOf(socket);
  if (ends === null) return void socket.destroy(); // reset before it was accepted
  const origin = takeOrigin(context, enrolled, ends);
  if (origin === null || origin.dialled === null) {
    context.log.warn(
      { 'src.addr': formatAddress(ends.remote.ip, ends.remote.port), workload: enrolled.request.uid },
      'refused a connection to an agent port that the kernel did not capture',
    );
    socket.resetAndDestroy();
    return;
  }
  const record: AccessRecord = {
    direction: 'outbound',
    source: ends.remote,
    sourceWorkload: null,
    sourceIdentity: enrolled.identity,
    destination: { ip: origin.dialled, port: origin.dialledPort },
    destinationWorkload: null,
    destinationIdentity: null,
    authority: null,
    service: null,
  };
  const close = openAccessRecord(record, context.clock, context.log);
  const abort = new AbortController();
  try {
    const upstream = await dialUpstream(context, enrolled, { ...origin, dialled: origin.dialled }, ends.remote, record, abort);
    await carry(context, socket, upstream, 'outbound', abort.signal, close);
  } catch (error) {
    socket.resetAndDestroy(); // the app sees a reset, never a silent end
    close(outcomeOf(error));
  }
}

/** What the kernel recorded before the SYN left; nobody else can write it, so nobody can pose as captured. */
function takeOrigin(context: AgentContext, enrolled: Enrolled, ends: { remote: Client; local: Client }): Origin | null {
  const flow = {
    netnsCookie: enrolled.netns.cookie,
    source: ends.remote.ip,
    destination: ends.local.ip,
    sourcePort: ends.remote.port,
    destinationPort: ends.local.port,
  };
  const { captured } = context.effects.kernel.maps;
  const origin = captured.get(flow);
  if (origin !== null) captured.delete(flow);
  return origin;
}

async function dialUpstream(
  context: AgentContext,
  enrolled: Enrolled,
  origin: Origin & { dialled: IpAddress },
  client: Client,
  record: AccessRecord,
  abort: AbortController,
): Promise<Duplex> {
  if (!(await context.synced())) throw new Refusal('the mesh is not known yet: no answer from the control plane', 'CONNECT');
  const source = await context.record(enrolled);
  if (source === null) throw new Refusal('the control plane does not know this workload', 'CONNECT');
  record.sourceWorkload = source;
  const dialled = { ip: origin.dialled, port: origin.dialledPort };
  const isService = origin.backend !== null && (origin.backend !== origin.dialled || origin.backendPort !== origin.dialledPort);
  const chosen = isService && origin.backend !== null ? { ip: origin.backend, port: origin.backendPort } : null;
  const isLocal = (uid: string): boolean => context.enrollment.get(uid) !== null;
  const path = decideOutbound({ source, dialled, chosen }, { mesh: context.mesh, isLocal, random: context.effects.random });
  if ('service' in path) record.service = path.service;
  if ('workload' in path) record.destinationWorkload = path.workload;
  switch (path.kind) {
    case 'refused':
      throw new Refusal(path.reason, 'CONNECT');
    case 'passthrough':
    case 'plain':
      record.destination = { ip: path.ip, port: path.port };
      return enrolled.netns.dial(path.ip, path.port, TUNNEL.connectTimeoutMs);
    case 'local':
      return dialLocal(context, source, path, client, record, abort);
    case 'hbone':
      authorize(context, source, path.workload, path, client);
      return openTunnel(context, enrolled, source, path, client, record);
    case 'waypoint':
      return openTunnel(context, enrolled, source, path, client, record);
  }
}

/** Evaluates and lets the kernel remember; throws when policy denies. */
function authorize(
  context: AgentContext,
  source: Workload,
  destination: Workload,
  target: { ip: IpAddress; port: number },
  client: Client,
): void {
  const decision = evaluate(policiesFor(context.mesh, destination), {
    source: identityOf(source),
    sourceIp: client.ip,
    destinationIp: target.ip,
    destinationPort: target.port,
  });
  context.verdicts.remember(source, destination, target.port);
  if (!decision.allowed) throw new Refusal(decision.reason, 'DENY', decision.policy, decision.rule);
}

/** Both ends on this node and no verdict cached: this one connection is carried here, the next goes direct. */
async function dialLocal(
  context: AgentContext,
  source: Workload,
  path: Local,
  client: Client,
  record: AccessRecord,
  abort: AbortController,
): Promise<Socket> {
  const target = context.enrollment.get(path.workload.uid);
  if (target === null) throw new Refusal('the destination left this node', 'CONNECT');
  record.destination = { ip: path.ip, port: path.port };
  record.destinationIdentity = identityOf(path.workload);
  const release = context.carried.add({
    source: identityOf(source),
    sourceIp: client.ip,
    destinationUid: path.workload.uid,
    destinationIp: path.ip,
    destinationPort: path.port,
    abort: (reason) => abort.abort(reason),
  });
  try {
    authorize(context, source, path.workload, path, client);
    const socket = await target.netns.dialApp(path.ip, path.port, client, TUNNEL.connectTimeoutMs);
    socket.once('close', release);
    return socket;
  } catch (error) {
    release();
    throw error;
  }
}

async function openTunnel(
  context: AgentContext,
  enrolled: Enrolled,
  source: Workload,
  path: Tunnelled,
  client: Client,
  record: AccessRecord,
): Promise<Duplex> {
  record.destination = { ip: path.ip, port: path.tunnelPort };
  record.authority = path.authority;
  const outcome = await enrolled.pool.open(
    { source: enrolled.identity, peers: path.peers, address: path.ip, port: path.tunnelPort },
    {
      authority: path.authority,
      client: formatAddress(client.ip, client.port),
      serviceHost: serviceHost(path.service),
      baggage: formatBaggage(baggageOf(source)),
      traceparent: newTraceparent(context.effects.randomBytes),
    },
  );
  switch (outcome.kind) {
    case 'open':
      record.destinationIdentity = outcome.peer satisfies Identity;
      return outcome.stream;
    case 'refused':
      throw new Refusal(
        `http status: ${outcome.status}${outcome.status === 401 ? ' (denied by policy at the destination)' : ''}`,
        outcome.status === 401 ? 'DENY' : 'CONNECT',
      );
    case 'failed':
      throw new Refusal(outcome.error.message, outcome.flag);
  }
}

function serviceHost(service: Service | null): string | null {
  return service === null ? null : service.hostname;
}
