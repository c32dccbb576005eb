import { formatIdentity } from '#model/identity/identity.ts';
import type { KernelMaps } from '#model/kernel/maps.ts';
import { formatPublication } from '#model/launch/publication.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { identityOf } from '#model/mesh/workload.ts';
import { decideOutbound } from '#model/path/decide.ts';
import { AGENT } from '#model/settings/agents.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import type { Enrolled, Enrollment, EnrollmentRequest } from '#node-agent/enrollment/enrollment.ts';
import type { LocalRecords } from '#node-agent/enrollment/local-records.ts';
import type { AgentStatus, SpliceReaders } from '#protocol/api/agent.ts';

/** The agent, as far as its status shows it. */
export type ShownAgent = {
  mesh: MeshState;
  records: Pick<LocalRecords, 'of' | 'all' | 'isLocal'>;
  enrollment: Pick<Enrollment, 'all'>;
  generation: number;
  /** Null: nothing is asked for on demand. */
  readonly demand: { readonly counts: NonNullable<AgentStatus['lookups']> } | null;
};

/** Kinds of paths that a person knows by another name; `direct`: once the kernel has the verdict. */
const SHOWN_AS: Readonly<Record<string, string>> = { local: 'direct', plain: 'plaintext' };

/** What a status is made of: what the parts of an agent say of themselves, as they say it. */
export type StatusParts = {
  node: string;
  version: string;
  pid: number;
  agent: ShownAgent;
  /** Uid → why the control plane does not take the workload. */
  refused: ReadonlyMap<string, string>;
  isDraining: (uid: string) => boolean;
  /** Workloads of this node that belong into the mesh and are not in it; `problem`: why, and what that means for them. */
  outside: readonly { request: EnrollmentRequest; problem: string }[];
  /** Null: not given yet. */
  certificates: readonly { identity: string; notAfterMs: number | null; renewing: boolean; error: string | null }[];
  controlPlane: { address: string; connected: boolean; syncedAtMs: number | null; error: string | null };
  /** What of the service is lost on this machine. */
  degraded: string[];
  datagramsClear: boolean;
  /** Where the metrics are served; null: nowhere. */
  metrics: string | null;
  maps: Pick<KernelMaps, 'flows' | 'verdicts'>;
  pinDir: string;
  counters: Record<string, number>;
  spliceReaders: SpliceReaders;
};

/** How long the token of a node is good for; `issuedMs` null: it does not say since when. */
export type TokenTerm = { issuedMs: number | null; untilMs: number };

/** One that lives for days is made anew by whoever made it so short: only the last part of its time is short. */
const LAST_PART = 3;
/** One that lives for hours is a cluster's, whose kubelets make the next one when a fifth of its time is left. */
const LAST_PART_OF_HOURS = 10;
/** Fixed by the calendar. */
const DAY_MS = 86_400_000;

/** What is to be done about the token of a node, as a sentence; none while it has long to live, or nobody can tell. */
export function tokenComplaint(node: string, term: TokenTerm | null, nowMs: number): string[] {
  if (term === null) return [];
  const { issuedMs, untilMs } = term;
  const lifeMs = issuedMs === null ? Number.POSITIVE_INFINITY : untilMs - issuedMs;
  const lastMs = lifeMs / (lifeMs < DAY_MS ? LAST_PART_OF_HOURS : LAST_PART);
  if (untilMs - nowMs > Math.min(CERTIFICATE.agentTokenWarnMs, lastMs)) return [];
  const until = new Date(untilMs).toISOString().slice(0, '2026-01-01T00:00'.length);
  const end = untilMs <= nowMs ? `ended ${until}` : `ends ${until}`;
  return [`its token ${end}, and without one it is cut off: make another with weft token ${node}, and replace its file`];
}

/** What `weft status` shows of an agent. */
export function agentStatus(parts: StatusParts): AgentStatus {
  const { agent, controlPlane, maps } = parts;
  const { services, policies } = agent.mesh.counts;
  return {
    node: parts.node,
    version: parts.version,
    pid: parts.pid,
    certificates: parts.certificates.map(({ notAfterMs, ...one }) => ({ ...one, notAfter: timeText(notAfterMs) ?? '' })),
    controlPlane: {
      address: controlPlane.address,
      connected: controlPlane.connected,
      syncedAt: timeText(controlPlane.syncedAtMs),
      error: controlPlane.error,
    },
    enrolled: [
      ...agent.enrollment.all().map((one) => ({
        ...shown(one.request, parts.refused.get(one.request.uid) ?? problemOf(agent, one)),
        draining: parts.isDraining(one.request.uid),
      })),
      ...parts.outside.map(({ request, problem }) => shown(request, problem)),
    ],
    workloads: knownWorkloads(agent),
    services,
    policies,
    kernel: {
      pinDir: parts.pinDir,
      generation: agent.generation,
      liveDirectFlows: maps.flows.entries().length,
      verdicts: maps.verdicts.entries().length,
      counters: parts.counters,
      spliceReaders: parts.spliceReaders,
    },
    degraded: parts.degraded,
    udpBetweenNodes: parts.datagramsClear ? 'allow-plaintext' : 'refuse',
    ...(agent.demand === null ? {} : { lookups: agent.demand.counts }),
    metrics: parts.metrics,
  };
}

function shown(request: EnrollmentRequest, problem: string | null): AgentStatus['enrolled'][number] {
  const { uid, name, namespace, serviceAccount, addresses, published = [] } = request;
  const shown = { addresses: [...addresses], published: published.map(formatPublication) };
  return { uid, name, namespace, serviceAccount, ...shown, ready: problem === null, problem };
}

function problemOf({ mesh, records }: ShownAgent, enrolled: Enrolled): string | null {
  if (records.of(enrolled) !== null) return null;
  return mesh.workload(enrolled.request.uid) === null
    ? 'the control plane does not know this workload yet'
    : 'the control plane still has the record of a former workload of this name';
}

function timeText(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

/**
 * Each workload with the path that a connection from this node to its address takes: the answer of the same decision that
 * a connection gets, asked for the first workload enrolled here. Without one there is nobody to ask for.
 */
function knownWorkloads(agent: ShownAgent): AgentStatus['workloads'] {
  const listed: AgentStatus['workloads'] = [];
  const isLocal = (uid: string): boolean => agent.records.isLocal(uid);
  const [source] = agent.records.all();
  for (const workload of agent.mesh.workloads()) {
    if (listed.length === AGENT.listedMax) break;
    const [ip] = workload.addresses;
    const path =
      ip === undefined || source === undefined
        ? null // a pod address has no list of ports, so any port gives the path
        : decideOutbound({ source, dialled: { ip, port: 1 }, chosen: null }, { mesh: agent.mesh, isLocal, random: () => 0 });
    listed.push({
      uid: workload.uid,
      identity: formatIdentity(identityOf(workload)),
      node: workload.node,
      addresses: [...workload.addresses],
      path: path === null ? 'unknown' : (SHOWN_AS[path.kind] ?? path.kind),
    });
  }
  return listed;
}
