import type { ClusterFacts } from '#model/check/cluster.ts';
import { KubernetesConnection } from '#platform/kubernetes/connection.ts';
import { readKubeconfig } from '#platform/kubernetes/kubeconfig.ts';
import { readPages } from '#platform/kubernetes/list-pages.ts';
import { KubernetesObjects } from '#platform/kubernetes/objects.ts';
import { apiCallsOf, calledServiceOf, peerRuleOf } from '#protocol/kubernetes/api-calls.ts';
import { clusterPartOf, clusterPodOf, clusterPolicyOf, imagesOf, isReadyObject } from '#protocol/kubernetes/cluster-facts.ts';
import type { KubeObject, ServedKind } from '#protocol/kubernetes/objects.ts';

const CORE = { group: '', version: 'v1' };
const APPS = { group: 'apps', version: 'v1', namespaced: true };
const NODES: ServedKind = { ...CORE, kind: 'Node', plural: 'nodes', namespaced: false };
const NAMESPACES: ServedKind = { ...CORE, kind: 'Namespace', plural: 'namespaces', namespaced: false };
const PODS: ServedKind = { ...CORE, kind: 'Pod', plural: 'pods', namespaced: true };
const DEPLOYMENTS: ServedKind = { ...APPS, kind: 'Deployment', plural: 'deployments' };
const DAEMON_SETS: ServedKind = { ...APPS, kind: 'DaemonSet', plural: 'daemonsets' };
const LEASES: ServedKind = { group: 'coordination.k8s.io', version: 'v1', kind: 'Lease', plural: 'leases', namespaced: true };
const POLICIES: ServedKind = {
  ...{ group: 'networking.k8s.io', version: 'v1', namespaced: true },
  ...{ kind: 'NetworkPolicy', plural: 'networkpolicies' },
};
const DEFINITIONS: ServedKind = {
  ...{ group: 'apiextensions.k8s.io', version: 'v1', namespaced: false },
  ...{ kind: 'CustomResourceDefinition', plural: 'customresourcedefinitions' },
};

const SERVICES: ServedKind = { ...CORE, kind: 'Service', plural: 'services', namespaced: true };
const HOOKS = { group: 'admissionregistration.k8s.io', version: 'v1', namespaced: false };
/** What makes the API server call others. */
const CALLING: readonly ServedKind[] = [
  { ...HOOKS, kind: 'ValidatingWebhookConfiguration', plural: 'validatingwebhookconfigurations' },
  { ...HOOKS, kind: 'MutatingWebhookConfiguration', plural: 'mutatingwebhookconfigurations' },
  { group: 'apiregistration.k8s.io', version: 'v1', namespaced: false, kind: 'APIService', plural: 'apiservices' },
  DEFINITIONS,
];
const PEERS: ServedKind = {
  ...{ group: 'security.istio.io', version: 'v1', namespaced: true },
  ...{ kind: 'PeerAuthentication', plural: 'peerauthentications' },
};

/** Where `deploy/kubernetes` puts the mesh, and what its parts are called there. */
const SYSTEM = 'istio-system';
const [CONTROL, AGENT] = ['weft-control', 'weft-agent'];
/** Labels of the agents of meshes that read the same label of namespaces. */
const OTHER_AGENTS = ['app=ztunnel', 'k8s-app=istio-cni-node'];
const SECURITY = 'pod-security.kubernetes.io/enforce';

/** What a cluster has, by a kubeconfig. Errors: WEFT_KUBERNETES_ACCESS, WEFT_KUBERNETES_API, WEFT_KUBERNETES_ANSWER. */
export async function surveyCluster(kubeconfig: string, version: string, nowMs: number): Promise<ClusterFacts> {
  const connection = new KubernetesConnection(await readKubeconfig(kubeconfig), version, 'weft-check');
  try {
    return await new Survey(connection).facts(nowMs);
  } finally {
    connection.close();
  }
}

class Survey {
  readonly #connection: KubernetesConnection;
  readonly #objects: KubernetesObjects;

