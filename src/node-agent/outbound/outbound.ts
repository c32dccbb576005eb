import { formatAddress } from '#model/address/ip.ts';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import { Cut } from '#model/effects/cut.ts';
import type { Identity } from '#model/identity/identity.ts';
import type { Tried } from '#model/path/decide.ts';
import { openingOf } from '#model/path/reach.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { NO_PATH, type RecordEnd, type RecordPath } from '#model/telemetry/access-record.ts';
import { Refusal, refusalOf } from '#model/telemetry/close-cause.ts';
import { refusedEnd } from '#node-agent/connection/access-log.ts';
import type { Granted } from '#node-agent/connection/answers.ts';
import { type Call, carry, type DataContext, hasEnds, openStream, type Served } from '#node-agent/connection/context.ts';
import { refusalFrom, type Way } from '#node-agent/seam/messages.ts';
import { describeTunnelStatus, TUNNEL_STATUS } from '#protocol/hbone/headers.ts';
import { whileThere } from './while-there.ts';

/** One captured connection: whose it is, and where it was going. */
type Captured = Call & {
  served: Served;
  client: RecordEnd;
  dialled: RecordEnd;
  chosen: RecordEnd | null;
  /** Gives back what it goes by. */
  release(): void;
};
/** Where it went: a stream with the identity behind it, or why there is none. */
type Reached = { source: Granted['source']; path: RecordPath } & ({ stream: ByteStream } | { refusal: Refusal });
type Dialled = { stream: ByteStream; peer: Identity | null };

/** A connection that the kernel captured: find who opened it and where to, learn the way, carry it there. */
export async function handleOutbound(context: DataContext, served: Served, stream: ByteStream): Promise<void> {
  if (!hasEnds(stream)) return stream.reset();
  const call = capturedCall(context, served, stream);
  if (call === null) return refuseStranger(context, stream);
  const { client, dialled, cut } = call;
  const report = context.report({ reporter: 'source', dialled: formatAddress(dialled.ip, dialled.port) });
  served.calls.add(call); // from the first moment: an enrolment that ends cuts also what is only waiting
  try {
    // The stream is not read until the way is known: a client that talks first waits in the kernel's buffer, not in ours.
    const reached = unlessCut(await reach(context, call), call);
    const source = { ...reached.source, end: client };
    if ('refusal' in reached) {
      stream.reset(); // the app sees a reset, never a silent end
      report.ended(source, reached.path, refusedEnd(reached.refusal));
      return;
    }
    report.opened(source, reached.path);
    report.ended(source, reached.path, await carry(stream, reached.stream, cut));
  } finally {
    served.calls.delete(call);
    call.release();
  }
}

/** What was cut while it was reached is refused with the cause of the cut, and nothing passes. */
function unlessCut(reached: Reached, { cut: { reason } }: Captured): Reached {
  if (reason === null || 'refusal' in reached) return reached;
  reached.stream.reset();
  return { source: reached.source, path: reached.path, refusal: refusalOf(reason, 'connect-failed') };
}

/** What the kernel recorded before the SYN left; nobody else can write it, so nobody can pose as captured. */
function capturedCall(context: DataContext, served: Served, ends: { remote: RecordEnd; local: RecordEnd }): Captured | null {
  const flow = {
    netnsCookie: served.netnsCookie,
    source: ends.remote.ip,
    destination: ends.local.ip,
    sourcePort: ends.remote.port,
    destinationPort: ends.local.port,
  };
  // Taken once: a later connection from the same port must bring a record of its own, or it was not captured.
  const origin = context.effects.maps.captured.take(flow);
  if (origin === null || origin.dialled === null) return null;
  // The same namespace under another enrolment: what the former one was about to do, this one is not asked for.
  if (origin.sourceId !== served.enrolment) return null;
  const { dialled, dialledPort, backend, backendPort } = origin;
  // For a VIP the kernel has drawn an endpoint; the decision keeps it while it is one, so that both agree.
  const isService = backend !== null && (backend !== dialled || backendPort !== dialledPort);
  return {
    served,
    client: ends.remote,
    dialled: { ip: dialled, port: dialledPort },
    chosen: isService ? { ip: backend, port: backendPort } : null,
    cut: new Cut(),
    place: -1,
    release: () => {},
  };
}

/** Whoever dials an agent's port itself: no identity is proven. */
function refuseStranger(context: DataContext, stream: ByteStream): void {
  const source = { end: stream.remote, workload: null, identity: null };
  const refusal = new Refusal('not-captured', 'a connection to an agent port that the kernel did not capture');
  context.report({ reporter: 'source', dialled: null }).ended(source, { ...NO_PATH, end: stream.local }, refusedEnd(refusal));
  stream.reset();
}

