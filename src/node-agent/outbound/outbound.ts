import { formatAddress, type IpAddress } from '#model/address/ip.ts';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import { Cut } from '#model/effects/cut.ts';
import type { Identity } from '#model/identity/identity.ts';
import { identityOf, type Workload } from '#model/mesh/workload.ts';
import type { OutboundPath, Tried } from '#model/path/decide.ts';
import { openingOf } from '#model/path/reach.ts';
import { type Connection, connectionOf, decideL4, dryRunL4, policiesFor } from '#model/policy/l4.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { NO_PATH, type RecordEnd, type RecordPath, type RecordSource } from '#model/telemetry/access-record.ts';
import { Refusal, refusalOf } from '#model/telemetry/close-cause.ts';
import { baggageTextOf } from '#model/telemetry/propagation.ts';
import { refusedEnd } from '#node-agent/connection/access-log.ts';
import type { AgentContext } from '#node-agent/connection/context.ts';
import { carry, hasEnds, openStream } from '#node-agent/connection/context.ts';
import type { Enrolled } from '#node-agent/enrollment/enrollment.ts';
import { describeTunnelStatus, TUNNEL_STATUS } from '#protocol/hbone/headers.ts';
import { clientTo, settledPath, unreached } from './settled-path.ts';

type Tunnelled = Extract<OutboundPath, { kind: 'hbone' | 'waypoint' }>;
type Local = Extract<OutboundPath, { kind: 'local' }>;

/** One captured connection: whose it is, where it was going, and what cuts it. */
type Call = {
  enrolled: Enrolled;
  client: RecordEnd;
  dialled: RecordEnd;
  chosen: RecordEnd | null;
  cut: Cut;
  /** Takes it out of the list of those that a change may cut. */
  release(): void;
};
/** Where it went: a stream with the identity behind it, or why there is none. */
type Reached = { path: RecordPath; stream: ByteStream } | { path: RecordPath; refusal: Refusal };
type Dialled = { stream: ByteStream; peer: Identity | null };

/** A connection that the kernel captured: find who opened it and where to, decide, carry it there. */
export async function handleOutbound(context: AgentContext, enrolled: Enrolled, stream: ByteStream): Promise<void> {
  if (!hasEnds(stream)) return stream.reset();
  const call = capturedCall(context, enrolled, stream);
  if (call === null) return refuseStranger(context, stream);
  const report = context.report({ reporter: 'source', dialled: formatAddress(call.dialled.ip, call.dialled.port) });
  enrolled.calls.add(call.cut); // from the first moment: an enrolment that ends cuts also what is only waiting
  try {
    // The stream is not read until the way is known: a client that talks first waits in the kernel's buffer, not in ours.
    const known = context.ownRecord(enrolled) ?? (await knownSource(context, enrolled));
    const isKnown = !(known instanceof Refusal);
    const source: RecordSource = { end: call.client, workload: isKnown ? known : null, identity: enrolled.identity };
    const found = isKnown ? await reach(context, call, known) : { path: { ...NO_PATH, end: call.dialled }, refusal: known };
    const reached = unlessCut(found, call);
    if ('refusal' in reached) {
      stream.reset(); // the app sees a reset, never a silent end
      report.ended(source, reached.path, refusedEnd(reached.refusal));
      return;
    }
    report.opened(source, reached.path);
    report.ended(source, reached.path, await carry(stream, reached.stream, call.cut));
  } finally {
    enrolled.calls.delete(call.cut);
    call.release();
  }
}

/** What was cut while it was reached is refused with the cause of the cut, and nothing passes. */
function unlessCut(reached: Reached, { cut: { reason } }: Call): Reached {
  if (reason === null || 'refusal' in reached) return reached;
  reached.stream.reset();
  return { path: reached.path, refusal: refusalOf(reason, 'connect-failed') };
}

/** What the kernel recorded before the SYN left; nobody else can write it, so nobody can pose as captured. */
function capturedCall(context: AgentContext, enrolled: Enrolled, ends: { remote: RecordEnd; local: RecordEnd }): Call | null {
  const flow = {
    netnsCookie: enrolled.netns.netnsCookie,
    source: ends.remote.ip,
    destination: ends.local.ip,
    sourcePort: ends.remote.port,
    destinationPort: ends.local.port,
  };
  // Taken once: a later connection from the same port must bring a record of its own, or it was not captured.
  const origin = context.effects.kernel.maps.captured.take(flow);
  if (origin === null || origin.dialled === null) return null;
  // The same namespace under another enrolment: what the former one was about to do, this one is not asked for.
  if (origin.sourceId !== enrolled.id) return null;
  const { dialled, dialledPort, backend, backendPort } = origin;
  // For a VIP the kernel has drawn an endpoint; the decision keeps it while it is one, so that both agree.
  const isService = backend !== null && (backend !== dialled || backendPort !== dialledPort);
  return {
    enrolled,
    client: ends.remote,
    dialled: { ip: dialled, port: dialledPort },
    chosen: isService ? { ip: backend, port: backendPort } : null,
    cut: new Cut(),
    release: () => {},
  };
}

