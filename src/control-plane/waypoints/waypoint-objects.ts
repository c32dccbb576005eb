import type { ManagedGateway } from '#control-plane/index/index-delta.ts';
import { LABEL, MANAGED_BY_WEFT } from '#control-plane/mesh/well-known.ts';
import { PORT } from '#model/mesh/ports.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { KubeObject, ServedKind } from '#protocol/kubernetes/objects.ts';

/** What all waypoints of a cluster are run by. */
export type WaypointSetup = {
  /** Image of the container, whose entry point is `weft`. */
  image: string;
  /** `host:port` of the control plane, as pods reach it. */
  control: string;
  replicas: number;
  /** Where they tell of the requests that they trace, of so many in a hundred; null: they trace none. */
  traces: { collector: string; percent: number } | null;
  /** How their logs tell of requests, in Envoy's words; null: as fields. */
  accessLogFormat: string | null;
};

/** One that is to be there, of which kind. */
export type WantedObject = { served: ServedKind; object: KubeObject };

/** What a waypoint is asked for by. */
export const GATEWAYS: ServedKind = {
  ...{ group: 'gateway.networking.k8s.io', version: 'v1' },
  ...{ kind: 'Gateway', plural: 'gateways', namespaced: true },
};

const CORE = { group: '', version: 'v1', namespaced: true };
/** What a waypoint consists of, in the order in which it is made. */
export const OBJECT_KINDS = {
  account: { ...CORE, kind: 'ServiceAccount', plural: 'serviceaccounts' },
  roots: { ...CORE, kind: 'ConfigMap', plural: 'configmaps' },
  service: { ...CORE, kind: 'Service', plural: 'services' },
  deployment: { group: 'apps', version: 'v1', namespaced: true, kind: 'Deployment', plural: 'deployments' },
  budget: { group: 'policy', version: 'v1', namespaced: true, kind: 'PodDisruptionBudget', plural: 'poddisruptionbudgets' },
} as const satisfies Record<string, ServedKind>;

/** Where the container finds its token and the roots. */
const TOKEN_DIR = '/var/run/secrets/weft';
const ROOT_DIR = '/var/run/weft/root';
const TOKEN_FILE = 'token';
const ROOT_FILE = 'root-cert.pem';
/** Fixed here: nobody, as distroless images have it. */
const USER_ID = 65_532;

/**
 * The objects of a waypoint, all with its Gateway (by its uid) as their owner: with it they go. Pods are such as the strictest of
 * Kubernetes' pod security takes.
 */
export function waypointObjects(gateway: ManagedGateway, uid: string, rootsPem: string, setup: WaypointSetup): WantedObject[] {
  const { namespace, name, serviceAccount, infrastructure } = gateway;
  const labels = { ...infrastructure.labels, ...gateway.labels };
  const owner = { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway', name, uid };
  const wanted = (served: ServedKind, called: string, fields: object): WantedObject => ({
    served,
    object: {
      apiVersion: served.group === '' ? served.version : `${served.group}/${served.version}`,
      kind: served.kind,
      metadata: { name: called, namespace, labels, annotations: infrastructure.annotations, ownerReferences: [owner] },
      ...fields,
    },
  });
  const selector = { [LABEL.gatewayName]: name };
  const ports = [{ name: 'mesh', port: PORT.hbone, targetPort: PORT.hbone, protocol: 'TCP', appProtocol: 'hbone' }];
  const template = {
    metadata: { labels: { ...labels, [LABEL.dataplaneMode]: 'none' }, annotations: infrastructure.annotations },
    spec: podSpec(gateway, setup),
  };
  const deployment = {
    replicas: setup.replicas,
    selector: { matchLabels: selector },
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
    minReadySeconds: KUBERNETES.waypointMinReadySeconds,
    template,
  };
  const budget = { maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow', selector: { matchLabels: selector } };
  return [
    // An account of another name is its author's.
    ...(serviceAccount === name ? [wanted(OBJECT_KINDS.account, name, {})] : []),
    wanted(OBJECT_KINDS.roots, rootsName(name), { data: { [ROOT_FILE]: rootsPem } }),
    wanted(OBJECT_KINDS.service, name, { spec: { selector, ports } }),
    wanted(OBJECT_KINDS.deployment, name, { spec: deployment }),
    ...(setup.replicas > 1 ? [wanted(OBJECT_KINDS.budget, name, { spec: budget })] : []),
  ];
}

/** Whether an object is one of those that we made. */
export function isMadeByUs({ metadata }: KubeObject): boolean {
  return metadata.labels?.[LABEL.managed] === MANAGED_BY_WEFT;
}

/** Name of the Gateway that an object of ours belongs to; '' when it has lost it. */
export function gatewayOf({ metadata }: KubeObject): string {
  return metadata.labels?.[LABEL.gatewayName] ?? '';
}

function rootsName(gateway: string): string {
  return `${gateway}-ca-root-cert`;
}

function podSpec({ namespace, name, serviceAccount }: ManagedGateway, setup: WaypointSetup): object {
  const { image, control, traces, accessLogFormat } = setup;
  const args = ['waypoint', '--namespace', namespace, '--gateway', name, '--service-account', serviceAccount];
  const reach = [
    '--control',
    control,
    '--control-root',
    `${ROOT_DIR}/${ROOT_FILE}`,
    '--token-file',
    `${TOKEN_DIR}/${TOKEN_FILE}`,
  ];
  const tells = [
    ...(traces === null ? [] : ['--trace-collector', traces.collector, '--trace-sampling', String(traces.percent)]),
    ...(accessLogFormat === null ? [] : ['--access-log-format', accessLogFormat]),
  ];
  const token = { audience: 'istio-ca', expirationSeconds: KUBERNETES.waypointTokenSeconds, path: TOKEN_FILE };
  const mounts = { [TOKEN_DIR]: 'token', [ROOT_DIR]: 'root' };
  const listens = { tcpSocket: { port: PORT.hbone } };
  const container = {
    name: 'weft-waypoint',
    image,
    args: [...args, '--node', '$(NODE_NAME)', '--drain', `${WAYPOINT.carryMs / 1_000}s`, ...reach, ...tells],
    env: [{ name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
    ports: [
      { name: 'mesh', containerPort: PORT.hbone, protocol: 'TCP' },
      { name: 'http-envoy-prom', containerPort: PORT.stats, protocol: 'TCP' },
    ],
    // It listens when it has a configuration and a certificate.
    startupProbe: { ...listens, periodSeconds: 1, failureThreshold: 60 },
    readinessProbe: { ...listens, periodSeconds: 2, failureThreshold: 3 },
    // No limit of processors: it would let requests wait though there is time.
    resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '512Mi' } },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    volumeMounts: Object.entries(mounts).map(([mountPath, volume]) => ({ name: volume, mountPath, readOnly: true })),
  };
  return {
    serviceAccountName: serviceAccount,
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: (WAYPOINT.lateMs + WAYPOINT.carryMs) / 1_000 + KUBERNETES.waypointStopSeconds,
    securityContext: { runAsNonRoot: true, runAsUser: USER_ID, runAsGroup: USER_ID, seccompProfile: { type: 'RuntimeDefault' } },
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: 'kubernetes.io/hostname',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: { [LABEL.gatewayName]: name } },
      },
    ],
    containers: [container],
    volumes: [
      { name: 'token', projected: { sources: [{ serviceAccountToken: token }] } },
      { name: 'root', configMap: { name: rootsName(name) } },
    ],
  };
}