/**
 * Asks and dials, and dials another endpoint of a service, or instance of a waypoint, where one cannot be reached. What was decided is
 * in the log also when dialling fails: that is when somebody reads it.
 */
async function reach(context: DataContext, call: Captured): Promise<Reached> {
  const { served, client, dialled, chosen, cut } = call;
  const { clock } = context.effects;
  const tried: Tried[] = [];
  let attempts = 0;
  const untilMs = clock.monotonicMs() + TUNNEL.connectTimeoutMs;
  let failed: Reached | null = null;
  for (;;) {
    const question = {
      kind: 'outbound',
      enrolment: served.enrolment,
      client: client.ip,
      dialled,
      chosen,
      tried: [...tried],
    } as const;
    const asked = context.answers.ask(question, cut);
    const granted = asked instanceof Promise ? await asked : asked;
    const { source, choice, release } = granted;
    call.release = release;
    if (failed !== null && choice.way.kind === 'refused' && choice.path.workload === null) return failed; // there is no other
    const path = choice.path.end === null ? { ...choice.path, end: dialled } : choice.path;
    try {
      if (cut.reason !== null) throw cut.reason;
      // For a connection of this node only: over a tunnel it is the destination's agent that tells.
      if (choice.dryRun.length > 0 && choice.way.kind === 'app')
        context.dryRun(choice.dryRun, { ...source, end: client }, { ...path, identity: choice.way.peer });
      const dialling = dial(context, call, choice.way);
      const { stream, peer } = await (choice.way.kind === 'tunnel' ? whileThere(context, question, granted, dialling) : dialling);
      return { source, path: { ...path, identity: peer }, stream };
    } catch (error) {
      const refusal = refusalOf(error, 'connect-failed');
      failed = { source, path, refusal };
      if (choice.endpoint === null || !isUnreached(refusal) || cut.reason !== null || clock.monotonicMs() >= untilMs)
        return failed;
      if (++attempts >= TUNNEL.attemptsMax) return failed;
      // A tunnel's end that is no part of the answer any more need not be left out of the next one, which may lead elsewhere altogether.
      if (choice.way.kind !== 'tunnel' || refusal.why !== 'workload-left') tried.push(choice.endpoint);
      release();
      call.release = () => {};
    }
  }
}

/** Whether nobody did answer. Nothing of the client has been read by then, so nothing can come twice elsewhere. */
function isUnreached({ why, flag }: Refusal): boolean {
  return (
    why === 'workload-left' ||
    why === 'connect-failed' ||
    why === 'tunnel-refused' ||
    (why === 'tunnel-failed' && flag === 'CONNECT')
  );
}

/** One branch for each way. Throws a Refusal, or the socket's error. */
function dial(context: DataContext, call: Captured, way: Way): Promise<Dialled> {
  switch (way.kind) {
    case 'refused':
      throw refusalFrom(way.refusal);
    case 'clear':
      return dialPlain(call, way.target);
    case 'app':
      return dialApp(context, call, way);
    case 'tunnel':
      return openTunnel(context, call, way);
    default:
      return way satisfies never;
  }
}

async function dialPlain({ served }: Captured, { ip, port }: RecordEnd): Promise<Dialled> {
  return { stream: openStream(await served.netns.dial(ip, port, TUNNEL.connectTimeoutMs)), peer: null };
}

/** Both ends on this node and no verdict cached: this one connection is carried here, the next goes direct. */
async function dialApp(context: DataContext, call: Captured, way: Extract<Way, { kind: 'app' }>): Promise<Dialled> {
  const { client, cut } = call;
  const target = context.served(way.enrolment);
  // It was here when that was decided; between the two it may have left, and its address may belong to another soon.
  if (target === null) throw new Refusal('workload-left', 'the destination left this node');
  const { ip, port } = way.target;
  const there = { place: -1, cut };
  target.calls.add(there); // its end, too, cuts the connection
  const leave = (): void => target.calls.delete(there);
  try {
    const as = way.as === null ? client : { ip: way.as, port: client.port };
    const stream = openStream(await target.netns.dialApp(ip, port, as, TUNNEL.connectTimeoutMs));
    stream.onOver(leave);
    return { stream, peer: way.peer };
  } catch (error) {
    leave();
    throw error;
  }
}

/** A stream of the pool's; 401 means that the destination's policy denied, every other status that it could not serve. */
async function openTunnel(context: DataContext, call: Captured, way: Extract<Way, { kind: 'tunnel' }>): Promise<Dialled> {
  const { served, client } = call;
  const caller = { identity: served.identity, baggage: way.baggage };
  const { target, request } = openingOf(way.tunnel, caller, client, context.effects.randomBytes);
  // The pool asks for the certificate each time: an identity that has none any more opens nothing new on an old connection either.
  const outcome = await served.pool.open(target, request);
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
