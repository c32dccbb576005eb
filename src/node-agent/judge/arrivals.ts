import { type IpAddress, splitHostPort, tryParseIp } from '#model/address/ip.ts';
import { formatIdentity, type Identity } from '#model/identity/identity.ts';
import { RESERVED_PORTS } from '#model/mesh/ports.ts';
import { type Service, serviceKeyOf } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { decideOutbound } from '#model/path/decide.ts';
import {
  type Connection,
  connectionOf,
  decideL4,
  dryRunL4,
  isUndecided,
  type L4Policies,
  NO_POLICIES,
  policiesFor,
} from '#model/policy/l4.ts';
import { NO_PATH, type RecordEnd, type RecordPath, type RecordSource } from '#model/telemetry/access-record.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';
import { baggageTextOf } from '#model/telemetry/propagation.ts';
import type { Enrolled } from '#node-agent/enrollment/enrollment.ts';
import { isInClear } from '#node-agent/enrollment/local-records.ts';
import type { Question, Way } from '#node-agent/seam/messages.ts';
import {
  allowedBy,
  type Grounds,
  type Judged,
  noGrounds,
  type Pair,
  refused,
  refusedChoice,
  told,
  unknownWorkload,
} from './answers.ts';
import type { JudgeView } from './outbound.ts';
import { tunnelTarget } from './tunnel-target.ts';

type Tunnel = Extract<Question, { kind: 'tunnel' }>;
type Plaintext = Extract<Question, { kind: 'plaintext' }>;

/** Who opened a connection; both null: a peer without identity. */
type Opener = { readonly workload: Workload | null; readonly identity: Identity | null };

/**
 * Whether a CONNECT for a workload of this node is served, and where. The peer is who its certificate says; what its headers
 * say is for the app and the log, within what that identity may claim. `known`: the workload's own record.
 */
export function judgeTunnel(view: JudgeView, question: Tunnel, enrolled: Enrolled, known: Workload | null): Judged {
  const { peer, remote, local, authority, host } = question;
  const asked = known === null ? null : tunnelTarget(view.mesh, known, question);
  const source = { workload: known === null ? null : told(view.mesh.workloadByIp(remote)), identity: peer };
  const path = {
    ...NO_PATH,
    via: 'hbone' as const,
    end: { ip: local, port: asked === null || asked instanceof Refusal ? 0 : asked.port },
    authority,
    service: known === null ? null : dialledService(view, known, host),
    workload: told(known),
    identity: enrolled.identity,
  };
  if (known === null || asked === null) return refused(source, path, unknownWorkload(), false);
  const name = splitHostPort(authority)?.host ?? '';
  view.unansweredArrival(known, remote); // for the log, which tells it of the next one: nobody waits for that
  const missing = tryParseIp(name) === local ? null : view.unansweredArrival(known, name);
  if (missing !== null) return refused(source, path, missing.refusal, missing.isSettled);
  if (asked instanceof Refusal) return refused(source, path, asked);
  const grounds = arrivalGrounds(known, remote);
  for (const one of [host, tryParseIp(name) === null ? name : null]) if (one !== null) grounds.hostnames.add(one);
  // Whose waypoint this is, and what its app is told of a name, other records say.
  grounds.isBroad = asked.isElsewhere || asked.dialled !== null;
  const connection = connectionOf(peer, remote, path.end);
  const baggage = baggageTextOf(known);
  const policies = policiesFor(view.mesh, known);
  const proxied = asked.dialled === null ? null : { dialled: asked.dialled, identity: formatIdentity(peer) };
  return arrival({ enrolled, policies, source, path, target: path.end, connection, baggage, proxied, grounds, pairs: [] });
}

/**
 * Whether a connection that the kernel handed over is let in: plain text, for which policy decides without an identity, or one
 * of this node that was decided by older policies than those in force, which is judged as its opener's.
 */
export function judgePlaintext(view: JudgeView, question: Plaintext, enrolled: Enrolled, known: Workload | null): Judged {
  const { client, target, attested } = question;
  const nobody = { workload: null, identity: null };
  // Before anything else: a connection to our own listeners would come back here, again and again.
  if (RESERVED_PORTS.has(target.port)) return refused(nobody, { ...NO_PATH, end: target }, recursion());
  if (known === null) return refused(nobody, { ...NO_PATH, end: target }, unknownWorkload(), false);
  const opened = openerOf(view, question);
  if (opened.kind === 'refused') return refused(nobody, { ...NO_PATH, end: target }, opened.refusal, opened.isSettled);
  const { opener } = opened;
  const grounds = arrivalGrounds(known, client);
  const isOpened = attested.kind === 'opened';
  if (isOpened) grounds.isBroad = true;
  const vip = isOpened ? attested.vip : null;
  const service = vip === null ? null : view.mesh.serviceByVip(vip, opener.identity?.namespace ?? null);
  const isPast = attested.kind === 'none' && isInClear(enrolled);
  const judged = arrival({
    enrolled,
    policies: isPast ? NO_POLICIES : policiesFor(view.mesh, known),
    source: { workload: told(opener.workload), identity: opener.identity },
    path: { ...NO_PATH, via: isOpened ? 'local' : 'plain', end: target, service, workload: told(known) },
    target,
    connection: connectionOf(opener.identity, client, target),
    baggage: '',
    proxied: null,
    grounds,
    // The next SYN to this port is then decided in the kernel, for STRICT with ECONNREFUSED instead of a reset.
    pairs: isPast ? [] : [{ source: opener.workload, destination: known, port: target.port, isDirect: true }],
  });
  return question.clientPort === 0 || isOpened ? judged : probed(view, question, enrolled, judged);
}

