import { familyOf, type IpAddress } from '#model/address/ip.ts';
import { targetPort } from '#model/balancing/endpoints.ts';
import type { Random } from '#model/effects/clock.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { type Service, serviceKeyOf } from '#model/mesh/service.ts';
import { identityOf, type Workload } from '#model/mesh/workload.ts';
import { type OutboundPath, outboundChoices, type Tried } from '#model/path/decide.ts';
import { type Connection, connectionOf, decideL4, dryRunL4, isUndecided, policiesFor } from '#model/policy/l4.ts';
import { AGENT } from '#model/settings/agents.ts';
import { NO_PATH, type RecordEnd, type RecordPath } from '#model/telemetry/access-record.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';
import { baggageTextOf } from '#model/telemetry/propagation.ts';
import type { Unanswered } from '#node-agent/demand/demand.ts';
import type { Enrolled, Enrollment } from '#node-agent/enrollment/enrollment.ts';
import type { LocalRecords } from '#node-agent/enrollment/local-records.ts';
import type { Choice, Question } from '#node-agent/seam/messages.ts';
import {
  allowedBy,
  type Grounds,
  type Judged,
  noGrounds,
  type Pair,
  type Right,
  refused,
  refusedChoice,
  told,
} from './answers.ts';

/** What questions are answered from. */
export type JudgeView = {
  readonly mesh: MeshState;
  readonly enrollment: Pick<Enrollment, 'get' | 'byId' | 'byAddress'>;
  /** Which records of the mesh are those of this node's enrolments. */
  readonly records: Pick<LocalRecords, 'of' | 'isLocal'>;
  readonly random: Random;
  /** Whether the kubelet of this node has opened a connection, as it does to ask how a pod is. */
  isOfKubelet(client: RecordEnd, target: RecordEnd): boolean;
  /** Whether a workload was answered an address for a name that the mesh knows. */
  isNamed(uid: string, ip: IpAddress, port: number): boolean;
  /** What the control plane is still to be asked for before it is decided where a connection goes; null: nothing. */
  unanswered(source: Workload, ip: IpAddress): Unanswered | null;
  /** The same, before it is decided what a peer that asks a workload of this node for an address or a name means. */
  unansweredArrival(known: Workload, host: string): Unanswered | null;
};

type Outbound = Extract<Question, { kind: 'outbound' }>;
type Tunnelled = Extract<OutboundPath, { kind: 'hbone' | 'waypoint' }>;

/** Who asks, and for what. */
type Asker = { readonly question: Outbound; readonly source: Workload };

/** One choice, what its connections are judged by, and the verdict that the kernel is to remember. */
type JudgedChoice = { readonly choice: Choice; readonly right: Right; readonly pair: Pair | null; readonly isSettled: boolean };

/** Where a connection that a workload of this node opens goes, whether it may, and how. `source`: the record of who opens it. */
export function judgeOutbound(view: JudgeView, question: Outbound, enrolled: Enrolled, source: Workload): Judged {
  const { dialled, chosen, tried } = question;
  const missing = view.unanswered(source, dialled.ip);
  if (missing !== null) {
    const asker = { workload: told(source), identity: enrolled.identity };
    return refused(asker, { ...NO_PATH, end: dialled }, missing.refusal, missing.isSettled);
  }
  const isLocal = (uid: string): boolean => view.records.isLocal(uid);
  const { mesh, random } = view;
  const isNamed = (): boolean => view.isNamed(enrolled.request.uid, dialled.ip, dialled.port);
  const paths = outboundChoices({ source, dialled, chosen, tried }, { mesh, isLocal, isNamed, random }, AGENT.choicesMax);
  // What a name allows ends without a change of the mesh.
  const isLasting = !source.registryOnly || !paths.some(({ path }) => isOfUnknown(path));
  const all = paths.map(({ weight, path }) => {
    const one = judgePath(view, { question, source }, path);
    return { ...one, choice: { ...one.choice, weight } };
  });
  // Where some endpoints can be judged and others not yet, connections go by those that can.
  const settled = all.filter(({ isSettled }) => isSettled);
  const judged = settled.length > 0 ? settled : all;
  return {
    answer: { source: { workload: told(source), identity: enrolled.identity }, choices: judged.map(({ choice }) => choice) },
    rights: judged.map(({ right }) => right),
    grounds: groundsOf(question, source, paths, mesh),
    pairs: judged.flatMap(({ pair }) => pair ?? []),
    isSettled: settled.length > 0,
    keeps: settled.length === all.length && isLasting,
  };
}

