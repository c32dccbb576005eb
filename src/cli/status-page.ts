import type { AgentStatus } from '#protocol/api/agent.ts';
import type { FindingStatus } from '#protocol/api/control.ts';
import { formatData } from './command.ts';
import { complaintsOf, type NodeReport, type StatusOptions, type StatusReport, workloadsOf } from './status.ts';
import { formatMoment, formatTable } from './text-format.ts';

/** What `weft status` prints: for a person, sections that have something to say, divided by empty lines; `wide` has more columns. */
export async function formatStatus(report: StatusReport, output: StatusOptions['output'] = 'table'): Promise<string> {
  if (output === 'json' || output === 'yaml') return formatData(report, output);
  const isWide = output === 'wide';
  const sections = [
    section('Nodes', nodeTable(report, isWide)),
    section('Control plane', controlTable(report)),
    section('Replica', replicaTable(report)),
    section('Waypoints', waypointTable(report)),
    section('Clients', isWide ? clientTable(report) : ''),
    section('Workloads', workloadTable(report, isWide)),
    section('Certificates', certificateTable(report)),
    section('Findings', report.control.kind === 'up' ? report.control.status.findings.map(formatFinding).join('') : ''),
    section('Out of date', complaints(report)),
  ];
  return sections.filter((text) => text !== '').join('\n');
}

function section(title: string, body: string): string {
  return body === '' ? '' : `${title}\n${body.replace(/^(?=.)/gm, '  ')}`;
}

function nodeTable({ nodes, nowMs }: StatusReport, isWide: boolean): string {
  const header = [
    'NODE',
    'AGENT',
    'CONTROL PLANE',
    'SYNCED',
    'ENROLLED',
    'DIRECT FLOWS',
    'VERDICTS',
    'UDP BETWEEN NODES',
    'METRICS',
    ...(isWide ? ['SPLICE READERS', 'ON DEMAND'] : []),
  ];
  return formatTable(
    header,
    nodes.map((report) => nodeRow(report, nowMs, isWide)),
  );
}

function nodeRow(report: NodeReport, nowMs: number, isWide: boolean): string[] {
  if (report.kind === 'down') return [report.node, 'down'];
  const { node, version, pid, controlPlane, enrolled, kernel, metrics, udpBetweenNodes, lookups } = report.status;
  return [
    node,
    `${version}, pid ${pid}`,
    `${controlPlane.address} ${controlPlane.connected ? 'connected' : 'away'}`,
    controlPlane.syncedAt === null ? 'never' : formatMoment(Date.parse(controlPlane.syncedAt), nowMs),
    String(enrolled.length),
    String(kernel.liveDirectFlows),
    String(kernel.verdicts),
    udpBetweenNodes ?? 'refuse',
    metrics ?? 'none',
    ...(isWide ? [kernel.spliceReaders ?? 'unknown', lookupsText(lookups)] : []),
  ];
}

function lookupsText(lookups: AgentStatus['lookups']): string {
  if (lookups === undefined) return 'no';
  return `${lookups.known} known, ${lookups.unknown} of nobody, ${lookups.open} open`;
}

function controlTable({ control, nowMs }: StatusReport): string {
  if (control.kind === 'absent') return '';
  if (control.kind === 'down') return 'down\n';
  const { address, trustDomain, startedAt, pid, resources, connections } = control.status;
  const started = formatMoment(Date.parse(startedAt), nowMs);
  const counts = [resources.addresses, resources.policies, connections.length].map(String);
  return formatTable(
    ['ADDRESS', 'TRUST DOMAIN', 'STARTED', 'PID', 'ADDRESSES', 'POLICIES', 'CLIENTS'],
    [[address, trustDomain, started, String(pid), ...counts]],
  );
}

/** How this control plane stands among others over one store; nothing where there are none. */
function replicaTable({ control }: StatusReport): string {
  const replica = control.kind === 'up' ? control.status.replica : null;
  if (replica === null) return '';
  const { name, role, leader, members, store, revision } = replica;
  return formatTable(
    ['NAME', 'ROLE', 'LEADER', 'MEMBERS', 'STORE', 'REVISION'],
    [[name, role, leader ?? 'none', members.join(' '), store, revision]],
  );
}

function waypointTable({ control }: StatusReport): string {
  const waypoints = control.kind === 'up' ? control.status.waypoints : [];
  return formatTable(
    ['WAYPOINT', 'STATE', 'READY', 'RESTARTS'],
    waypoints.map(({ namespace, gateway, state, ready, restarts }) => [
      `${namespace}/${gateway}`,
      state,
      ready ? 'yes' : 'no',
      String(restarts),
    ]),
  );
}

/** Open discovery streams, and whether each has everything. */
function clientTable({ control, nowMs }: StatusReport): string {
  const connections = control.kind === 'up' ? control.status.connections : [];
  return formatTable(
    ['CLIENT', 'FROM', 'CONNECTED', 'UP TO DATE'],
    connections.map(({ node, namespace, serviceAccount, peer, connectedAt, upToDate }) => [
      node === '' ? `${namespace}/${serviceAccount}` : `node ${node}`,
      peer,
      formatMoment(Date.parse(connectedAt), nowMs),
      upToDate ? 'yes' : 'no',
    ]),
  );
}

function workloadTable(report: StatusReport, isWide: boolean): string {
  const rows = workloadsOf(report).map(({ uid, node, path, identity, addresses }) => [
    nameOf(uid),
    node,
    path,
    identity,
    addresses.join(', '),
    ...(isWide ? [uid] : []),
  ]);
  return formatTable(['WORKLOAD', 'NODE', 'PATH', 'IDENTITY', 'ADDRESSES', ...(isWide ? ['UID'] : [])], rows);
}

/** `<cluster>/<group>/<kind>/<namespace>/<name>…`: the cluster and the kind say nothing new to a reader. */
function nameOf(uid: string): string {
  const parts = uid.split('/');
  return parts.length >= 5 ? parts.slice(3).join('/') : uid;
}

function certificateTable({ nodes, nowMs }: StatusReport): string {
  const rows = nodes.flatMap((report) =>
    report.kind === 'down'
      ? []
      : report.status.certificates.map(({ identity, notAfter, renewing, error }) => [
          identity,
          report.status.node,
          notAfter === '' ? 'not yet there' : formatMoment(Date.parse(notAfter), nowMs),
          error !== null ? 'failing' : renewing ? 'renewing' : 'valid',
        ]),
  );
  return formatTable(['IDENTITY', 'NODE', 'EXPIRES', 'STATE'], rows);
}

/** One finding with its place and remedy; an object's name, which the sentence begins with, is its place. */
export function formatFinding({ severity, origin, resource, fieldPath, message, remedy, code }: FindingStatus): string {
  const place = origin.kind === 'file' ? `${origin.file}:${origin.line}: ` : '';
  const subject = [resource, fieldPath].filter((part) => part !== '').join(' ');
  return `${place}${severity}: ${subject}${subject === '' ? '' : ': '}${message} [${code}]\n  remedy: ${remedy}\n`;
}

function complaints(report: StatusReport): string {
  const sentences = complaintsOf(report);
  return sentences.length === 0 ? 'nothing\n' : sentences.map((sentence) => `${sentence}\n`).join('');
}
