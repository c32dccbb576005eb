/** Labels of a pod or of a namespace. */
type Labels = Readonly<Record<string, string>>;

/** What of a pod decides whether it is in the mesh. */
export type MembershipFacts = {
  namespace: string;
  labels: Labels;
  namespaceLabels: Labels;
  /** Its network is that of its node. */
  hostNetwork: boolean;
  /** Another mesh has put a proxy beside its containers. */
  hasSidecar: boolean;
};

/** Whether a pod is in the mesh. `problem`: somebody meant it to be, and it cannot; null: nobody did. */
export type Membership = { isIn: true } | { isIn: false; problem: string | null };

/** The label of pods and of namespaces by which they are in a mesh. */
export const DATAPLANE_MODE = 'istio.io/dataplane-mode';
/** The annotation by which a pod says that its traffic is captured. */
export const REDIRECTION = 'ambient.istio.io/redirection';
/** The annotation that Istio's injector leaves on a pod with a proxy. */
export const SIDECAR_STATUS = 'sidecar.istio.io/status';

/** Values of the label that mean this mesh: Istio's own, and one that an Istio beside us does not look at. */
const ENROLLING: readonly string[] = ['weft', 'ambient'];
/** The value that keeps a pod out of a namespace that is in. */
const OUT = 'none';
/** What a cluster, or the mesh, starts by can wait for neither. */
const NEVER: readonly string[] = ['kube-system', 'istio-system'];

/** The one decision which pods are in the mesh: what a pod says itself counts before what its namespace says. */
export function podMembership({ namespace, labels, namespaceLabels, hostNetwork, hasSidecar }: MembershipFacts): Membership {
  const own = labels[DATAPLANE_MODE];
  const mode = own ?? namespaceLabels[DATAPLANE_MODE] ?? OUT;
  if (!ENROLLING.includes(mode)) return outside(mode === OUT || mode === '' ? null : unknownMode(mode, own !== undefined));
  // That its namespace is in says nothing of a pod that cannot be: nobody has to be told each time.
  if (NEVER.includes(namespace)) return outside(own === undefined ? null : `pods of ${namespace} are never in the mesh`);
  if (hostNetwork) return outside("it has the network of its node (hostNetwork), which is nobody else's to capture");
  if (hasSidecar) return outside('it has the sidecar of another mesh: restart it without one');
  return { isIn: true };
}

/** Names of the namespaces whose pods may be meant for the mesh: by a label of their own, or of a pod that is known. */
export function meantNamespaces(
  namespaces: ReadonlyMap<string, Labels>,
  pods: Iterable<Pick<MembershipFacts, 'namespace' | 'labels'>>,
): string[] {
  const isMeant = (labels: Labels): boolean => ENROLLING.includes(labels[DATAPLANE_MODE] ?? OUT);
  const byLabel = [...namespaces].filter(([, labels]) => isMeant(labels)).map(([name]) => name);
  const byPod = [...pods].filter(({ labels }) => isMeant(labels)).map(({ namespace }) => namespace);
  return [...new Set([...byLabel, ...byPod])].filter((name) => !NEVER.includes(name)).sort();
}

function outside(problem: string | null): Membership {
  return { isIn: false, problem };
}

function unknownMode(mode: string, isOwn: boolean): string {
  const whose = isOwn ? 'its label' : 'the label of its namespace';
  return `${whose} ${DATAPLANE_MODE} is "${mode}": write one of ${[...ENROLLING, OUT].join(', ')}`;
}