/** Whoever dials an agent's port itself: no identity is proven. */
function refuseStranger(context: AgentContext, stream: ByteStream): void {
  const source = { end: stream.remote, workload: null, identity: null };
  const refusal = new Refusal('not-captured', 'a connection to an agent port that the kernel did not capture');
  context.report({ reporter: 'source', dialled: null }).ended(source, { ...NO_PATH, end: stream.local }, refusedEnd(refusal));
  stream.reset();
}

/**
 * The record of the workload that dials, waited for within bounds. Without it there is no identity to evaluate and no
 * locality to choose by; without the mesh an unknown address could be a workload, so nothing passes as plain text.
 */
async function knownSource(context: AgentContext, enrolled: Enrolled): Promise<Workload | Refusal> {
  if (!(await context.synced()))
    return new Refusal('unknown-mesh', 'the mesh is not known yet: no answer from the control plane');
  const source = await context.record(enrolled);
  return source ?? new Refusal('unknown-workload', 'the control plane does not know this workload');
}

/**
 * Decides and dials, and dials another endpoint of a service where one cannot be reached. What was decided is in the log also
 * when dialling fails: that is when somebody reads it.
 */
async function reach(context: AgentContext, call: Call, source: Workload): Promise<Reached> {
  const { dialled, chosen } = call;
  const tried: Tried[] = [];
  const untilMs = context.clock.nowMs() + TUNNEL.connectTimeoutMs;
  let failed: Reached | null = null;
  for (;;) {
    const outbound = await settledPath(context, { source, dialled, chosen, tried }, call.client);
    if (failed !== null && outbound.kind === 'refused') return failed; // there is no other: the last one's cause is told
    const path = recordedPath(outbound, dialled);
    try {
      requireRecord(context, outbound);
      const { stream, peer } = await dial(context, call, source, outbound);
      return { path: { ...path, identity: peer }, stream };
    } catch (error) {
      failed = { path, refusal: refusalOf(error, 'connect-failed') };
      const endpoint = unreached(outbound, failed.refusal);
      if (endpoint === null || call.cut.reason !== null || context.clock.nowMs() >= untilMs) return failed;
      if (tried.push(endpoint) >= TUNNEL.attemptsMax) return failed;
      call.release();
      call.release = () => {};
    }
  }
}

/**
 * An address of this node whose enrolment has no record yet is nobody's that the mesh knows, or somebody's who was there
 * before: neither plain text nor a tunnel may go there.
 */
function requireRecord(context: AgentContext, path: OutboundPath): void {
  if (path.kind === 'local' || path.kind === 'waypoint' || path.kind === 'refused') return;
  if (context.enrollment.byAddress(path.ip) === null) return;
  throw new Refusal('unknown-workload', 'the control plane does not know the workload that has this address now');
}

/** What the access log says of a decision. */
function recordedPath(path: OutboundPath, dialled: RecordEnd): RecordPath {
  switch (path.kind) {
    case 'refused':
      return { ...NO_PATH, end: dialled, service: path.service };
    case 'passthrough':
      return { ...NO_PATH, end: { ip: path.ip, port: path.port } };
    case 'plain':
    case 'local':
      return { ...NO_PATH, end: { ip: path.ip, port: path.port }, service: path.service, workload: path.workload };
    case 'hbone':
    case 'waypoint': {
      const { service, workload, tunnel } = path;
      return { end: { ip: tunnel.ip, port: tunnel.port }, authority: tunnel.authority, service, workload, identity: null };
    }
  }
}

/** One branch for each path of the decision. Throws a Refusal, or the socket's error. */
function dial(context: AgentContext, call: Call, source: Workload, path: OutboundPath): Promise<Dialled> {
  switch (path.kind) {
    case 'refused':
      throw new Refusal(path.cause, path.reason);
    case 'passthrough':
    case 'plain':
      return dialPlain(call, path);
    case 'local':
      return dialLocal(context, call, source, path);
    case 'hbone':
      remember(context, call, path, connectionOf(source, clientTo(path.ip, source, call.client).ip, path));
      // The destination evaluates again, and decides. Here it spares a tunnel, and tells the kernel to refuse the next connect().
      authorize(context, source, path.workload, path, clientTo(path.ip, source, call.client));
      return openTunnel(context, call, source, path);
    case 'waypoint':
      // Policies that name the client are the waypoint's to evaluate: the destination sees the waypoint's identity.
      remember(context, call, path, null);
      return openTunnel(context, call, source, path);
  }
}

