import { type CheckFinding, found } from './finding.ts';

type Labels = Readonly<Record<string, string>>;

/** What the API server calls: `who` names the webhook or API, `port` is the Service's. */
export type ApiCall = { who: string; namespace: string; service: string; port: number };
/** A Service that is called. `targets`: by its ports, the port of a pod, as a number or by its name there. */
export type CalledService = {
  namespace: string;
  name: string;
  selector: Labels;
  targets: ReadonlyMap<number, number | string>;
};
/** A pod that may stand behind one. `ports`: by their names. */
export type CalledPod = { namespace: string; name: string; labels: Labels; ports: Readonly<Record<string, number>> };
type Mode = 'UNSET' | 'DISABLE' | 'PERMISSIVE' | 'STRICT';
/** A PeerAuthentication. `selects` null: its whole namespace, or the mesh. */
export type PeerRule = {
  namespace: string;
  name: string;
  createdAtMs: number;
  selects: Labels | null;
  mode: Mode;
  ports: Readonly<Record<string, Mode>>;
};

/** Of a cluster what is called by its API server, which has no identity in the mesh. */
export type ApiCalls = { calls: readonly ApiCall[]; services: readonly CalledService[]; peers: readonly PeerRule[] };

/** Calls of the API server that pods of the mesh refuse; `pods`: those that are in it. One finding for each call. */
export function apiCallFindings({ calls, services, peers }: ApiCalls, pods: readonly CalledPod[]): CheckFinding[] {
  return calls.flatMap((call) => {
    const service = services.find(({ namespace, name }) => namespace === call.namespace && name === call.service);
    const target = service?.targets.get(call.port);
    if (service === undefined || target === undefined || Object.keys(service.selector).length === 0) return [];
    for (const pod of pods) {
      if (pod.namespace !== service.namespace || !hasLabels(pod.labels, service.selector)) continue;
      const port = typeof target === 'number' ? target : pod.ports[target];
      if (port === undefined || !isStrict(pod, port, peers)) continue;
      const where = `port ${port} of pod ${pod.namespace}/${pod.name}, where STRICT holds`;
      return [found('WEFT_CHECK_CLUSTER_API_CALL', `the API server calls ${call.who} at ${where}`)];
    }
    return [];
  });
}

/** As the control plane reads it: the oldest policy that selects the pod, else that of its namespace, else that of the mesh. */
function isStrict(pod: CalledPod, port: number, peers: readonly PeerRule[]): boolean {
  const byAge = peers.toSorted((one, other) => one.createdAtMs - other.createdAtMs || (one.name < other.name ? -1 : 1));
  const wide = (namespace: string): Mode =>
    byAge.find((rule) => rule.namespace === namespace && rule.selects === null)?.mode ?? 'UNSET';
  const own = byAge.find(
    ({ namespace, selects }) => namespace === pod.namespace && selects !== null && hasLabels(pod.labels, selects),
  );
  const said = [own?.ports[port], own?.mode, wide(pod.namespace), wide(ROOT)].find(
    (mode) => mode !== undefined && mode !== 'UNSET',
  );
  return said === 'STRICT';
}

/** Fixed by deploy/kubernetes: what is said there without a selector is said for the mesh. */
const ROOT = 'istio-system';

function hasLabels(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([name, value]) => labels[name] === value);
}