  constructor(connection: KubernetesConnection) {
    this.#connection = connection;
    this.#objects = new KubernetesObjects(connection);
  }

  async facts(nowMs: number): Promise<ClusterFacts> {
    const { major, minor } = (await this.#connection.ask({ method: 'GET', path: '/version' })) as Record<string, string>;
    const part = async (kind: ServedKind, name: string) => {
      const object = await this.#objects.get(kind, { namespace: SYSTEM, name });
      return object === null ? null : clusterPartOf(object);
    };
    const namespaces = await this.#all(NAMESPACES);
    const labels = new Map(namespaces.map(({ metadata }) => [metadata.name, metadata.labels ?? {}]));
    const nodes = await this.#all(NODES, 'kubernetes.io/os=linux');
    const pods = await this.#all(PODS);
    const own = (name: string) =>
      pods.filter(
        ({ metadata }) => metadata.namespace === SYSTEM && metadata.labels?.app === name && !metadata.deletionTimestamp,
      );
    const lease = await this.#objects.get(LEASES, { namespace: SYSTEM, name: CONTROL });
    return {
      version: { major: Number.parseInt(major ?? '', 10), minor: Number.parseInt(minor ?? '', 10) },
      hasGateways: (await this.#objects.get(DEFINITIONS, { namespace: '', name: 'gateways.gateway.networking.k8s.io' })) !== null,
      security: labels.get(SYSTEM)?.[SECURITY] ?? null,
      otherAgents: await this.#otherAgents(),
      control: await part(DEPLOYMENTS, CONTROL),
      agents: await part(DAEMON_SETS, AGENT),
      leader: (lease?.spec as { holderIdentity?: string } | undefined)?.holderIdentity ?? '',
      nodes: nodes.filter(isReadyObject).map(({ metadata }) => metadata.name),
      agentNodes: new Set(
        own(AGENT)
          .filter(isReadyObject)
          .map((pod) => clusterPodOf(pod, nowMs).node),
      ),
      images: new Set([...own(CONTROL), ...own(AGENT)].flatMap(imagesOf)),
      namespaces: labels,
      pods: pods.map((pod) => clusterPodOf(pod, nowMs)),
      policies: (await this.#all(POLICIES)).flatMap((policy) => clusterPolicyOf(policy) ?? []),
      apiCalls: await this.#apiCalls(),
    };
  }

  /** An item of a list has no kind of its own. */
  async #apiCalls(): Promise<ClusterFacts['apiCalls']> {
    const calling = await Promise.all(
      CALLING.map(async (kind) => (await this.#all(kind)).map((object) => ({ ...object, kind: kind.kind }))),
    );
    const calls = calling.flat().flatMap(apiCallsOf);
    const called = await Promise.all(
      calls.map(({ namespace, service: name }) => this.#objects.get(SERVICES, { namespace, name })),
    );
    const services = called.filter((one) => one !== null).map(calledServiceOf);
    const hasPeers = (await this.#objects.get(DEFINITIONS, { namespace: '', name: `${PEERS.plural}.${PEERS.group}` })) !== null;
    return { calls, services, peers: hasPeers ? (await this.#all(PEERS)).map(peerRuleOf) : [] };
  }

  async #otherAgents(): Promise<string[]> {
    const found = await Promise.all(OTHER_AGENTS.map((labelSelector) => this.#all(DAEMON_SETS, labelSelector)));
    return found.flat().map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
  }

  async #all(served: ServedKind, labelSelector = ''): Promise<KubeObject[]> {
    const { group, kind, version } = served;
    const wanted = { group, kind, versions: [version], keep: (object: KubeObject) => object };
    const followed = labelSelector === '' ? wanted : { ...wanted, labelSelector };
    let objects: KubeObject[] = [];
    for await (const page of readPages(this.#connection, served, followed, new AbortController().signal)) {
      objects = page.isFirst ? page.objects : [...objects, ...page.objects];
    }
    return objects;
  }
}
