import { type Membership, podMembership } from '#model/mesh/membership.ts';
import { PORT } from '#model/mesh/ports.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import { type ApiCalls, apiCallFindings, type CalledPod } from './api-calls.ts';
import { type CheckFinding, found } from './finding.ts';

type Labels = Readonly<Record<string, string>>;

/** A part of the mesh, as the API server counts its pods. */
export type ClusterPart = { name: string; wanted: number; ready: number };
/** A pod of the cluster. `agoMs`: since when it runs; null: it does not. `isMarked`: it says that it is captured. */
export type ClusterPod = CalledPod & {
  node: string;
  agoMs: number | null;
  isMarked: boolean;
  hostNetwork: boolean;
  hasSidecar: boolean;
};
/** A NetworkPolicy on what comes in. `selects`: labels of its pods; null: by expressions, which are not judged. `ports`: of each rule; null: all of them. */
export type ClusterPolicy = { namespace: string; name: string; selects: Labels | null; ports: readonly ClusterPorts[] };
/** TCP ports that a rule lets in, both ends included; null: every port. */
export type ClusterPorts = readonly { from: number; to: number }[] | null;

/** What of a cluster is looked at. */
export type ClusterFacts = {
  /** Of the API server. */
  version: { major: number; minor: number };
  hasGateways: boolean;
  /** Value of the pod security that the namespace of the mesh enforces; null: none, or no namespace. */
  security: string | null;
  /** DaemonSets of other meshes that capture by the label, by namespace and name. */
  otherAgents: readonly string[];
  control: ClusterPart | null;
  agents: ClusterPart | null;
  /** Who holds the Lease; '': nobody. */
  leader: string;
  /** Linux nodes that are ready. */
  nodes: readonly string[];
  /** Nodes of agents that are ready. */
  agentNodes: ReadonlySet<string>;
  /** Images of control planes and agents that run. */
  images: ReadonlySet<string>;
  namespaces: ReadonlyMap<string, Labels>;
  pods: readonly ClusterPod[];
  policies: readonly ClusterPolicy[];
  apiCalls: ApiCalls;
};

/** Fixed by Kubernetes: the first with ValidatingAdmissionPolicy as `v1`, and with AppArmor as a field of a container. */
const OLDEST_MINOR = 30;
/** Fixed by Kubernetes: the one level of pod security that lets a pod have what is its node's. */
const PRIVILEGED = 'privileged';

/** Everything that is wrong with a cluster and the mesh on it. */
export function clusterFindings(facts: ClusterFacts): CheckFinding[] {
  const own = facts.pods.filter((pod) => membershipOf(pod, facts.namespaces).isIn);
  const calls = apiCallFindings(facts.apiCalls, own);
  return [...ofCluster(facts), ...ofParts(facts), ...ofLabels(facts), ...ofPods(facts), ...ofPolicies(facts), ...calls];
}

function ofCluster({ version, hasGateways, security, otherAgents, namespaces }: ClusterFacts): CheckFinding[] {
  const findings: CheckFinding[] = [];
  const { major, minor } = version;
  if (major === 1 && minor < OLDEST_MINOR)
    findings.push(found('WEFT_CHECK_CLUSTER_VERSION', `the API server is of Kubernetes ${major}.${minor}`));
  if (!hasGateways) findings.push(found('WEFT_CHECK_CLUSTER_DEFINITIONS', 'there is no definition of gateways'));
  if (security !== null && security !== PRIVILEGED)
    findings.push(found('WEFT_CHECK_CLUSTER_SECURITY', `namespace istio-system enforces "${security}"`));
  const shared = [...namespaces].filter(([, labels]) => labels['istio.io/dataplane-mode'] === 'ambient').map(([name]) => name);
  for (const agents of otherAgents) {
    if (shared.length === 0) continue;
    findings.push(found('WEFT_CHECK_CLUSTER_OTHER_MESH', `${agents} runs here, and so captures pods of ${shared.join(', ')}`));
  }
  return findings;
}

