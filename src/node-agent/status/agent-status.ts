import { formatIdentity } from '#model/identity/identity.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { identityOf } from '#model/mesh/workload.ts';
import { decideOutbound } from '#model/path/decide.ts';
import { AGENT } from '#model/settings/agents.ts';
import type { Enrollment } from '#node-agent/enrollment/enrollment.ts';
import type { AgentStatus } from '#protocol/api/agent.ts';

/** The agent, as far as its status shows it. */
export type ShownAgent = { mesh: MeshState; enrollment: Pick<Enrollment, 'all' | 'get'>; generation: number };

/** What a status is made of. */
export type StatusParts = {
  node: string;
  version: string;
  pid: number;
  agent: ShownAgent;
  certificates: AgentStatus['certificates'];
  controlPlane: AgentStatus['controlPlane'];
  degraded: string[];
  metrics: string | null;
  kernel: { pinDir: string; liveDirectFlows: number; verdicts: number; counters: Record<string, number> };
};

/** What `weft status` shows of an agent. */
export function agentStatus(parts: StatusParts): AgentStatus {
  const { agent } = parts;
  const { services, policies } = agent.mesh.counts;
  return {
    node: parts.node,
    version: parts.version,
    pid: parts.pid,
    certificates: parts.certificates,
    controlPlane: parts.controlPlane,
    enrolled: agent.enrollment.all().map(({ request, addresses }) => {
      const known = agent.mesh.workload(request.uid) !== null;
      const { uid, name, namespace, serviceAccount } = request;
      const problem = known ? null : 'the control plane does not know this workload yet';
      return { uid, name, namespace, serviceAccount, addresses: [...addresses], ready: known, problem };
    }),
    workloads: knownWorkloads(agent),
    services,
    policies,
    kernel: { generation: agent.generation, ...parts.kernel },
    degraded: parts.degraded,
    metrics: parts.metrics,
  };
}

/** Each workload with the path that a connection from this node to its address takes. */
function knownWorkloads(agent: ShownAgent): AgentStatus['workloads'] {
  const listed: AgentStatus['workloads'] = [];
  const isLocal = (uid: string): boolean => agent.enrollment.get(uid) !== null;
  const source = agent.enrollment.all().flatMap(({ request }) => agent.mesh.workload(request.uid) ?? [])[0];
  for (const workload of agent.mesh.workloads()) {
    if (listed.length === AGENT.listedMax) break;
    const [ip] = workload.addresses;
    const path =
      ip === undefined || source === undefined
        ? null
        : decideOutbound({ source, dialled: { ip, port: 1 }, chosen: null }, { mesh: agent.mesh, isLocal, random: () => 0 });
    listed.push({
      uid: workload.uid,
      identity: formatIdentity(identityOf(workload)),
      node: workload.node,
      addresses: [...workload.addresses],
      path: path === null ? 'unknown' : path.kind === 'local' ? 'direct' : path.kind === 'plain' ? 'plaintext' : path.kind,
    });
  }
  return listed;
}