async function dialPlain({ enrolled }: Call, { ip, port }: RecordEnd): Promise<Dialled> {
  return { stream: openStream(await enrolled.netns.dial(ip, port, TUNNEL.connectTimeoutMs)), peer: null };
}

/** In the list before it is evaluated and until its end: what comes to forbid it finds it there and cuts it, here too. */
function remember(context: AgentContext, call: Call, path: Tunnelled, connection: Connection | null): void {
  const { workload: peer, service } = path;
  const dialled = call.dialled.ip;
  const bound = path.kind === 'waypoint' ? (service ?? context.mesh.workloadByIp(dialled)) : null;
  const waypoint = bound?.waypoint ?? null;
  const abort = (why: Refusal): void => call.cut.abort(why);
  call.release = context.carried.addOutgoing({ connection, peer, dialled, service, waypoint, abort });
}

/**
 * Evaluates and lets the kernel remember; throws when policy denies. What is remembered is the verdict of the pair, not of
 * this connection: it is kept only when every connection of the pair to this port gets the same.
 */
function authorize(
  context: AgentContext,
  source: Workload,
  destination: Workload,
  target: { ip: IpAddress; port: number },
  client: RecordEnd,
): void {
  const decision = decideL4(policiesFor(context.mesh, destination), connectionOf(source, client.ip, target));
  context.verdicts.remember(source, destination, target.port);
  if (!decision.allowed) throw new Refusal('policy', decision.reason, decision);
}

/** Both ends on this node and no verdict cached: this one connection is carried here, the next goes direct. */
async function dialLocal(context: AgentContext, call: Call, source: Workload, path: Local): Promise<Dialled> {
  const target = context.enrollment.get(path.workload.uid);
  // It was here when the decision was made; between the two it may have left, and its address may belong to another soon.
  if (target === null) throw new Refusal('workload-left', 'the destination left this node');
  // In the list before it is evaluated: a policy that comes during the dial finds it there and cuts it.
  const client = clientTo(path.ip, source, call.client);
  const release = context.carried.add({
    connection: connectionOf(source, client.ip, path),
    destinationUid: path.workload.uid,
    abort: (why) => call.cut.abort(why),
  });
  try {
    authorize(context, source, path.workload, path, client);
    tellDryRun(context, call, source, path);
    const stream = openStream(await target.netns.dialApp(path.ip, path.port, client, TUNNEL.connectTimeoutMs));
    stream.onOver(release);
    return { stream, peer: identityOf(path.workload) };
  } catch (error) {
    release();
    throw error;
  }
}

/** For a connection of this node only: over a tunnel it is the destination's agent that tells. */
function tellDryRun(context: AgentContext, call: Call, source: Workload, path: Local): void {
  const decisions = dryRunL4(policiesFor(context.mesh, path.workload), connectionOf(source, call.client.ip, path));
  const record = { end: call.client, workload: source, identity: call.enrolled.identity };
  context.dryRun(decisions, record, { ...recordedPath(path, call.dialled), identity: identityOf(path.workload) });
}

/** A stream of the pool's; 401 means that the destination's policy denied, every other status that it could not serve. */
async function openTunnel(context: AgentContext, call: Call, source: Workload, path: Tunnelled): Promise<Dialled> {
  const { enrolled, client } = call;
  const caller = { identity: enrolled.identity, baggage: baggageTextOf(source) };
  const { target, request } = openingOf(path.tunnel, caller, client, context.effects.randomBytes);
  // The pool asks for the certificate each time: an identity that has none any more opens nothing new on an old connection either.
  const outcome = await enrolled.pool.open(target, request);
  switch (outcome.kind) {
    case 'open':
      return { stream: outcome.stream, peer: outcome.peer };
    case 'refused': {
      const why = `http status: ${outcome.status} (${describeTunnelStatus(outcome.status)})`;
      throw new Refusal(outcome.status === TUNNEL_STATUS.denied ? 'denied-at-destination' : 'tunnel-refused', why);
    }
    case 'failed':
      throw new Refusal('tunnel-failed', outcome.error.message, { flag: outcome.flag });
  }
}