function ofParts({ control, agents, leader, nodes, agentNodes, images }: ClusterFacts): CheckFinding[] {
  const findings: CheckFinding[] = [];
  for (const [part, what] of [
    [control, 'Deployment weft-control'],
    [agents, 'DaemonSet weft-agent'],
  ] as const) {
    if (part === null) findings.push(found('WEFT_CHECK_CLUSTER_ABSENT', `there is no ${what} in namespace istio-system`));
    else if (part.ready < part.wanted)
      findings.push(found('WEFT_CHECK_CLUSTER_NOT_READY', `${part.ready} of ${part.wanted} pods of ${part.name} are ready`));
  }
  if (control !== null && leader === '')
    findings.push(found('WEFT_CHECK_CLUSTER_NO_LEADER', 'nobody holds the Lease weft-control'));
  if (agents === null) return findings;
  for (const node of nodes)
    if (!agentNodes.has(node)) findings.push(found('WEFT_CHECK_CLUSTER_NODE', `no agent is ready on node ${node}`));
  if (images.size > 1) findings.push(found('WEFT_CHECK_CLUSTER_IMAGES', `there are ${[...images].sort().join(', ')}`));
  return findings;
}

function ofLabels({ namespaces }: ClusterFacts): CheckFinding[] {
  return [...namespaces].flatMap(([name, namespaceLabels]) => {
    const facts = { namespace: name, labels: {}, namespaceLabels, hostNetwork: false, hasSidecar: false };
    const problem = problemOf(podMembership(facts));
    return problem === null ? [] : [found('WEFT_CHECK_CLUSTER_LABEL', `of namespace ${name}, ${problem}`)];
  });
}

function ofPods({ agents, pods, namespaces, agentNodes }: ClusterFacts): CheckFinding[] {
  return pods.flatMap((pod) => {
    const membership = membershipOf(pod, namespaces);
    const who = `${pod.namespace}/${pod.name} on node ${pod.node}`;
    const own = problemOf(membership);
    if (own !== null && pod.labels['istio.io/dataplane-mode'] !== undefined)
      return [found('WEFT_CHECK_CLUSTER_LABEL', `of pod ${who}, ${own}`)];
    if (pod.isMarked && !(membership.isIn && agentNodes.has(pod.node)))
      return [
        found(
          'WEFT_CHECK_CLUSTER_MARK',
          `pod ${who} has the annotation, and ${membership.isIn ? 'its node has no agent' : 'is not meant for the mesh'}`,
        ),
      ];
    // Without agents nobody takes it in, and that is told.
    const isLate = agents !== null && pod.agoMs !== null && pod.agoMs > KUBERNETES.takenInMs;
    return membership.isIn && !pod.isMarked && isLate ? [found('WEFT_CHECK_CLUSTER_POD', `pod ${who} is not in the mesh`)] : [];
  });
}

/** What lets a port in is said by all policies of a pod together: one of them is enough. */
function ofPolicies({ policies, pods, namespaces }: ClusterFacts): CheckFinding[] {
  const findings: CheckFinding[] = [];
  const told = new Set<ClusterPolicy>();
  for (const pod of pods) {
    if (!membershipOf(pod, namespaces).isIn) continue;
    const own = policies.filter((policy) => selects(policy, pod));
    if (own.some(({ selects: by }) => by === null)) continue;
    if (own.some(({ ports }) => ports.some(letsTunnelsIn))) continue;
    for (const policy of own) {
      if (told.has(policy)) continue;
      told.add(policy);
      const message = `${policy.namespace}/${policy.name} lets nobody in by port ${PORT.hbone} of pod ${pod.name}`;
      findings.push(found('WEFT_CHECK_CLUSTER_POLICY', message));
    }
  }
  return findings;
}

function selects({ namespace, selects: by }: ClusterPolicy, pod: ClusterPod): boolean {
  if (namespace !== pod.namespace) return false;
  return by === null || Object.entries(by).every(([name, value]) => pod.labels[name] === value);
}

function letsTunnelsIn(ports: ClusterPorts): boolean {
  return ports === null || ports.some(({ from, to }) => from <= PORT.hbone && PORT.hbone <= to);
}

function membershipOf(pod: ClusterPod, namespaces: ReadonlyMap<string, Labels>): Membership {
  return podMembership({ ...pod, namespaceLabels: namespaces.get(pod.namespace) ?? {} });
}

function problemOf(membership: Membership): string | null {
  return membership.isIn ? null : membership.problem;
}
