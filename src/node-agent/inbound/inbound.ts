import { familyOf, type IpAddress, parseIp } from '#model/address/ip.ts';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import { Cut } from '#model/effects/cut.ts';
import { countedDoor } from '#model/guard/door.ts';
import type { Doorkeeper } from '#model/guard/doorkeeper.ts';
import { ADDRESS_FLAG, TAKEN } from '#model/kernel/abi.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import type { RecordEnd } from '#model/telemetry/access-record.ts';
import { Refusal, refusalOf } from '#model/telemetry/close-cause.ts';
import { type ConnectionReport, refusedEnd } from '#node-agent/connection/access-log.ts';
import { type Call, carry, type DataContext, hasEnds, openStream, type Served } from '#node-agent/connection/context.ts';
import type { HboneServer } from '#node-agent/effects/data-effects.ts';
import { type Attested, type Question, refusalFrom, type Way } from '#node-agent/seam/messages.ts';
import { forwardedClient, forwardedHost } from '#protocol/hbone/headers.ts';
import { proxyHeader } from '#protocol/hbone/proxy-header.ts';
import type { InboundTunnel } from '#protocol/hbone/transport.ts';

/**
 * Makes the servers of the tunnels to workloads of this node. One doorkeeper for all of them: it is this process that a flood wears
 * out, whichever of them it is aimed at.
 */
export function tunnelServers(context: () => DataContext, trustDomain: string) {
  let door: Doorkeeper | null = null;
  return (served: Served): HboneServer => {
    const { effects, places } = context();
    const { meters, clock, maps, threads } = effects;
    // The kernel has the addresses of the mesh, whoever knows them, and of some that they are nobody's.
    const isKnown = (ip: IpAddress): boolean =>
      ((maps.addresses.get(ip)?.flags ?? ADDRESS_FLAG.outside) & ADDRESS_FLAG.outside) === 0;
    door ??= countedDoor({ name: 'tunnel', meters, clock, isKnown, keepers: threads });
    return effects.createHboneServer({
      credentials: () => effects.credentials(served.identity),
      trustDomain,
      // What it rejects with, the server tells and refuses.
      onTunnel: (tunnel) =>
        places.during(
          served,
          'destination',
          () => handleTunnel(context(), served, tunnel),
          () => tunnel.refuse(503),
        ),
      place: () => places.enter(served, 'destination'),
      onRefused: (cause) => meters.counter('weft_refusals_total', { reporter: 'destination', cause }).add(),
      door,
    });
  };
}

/** A connection that arrived: for whom, as whose it shall appear, and how it is told. */
type Arrival = Call & { served: Served; client: RecordEnd; remote: RecordEnd; report: ConnectionReport };

/** Statuses that refuse a CONNECT (docs/rules/node-proxy.md). */
function statusOf({ why, flag }: Refusal): number {
  if (flag === 'DENY') return 401;
  return why === 'bad-authority' ? 400 : 503;
}

/** One CONNECT for a workload of this node: ask, connect to the app as the client, answer, carry. */
export async function handleTunnel(context: DataContext, served: Served, tunnel: InboundTunnel): Promise<void> {
  const report = context.report({ reporter: 'destination', dialled: null });
  const { peer, authority, remoteAddress, localAddress: local, forwarded } = tunnel;
  const remote = { ip: remoteAddress, port: tunnel.remotePort };
  // Only another port of the peer's own address is believed: an agent speaks for the workload whose address it dials from.
  const client = forwardedClient(forwarded, remote.ip) ?? remote;
  const host = forwardedHost(forwarded);
  const question = { kind: 'tunnel', enrolment: served.enrolment, peer, remote: remote.ip, local, authority, host } as const;
  const arrival = { served, client, remote, report, cut: new Cut(), place: -1 };
  const refusal = await deliver(context, arrival, question, (baggage) => tunnel.accept(baggage));
  if (refusal !== null) tunnel.refuse(statusOf(refusal));
}

/**
 * A connection that the kernel handed over with its original destination: plain text, for which policy decides without an
 * identity, or one of this node that was decided by older policies than those in force, which is judged as its opener's.
 */
export async function handlePlaintext(context: DataContext, served: Served, stream: ByteStream): Promise<void> {
  if (!hasEnds(stream)) return stream.reset();
  const { remote, local: target } = stream;
  const report = context.report({ reporter: 'destination', dialled: null });
  const attested = takeAttestation(context, served, stream); // now: the record goes when its opener closes
  const clientPort = served.probed.includes(target.port) ? remote.port : 0; // who opened it is told by its ends alone
  const question = { kind: 'plaintext', enrolment: served.enrolment, client: remote.ip, clientPort, target, attested } as const;
  const arrival = { served, client: remote, remote, report, cut: new Cut(), place: -1 };
  const refusal = await deliver(context, arrival, question, () => stream);
  if (refusal !== null) stream.reset();
}