/** Whether a path may be otherwise when another name was answered. */
function isOfUnknown(path: OutboundPath): boolean {
  return path.kind === 'passthrough' || (path.kind === 'refused' && path.cause === 'not-registered');
}

function judgePath(view: JudgeView, asker: Asker, outbound: OutboundPath): JudgedChoice {
  const path = recordedPath(outbound, asker.question.dialled);
  switch (outbound.kind) {
    case 'refused': {
      const isSettled = outbound.cause !== 'no-waypoint';
      return { ...closed(path, new Refusal(outbound.cause, outbound.reason)), isSettled };
    }
    case 'passthrough':
    case 'plain': {
      if (view.enrollment.byAddress(outbound.ip) !== null) return unknownOwner(path);
      const way = { kind: 'clear', target: { ip: outbound.ip, port: outbound.port } } as const;
      const endpoint = endpointOf(outbound);
      return { choice: { weight: 1, way, path, dryRun: [], endpoint }, right: null, pair: null, isSettled: true };
    }
    case 'local':
      return judgeLocal(view, asker, path, outbound);
    case 'hbone':
      if (view.enrollment.byAddress(outbound.ip) !== null) return unknownOwner(path);
      return judgeTunnel(view, asker, path, outbound);
    case 'waypoint':
      return judgeTunnel(view, asker, path, outbound);
    default:
      return outbound satisfies never;
  }
}

function closed(path: RecordPath, refusal: Refusal): JudgedChoice {
  return { choice: refusedChoice(path, refusal), right: null, pair: null, isSettled: true };
}

/**
 * An address of this node whose enrolment has no record yet is nobody's that the mesh knows, or somebody's who was there before:
 * neither plain text nor a tunnel may go there.
 */
function unknownOwner(path: RecordPath): JudgedChoice {
  const why = 'the control plane does not know the workload that has this address now';
  return { ...closed(path, new Refusal('unknown-workload', why)), isSettled: false };
}

/** The endpoint of a service, or the instance of a waypoint, that a path leads to; null: what was dialled is that itself. */
function endpointOf(path: OutboundPath): Tried | null {
  if (path.kind === 'waypoint') {
    const { service, workload, tunnel } = path;
    return { service: service === null ? '' : serviceKeyOf(service), uid: workload.uid, ip: tunnel.ip, port: tunnel.port };
  }
  if (path.kind !== 'hbone' && path.kind !== 'local' && path.kind !== 'plain') return null;
  const { service, workload, ip, port } = path;
  return service === null ? null : { service: serviceKeyOf(service), uid: workload.uid, ip, port };
}

/** What policies say. What is remembered is the verdict of the pair, not of this connection: see Verdicts.remember. */
function authorize(view: JudgeView, connection: Connection, source: Workload, destination: Workload) {
  const set = policiesFor(view.mesh, destination);
  const decision = decideL4(set, connection);
  return {
    refusal: decision.allowed ? null : new Refusal('policy', decision.reason, decision),
    allowedBy: allowedBy(decision),
    pair: { source, destination, port: connection.destinationPort, isDirect: view.records.isLocal(destination.uid) },
    isSettled: !isUndecided(set, decision),
    dryRun: () => dryRunL4(set, connection),
  };
}

/** Both ends on this node and no verdict cached: this one connection is carried here, the next goes direct. */
function judgeLocal(
  view: JudgeView,
  { question, source }: Asker,
  path: RecordPath,
  outbound: Extract<OutboundPath, { kind: 'local' }>,
): JudgedChoice {
  const { workload, ip, port } = outbound;
  const destination = view.enrollment.get(workload.uid);
  if (destination === null) return closed(path, new Refusal('workload-left', 'the destination left this node'));
  const client = clientTo(ip, source, question.client);
  const connection = connectionOf(source, client, { ip, port });
  const { refusal, allowedBy, pair, isSettled, dryRun } = authorize(view, connection, source, workload);
  if (refusal !== null) return { ...closed(path, refusal), pair, isSettled };
  const as = client === question.client ? null : client;
  const peer = identityOf(workload);
  const way = { kind: 'app', enrolment: destination.id, target: { ip, port }, as, peer, baggage: '' } as const;
  return {
    choice: { weight: 1, way, path: { ...path, ...allowedBy }, dryRun: dryRun(), endpoint: endpointOf(outbound) },
    right: { kind: 'arriving', connection, destinationUid: workload.uid },
    pair,
    isSettled,
  };
}