/**
 * A connection to a port that the kubelet connects to: that one is no peer of the mesh, has no identity, and must hear how the pod is
 * whatever policy says of strangers. Everybody else is judged as ever, and nobody is told what another got.
 */
function probed(view: JudgeView, { client, clientPort, target }: Plaintext, { id }: Enrolled, judged: Judged): Judged {
  const [choice] = judged.answer.choices;
  const isRefused = choice !== undefined && choice.way.kind === 'refused';
  if (!isRefused || !view.isOfKubelet({ ip: client, port: clientPort }, target)) return { ...judged, keeps: false };
  const way = { kind: 'app', enrolment: id, target, as: null, peer: null, baggage: '' } as const;
  const answer = { ...judged.answer, choices: [{ ...choice, way, dryRun: [] }] };
  // Not judged again: it is over in a moment, and no policy is about it.
  return { ...judged, answer, rights: [null], pairs: [], isSettled: true, keeps: false };
}

/** A connection that arrived and whose target is known. */
type Arrival = {
  enrolled: Enrolled;
  policies: L4Policies;
  source: Pick<RecordSource, 'workload' | 'identity'>;
  path: RecordPath;
  target: RecordEnd;
  connection: Connection;
  baggage: string;
  proxied: Extract<Way, { kind: 'app' }>['proxied'] | null;
  grounds: Grounds;
  pairs: readonly Pair[];
};

function arrival({ enrolled, policies, source, path, target, connection, baggage, proxied, ...more }: Arrival): Judged {
  const decision = decideL4(policies, connection);
  const dryRun = dryRunL4(policies, connection);
  const isSettled = !isUndecided(policies, decision);
  if (!decision.allowed) {
    const choice = refusedChoice(path, new Refusal('policy', decision.reason, decision));
    return { answer: { source, choices: [{ ...choice, dryRun }] }, rights: [null], ...more, isSettled, keeps: true };
  }
  const app = { kind: 'app', enrolment: enrolled.id, target, as: null, peer: null, baggage } as const;
  const way = proxied ? { ...app, proxied } : app;
  const isJudged = policies !== NO_POLICIES; // what passed them by is not judged by them later either
  const right = isJudged ? ({ kind: 'arriving', connection, destinationUid: enrolled.request.uid } as const) : null;
  const choice = { weight: 1, way, path: { ...path, ...allowedBy(decision) }, dryRun, endpoint: null };
  return { answer: { source, choices: [choice] }, rights: [right], ...more, isSettled, keeps: true };
}

function arrivalGrounds(known: Workload, remote: IpAddress): Grounds {
  const grounds = noGrounds();
  grounds.workloads.add(known.uid);
  grounds.ips.add(remote);
  for (const ip of known.addresses) grounds.ips.add(ip);
  return grounds;
}

/** The service that the client says it dialled, if this workload is behind it: for the log, nothing is decided by it (B14). */
function dialledService(view: JudgeView, workload: Workload, host: string | null): Service | null {
  const named = host === null ? [] : view.mesh.servicesByHostname(host);
  return named.find((service) => workload.services.has(serviceKeyOf(service))) ?? null;
}

type Opened =
  | { readonly kind: 'known'; readonly opener: Opener }
  | { readonly kind: 'refused'; readonly refusal: Refusal; readonly isSettled: boolean };

/**
 * Whom policy judges; and whether what was dialled still leads here, and not to a waypoint by now. From an address of this
 * node there must be a record, and it must mean this very enrolment: such a connection is never plain text.
 */
function openerOf(view: JudgeView, { client, target, attested }: Plaintext): Opened {
  if (attested.kind === 'other') return notAttested('its record is of another connection');
  if (attested.kind === 'none')
    return view.enrollment.byAddress(client) === null
      ? { kind: 'known', opener: { workload: null, identity: null } }
      : notAttested('the kernel has no record of it');
  const opener = view.enrollment.byId(attested.sourceId);
  if (opener === null) return refusedOpener(new Refusal('workload-left', 'the workload that opened it left the mesh'));
  const workload = view.records.of(opener);
  if (workload === null) {
    const refusal = new Refusal('unknown-workload', 'the control plane does not know the workload that opened it');
    return { kind: 'refused', refusal, isSettled: false };
  }
  const missing = view.unanswered(workload, attested.dialled.ip);
  if (missing !== null) return { kind: 'refused', ...missing };
  const isLocal = (uid: string): boolean => view.records.isLocal(uid);
  const question = { source: workload, dialled: attested.dialled, chosen: target };
  const path = decideOutbound(question, { mesh: view.mesh, isLocal, random: view.random });
  if (path.kind === 'refused') return refusedOpener(new Refusal(path.cause, path.reason));
  if (path.kind !== 'local' || path.ip !== target.ip || path.port !== target.port)
    return notAttested(`what was dialled leads elsewhere by now (${path.kind})`);
  return { kind: 'known', opener: { workload, identity: opener.identity } };
}

function refusedOpener(refusal: Refusal): Opened {
  return { kind: 'refused', refusal, isSettled: true };
}

function notAttested(why: string): Opened {
  return refusedOpener(new Refusal('not-attested', `a connection of this node that is not attested: ${why}`));
}

function recursion(): Refusal {
  return new Refusal('reserved-port', 'attempted recursive call to ourselves');
}