/**
 * Handles connections to a port of the machine that leads to this one of a workload: of a peer without identity, whose own address
 * policy sees, and the app.
 */
export function publishedAt(port: number) {
  return async (context: DataContext, served: Served, stream: ByteStream): Promise<void> => {
    if (!hasEnds(stream)) return stream.reset();
    const { remote } = stream;
    const report = context.report({ reporter: 'destination', dialled: null });
    const ip = served.addresses.find((address) => familyOf(address) === familyOf(remote.ip));
    if (ip === undefined) return stream.reset();
    const question = {
      kind: 'plaintext',
      enrolment: served.enrolment,
      client: remote.ip,
      clientPort: 0,
      target: { ip, port },
      attested: NONE,
    } as const;
    const arrival = { served, client: remote, remote, report, cut: new Cut(), place: -1 };
    const refusal = await deliver(context, arrival, question, () => stream);
    if (refusal !== null) stream.reset();
  };
}

const NONE = { kind: 'none' } as const;
/** Where an app listens that believes what it is told in front: nobody else reaches it there. */
const LOOPBACK = { 4: parseIp('127.0.0.1'), 6: parseIp('::1') } as const;

type Proxied = NonNullable<Extract<Way, { kind: 'app' }>['proxied']>;

/**
 * Policy, then the app's socket, then the client's stream: a refused client never gets a 200 first (B10, B11).
 * Returns the refusal that is left to tell the client; it is in the log already.
 */
async function deliver(
  context: DataContext,
  arrival: Arrival,
  question: Question,
  accept: (baggage: string) => ByteStream,
): Promise<Refusal | null> {
  const { served, client, remote, report, cut } = arrival;
  served.calls.add(arrival); // from the first moment to its end: no change can fall between check and list
  const asked = context.answers.ask(question, cut);
  const { source: told, choice, release } = asked instanceof Promise ? await asked : asked;
  const { way, path, dryRun } = choice;
  const source = { ...told, end: remote };
  try {
    if (cut.reason !== null) throw cut.reason;
    context.dryRun(dryRun, source, path);
    if (way.kind === 'refused') throw refusalFrom(way.refusal);
    if (way.kind !== 'app') throw new Refusal('other', `an arrival cannot go by ${way.kind}`);
    const { ip, port } = way.target;
    const dialling =
      way.proxied === undefined
        ? served.netns.dialApp(ip, port, client, TUNNEL.connectTimeoutMs)
        : served.netns.dial(LOOPBACK[familyOf(ip)], port, TUNNEL.connectTimeoutMs);
    const app = openStream(dialling instanceof Promise ? await dialling : dialling);
    // The app may have taken its time: a policy that came meanwhile answers, not a 200 that is cut at once.
    if (cut.reason !== null) {
      app.reset();
      throw cut.reason;
    }
    if (way.proxied !== undefined) tellApp(app, remote, way.proxied);
    report.opened(source, path);
    report.ended(source, path, await carry(accept(way.baggage), app, cut));
    return null;
  } catch (error) {
    const refusal = refusalOf(error, 'connect-failed');
    report.ended(source, path, refusedEnd(refusal));
    return refusal;
  } finally {
    served.calls.delete(arrival);
    release();
  }
}

/** Before all bytes of the client: who it is, and what it asked for. */
function tellApp(app: ByteStream, remote: RecordEnd, { dialled, identity }: Proxied): void {
  const header = proxyHeader(remote, dialled, identity);
  app.write(header, 0, header.length);
}

/** Takes the record of an accepted connection that was handed over instead of let in, so that it lets in no other. */
function takeAttestation(
  context: DataContext,
  served: Served,
  { remote, local }: { remote: RecordEnd; local: RecordEnd },
): Attested {
  const flow = {
    netnsCookie: 0n,
    source: remote.ip,
    destination: local.ip,
    sourcePort: remote.port,
    destinationPort: local.port,
  };
  const { attested } = context.effects.maps;
  const origin = attested.get(flow);
  if (origin === null) return { kind: 'none' };
  if (origin.taken !== TAKEN.not || origin.destinationId !== served.enrolment) return { kind: 'other' };
  attested.delete(flow);
  const { sourceId, dialled, dialledPort } = origin;
  return { kind: 'opened', sourceId, dialled: { ip: dialled ?? local.ip, port: dialledPort }, vip: dialled };
}