function judgeTunnel(view: JudgeView, { question, source }: Asker, path: RecordPath, outbound: Tunnelled): JudgedChoice {
  const { workload: peer, service, tunnel } = outbound;
  const dialled = question.dialled.ip;
  const way = { kind: 'tunnel', tunnel, baggage: baggageTextOf(source) } as const;
  const choice = { weight: 1, way, path, dryRun: [], endpoint: endpointOf(outbound) };
  if (outbound.kind === 'waypoint') {
    // Policies that name the client are the waypoint's to evaluate: the destination sees the waypoint's identity.
    const { waypoint } = outbound;
    const { port: servicePort } = outbound.dialled;
    const past = (endpoint: Workload): Connection | null => connectionPast({ question, source }, service, servicePort, endpoint);
    const right = { kind: 'leaving', connection: null, past, peer, dialled, service, waypoint } as const;
    return { choice, right, pair: null, isSettled: true };
  }
  // The destination evaluates again, and decides. Here it spares a tunnel, and tells the kernel to refuse the next connect().
  const { ip, port } = outbound;
  const connection = connectionOf(source, clientTo(ip, source, question.client), { ip, port });
  const { refusal, pair, isSettled } = authorize(view, connection, source, peer);
  if (refusal !== null) return { ...closed(path, refusal), pair, isSettled };
  const right = { kind: 'leaving', connection, past: () => connection, peer, dialled, service, waypoint: null } as const;
  return { choice, right, pair, isSettled };
}

/** What an endpoint would see of a connection that came to it past the waypoint; null: it has no such port or address. */
function connectionPast(
  { question: { client }, source }: Asker,
  service: Service | null,
  dialledPort: number,
  endpoint: Workload,
): Connection | null {
  const port = service === null ? dialledPort : targetPort(service, endpoint, dialledPort);
  const ip = endpoint.addresses.find((one) => familyOf(one) === familyOf(client)) ?? endpoint.addresses[0];
  return port === null || ip === undefined ? null : connectionOf(source, clientTo(ip, source, client), { ip, port });
}

/** The client as an endpoint of the other family than was dialled sees it: under the address of that family. */
function clientTo(target: IpAddress, { addresses }: Workload, client: IpAddress): IpAddress {
  if (familyOf(target) === familyOf(client)) return client;
  return addresses.find((one) => familyOf(one) === familyOf(target)) ?? client;
}

/** What the access log says of a decision. */
function recordedPath(path: OutboundPath, dialled: RecordEnd): RecordPath {
  switch (path.kind) {
    case 'refused':
      return { ...NO_PATH, end: dialled, service: path.service };
    case 'passthrough':
      return { ...NO_PATH, via: path.kind, end: { ip: path.ip, port: path.port } };
    case 'plain':
    case 'local': {
      const end = { ip: path.ip, port: path.port };
      return { ...NO_PATH, via: path.kind, end, service: path.service, workload: told(path.workload) };
    }
    case 'hbone':
    case 'waypoint': {
      const { service, workload, tunnel } = path;
      const end = { ip: tunnel.ip, port: tunnel.port };
      return { via: path.kind, end, authority: tunnel.authority, service, workload: told(workload), identity: null };
    }
    default:
      return path satisfies never;
  }
}

function groundsOf(
  { dialled }: Outbound,
  source: Workload,
  paths: readonly { readonly path: OutboundPath }[],
  mesh: MeshState,
): Grounds {
  const grounds = noGrounds();
  // Of a route: what it leads to counts for the service it is attached to as well.
  const service = mesh.serviceByVip(dialled.ip, source.namespace);
  if (service !== null) grounds.services.add(serviceKeyOf(service));
  grounds.ips.add(dialled.ip);
  grounds.workloads.add(source.uid);
  for (const { path } of paths) {
    if (path.kind === 'passthrough') continue;
    if (path.service !== null) grounds.services.add(serviceKeyOf(path.service));
    // Which instances a waypoint has, and whether the client is one, is found by names and addresses of its own.
    if (path.kind === 'waypoint' || path.kind === 'refused' || path.workload.waypoint !== null) grounds.isBroad = true;
    else grounds.workloads.add(path.workload.uid);
  }
  return grounds;
}
